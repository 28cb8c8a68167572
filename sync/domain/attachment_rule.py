"""
The attachment rule: which file of an email syncs, and why another does not.

Decided per file, in two steps, so that what fails on its name or its size is never downloaded:

    before_download   kind, name and the size Graph tells   -> fetch it, or a reason to skip it
    after_download    name and the decoded bytes            -> it syncs, or a reason to skip it

The same two guard what the CRM sends. Where several reasons hold, the first of `SkipReason`'s order is told: what the
mailbox holds instead of a file, then what the name says, then the size, then the content. The content type a sender
declares is never asked, and nothing is unpacked.

A file's type is its last extension, because that is what the reader's machine will open it by.
All sizes are in bytes.
"""

import unicodedata
from enum import StrEnum
from typing import Final, Literal

from sync.domain import file_signature

#: The largest file that syncs: 3 MiB of decoded bytes. That many pass, one more does not.
MAX_ATTACHMENT_BYTES: Final = 3 * 1024 * 1024
#: The longest file name of the common file systems.
MAX_NAME_BYTES: Final = 255

#: The extensions that may sync, lower case, without the dot. `mpg` is not among them: the product names MPEG.
ALLOWED_EXTENSIONS: Final = frozenset(file_signature.HAS_TYPE)

_UNNAMED: Final = "attachment"
#: A longer one is not an extension anybody would open a file by.
_MAX_EXTENSION_BYTES: Final = 32
#: What no name keeps: control, format (direction override, zero width), surrogate, line and paragraph end.
_REMOVED_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
#: Unix, Windows, and both the drive and the alternate stream of NTFS (`x.exe:y.pdf`).
_SEPARATORS_DEFUSED: Final = str.maketrans("/\\:", "___")


class SkipReason(StrEnum):
    """Why a file does not sync. The order is the one in which reasons are told."""

    UNSUPPORTED_KIND = "unsupported_kind"  #: an Outlook item or a link to a cloud file, not a file
    TYPE_NOT_ALLOWED = "type_not_allowed"  #: the extension is not on the list
    TOO_LARGE = "too_large"  #: more than `MAX_ATTACHMENT_BYTES`
    CONTENT_MISMATCH = "content_mismatch"  #: the bytes are not what the extension says
    FETCH_FAILED = "fetch_failed"  #: the mailbox did not hand out the bytes; never told by this rule


def clean_name(name: str) -> str:
    """
    A file's name as it is kept and shown: one line, no tricks, at most 255 bytes of UTF-8, never empty.

    Characters nobody sees are removed, so that `report<U+202E>fdp.exe` shows the extension it has; compatibility forms
    become plain (`ｘ.ｐｄｆ` is `x.pdf`, NFKC of Unicode Annex 15); path separators become `_`; spaces around and dots
    behind go, as Windows drops them. A name that is too long loses the end of its stem and keeps its extension.
    Cleaning twice changes nothing. The name is still not one to store a file under: blobs get generated names.
    """
    visible = "".join(c for c in name if unicodedata.category(c) not in _REMOVED_CATEGORIES)
    cleaned = _trimmed(unicodedata.normalize("NFKC", visible).translate(_SEPARATORS_DEFUSED))
    if len(cleaned.encode()) > MAX_NAME_BYTES:
        cleaned = _shortened(cleaned)
    return cleaned or _UNNAMED


def extension(name: str) -> str:
    """The last extension of the cleaned name, lower case, without its dot (`Scan.PDF` has `pdf`); "" if it has none."""
    _, dot, last = clean_name(name).rpartition(".")
    return last.lower() if dot else ""


def before_download(kind: Literal["file", "item", "reference"], name: str, size_hint: int) -> SkipReason | None:
    """
    Whether to fetch an attachment: None is "fetch it".

    `kind` is Graph's attachment type: `fileAttachment`, `itemAttachment` (a mail, contact or event) or
    `referenceAttachment` (a link to a cloud file). `size_hint` is its `size` in bytes, which Graph does not define further
    (https://learn.microsoft.com/en-us/graph/api/resources/attachment) and which may count some hundred bytes of MAPI
    properties. It is taken at its word: a file that is too large is never downloaded, at the price that one within those
    few hundred bytes below the limit may be left out where Graph counts so. What passes is measured again by its bytes.
    """
    if kind != "file":
        return SkipReason.UNSUPPORTED_KIND
    if extension(name) not in ALLOWED_EXTENSIONS:
        return SkipReason.TYPE_NOT_ALLOWED
    if size_hint > MAX_ATTACHMENT_BYTES:
        return SkipReason.TOO_LARGE
    return None


def after_download(name: str, content: bytes) -> SkipReason | None:
    """
    Whether a file syncs: None is "it syncs". `content` is the decoded file, whole.

    Complete in itself for what never was downloaded, such as a file the CRM sends.
    """
    if (type_ := extension(name)) not in ALLOWED_EXTENSIONS:
        return SkipReason.TYPE_NOT_ALLOWED
    if len(content) > MAX_ATTACHMENT_BYTES:
        return SkipReason.TOO_LARGE
    if not file_signature.HAS_TYPE[type_](content):
        return SkipReason.CONTENT_MISMATCH
    return None


def _trimmed(name: str) -> str:
    """Without white space around and dots behind, in any mixture."""
    end = len(name)
    while end and (name[end - 1] == "." or name[end - 1].isspace()):
        end -= 1
    return name[:end].lstrip()


def _shortened(name: str) -> str:
    """
    Cut to `MAX_NAME_BYTES`, keeping the extension.

    A cut must never make an extension: where the last one is too long to be one, no dot of the name survives.
    """
    stem, dot, last = name.rpartition(".")
    if not dot or len(last.encode()) > _MAX_EXTENSION_BYTES:
        stem, dot, last = name.replace(".", "_"), "", ""
    room = MAX_NAME_BYTES - len((dot + last).encode())
    return _trimmed(stem.encode()[:room].decode(errors="ignore") + dot + last)
