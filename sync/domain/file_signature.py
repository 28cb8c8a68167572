"""
Whether bytes are of the type that a file's extension says: a closed table, one function for each type.

What is looked at is how a format begins, except for the three whose beginning is shared with others: a ZIP must have a
table of contents that can be read, a DOCX is a ZIP whose contents are a Word document without macros, and a DOC is a
compound file that holds a Word document. Nothing is unpacked: the one part of a DOCX that is inflated is its list of
content types, in memory, and no more of it than `_CONTENT_TYPES_LIMIT_BYTES`. So no bomb, path or password inside an
archive matters here.

What this does not see: that a file is complete or harmless, and a second format behind the first (a PDF with a ZIP
appended is a PDF). Files are therefore handed out as `application/octet-stream` with `nosniff`, and never opened.

Every function takes any bytes at all and never raises. An empty file is of no type but text.
"""

import io
import re
import zipfile
from collections.abc import Callable
from typing import Final
from xml.parsers import expat

from sync.domain import compound_file

#: The main part of a Word document, transitional or strict (ECMA-376 Part 1, 11.3.10). A template, a document with
#: macros and another program's file each have another.
_WORD_DOCUMENT: Final = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
#: The item that lists the content types of all parts (ECMA-376 Part 2, Open Packaging Conventions); some kilobytes long.
_CONTENT_TYPES_PART: Final = "[content_types].xml"
_CONTENT_TYPES_LIMIT_BYTES: Final = 256 * 1024
#: How the parts with macros are called (MS-OFFMACRO2): vbaProject.bin, vbaData.xml, vbaProjectSignature.bin.
_MACRO_PARTS: Final = ("vbaproject", "vbadata")
#: Brands that make an ISO base media file something other than MPEG-4: QuickTime (Apple's QuickTime File Format), and
#: the images HEIF and AVIF (ISO/IEC 23008-12; AV1 Image File Format).
_NOT_MPEG4_BRANDS: Final = frozenset({b"qt  ", b"heic", b"heix", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis"})
#: The control characters that no text has: https://mimesniff.spec.whatwg.org/#binary-data-byte. All but tab, line feed,
#: form feed, carriage return and escape (which ISO-2022-JP needs).
_BINARY_DATA_BYTES: Final = r"[\x00-\x08\x0B\x0E-\x1A\x1C-\x1F]"
_BINARY_BYTE: Final = re.compile(_BINARY_DATA_BYTES.encode())
_BINARY_CHARACTER: Final = re.compile(_BINARY_DATA_BYTES)
#: "%PDF-" and a version, at the very first byte.
_PDF_HEADER: Final = re.compile(rb"%PDF-\d\.\d")


def is_jpeg(content: bytes) -> bool:
    """Start of image, then the first byte of any next marker (ITU-T T.81, B.1.1)."""
    return content.startswith(b"\xff\xd8\xff")


def is_png(content: bytes) -> bool:
    """The eight bytes of https://www.w3.org/TR/png-3/#3PNGsignature."""
    return content.startswith(b"\x89PNG\r\n\x1a\n")


def is_mp4(content: bytes) -> bool:
    """
    A file type box comes first (ISO/IEC 14496-12, 4.3): size, `ftyp`, major brand, minor version, compatible brands.

    Brands are many and new ones appear, so none is required; a few that say "not MPEG-4" are refused.
    """
    size = int.from_bytes(content[:4])
    whole = 16 <= size <= len(content) and size % 4 == 0
    return whole and content[4:8] == b"ftyp" and content[8:12] not in _NOT_MPEG4_BRANDS


def is_mpeg(content: bytes) -> bool:
    """
    A program stream's pack header, or a video sequence header (ISO/IEC 13818-1, 2.5.3.3; 13818-2, 6.2.2.1).

    A transport stream is none: its only mark is a `G` at every 188th byte, and its files are named `.ts`.
    """
    return content.startswith((b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3"))


def is_rar(content: bytes) -> bool:
    """The signatures of RAR 1.5 to 4 and of RAR 5 and later (https://www.rarlab.com/technote.htm#rarsign)."""
    return content.startswith((b"Rar!\x1a\x07\x00", b"Rar!\x1a\x07\x01\x00"))


def is_pdf(content: bytes) -> bool:
    """
    The header is the first line (ISO 32000-2, 7.5.2).

    Readers also find it within the first 1,024 bytes. Not here: what stands before it may be another format's start.
    """
    return _PDF_HEADER.match(content) is not None


def is_zip(content: bytes) -> bool:
    """
    A local file header comes first, or nothing but the end record, and the central directory can be read.

    (PKWARE APPNOTE 4.3.6.) A segment of a split archive is none, and neither is a program with an archive appended.
    """
    return _zip_directory(content) is not None


def is_docx(content: bytes) -> bool:
    """
    An OPC package with a Word document as its main part, and without macros.

    The main part is known by its content type, not by its name, which is not `word/document.xml` for every writer.
    Macros are known by their parts' content types and names. A document with a password is no package but a compound
    file, of which nobody without the password can tell what it holds: it is not a DOCX here.
    """
    directory = _zip_directory(content)
    if directory is None:
        return False
    names = [item.filename.lower() for item in directory]
    if any(name.rpartition("/")[2].startswith(_MACRO_PARTS) for name in names):
        return False
    types = _content_types(content, directory)
    if any("macroenabled" in type_ or "vbaproject" in type_ for type_ in types.values()):
        return False
    # A part has the type of its own entry ("/word/document.xml"), else that of its extension ("xml").
    return any(types.get(f"/{name}", types.get(name.rpartition(".")[2])) == _WORD_DOCUMENT for name in names)


def is_doc(content: bytes) -> bool:
    """
    A compound file whose root holds the stream `WordDocument` (MS-DOC 2.1.1).

    Only the root counts: a spreadsheet with a Word document inside it has that stream further down. RTF and HTML, which
    Word also opens under this extension, are none.
    """
    return "WordDocument" in compound_file.root_names(content)


def is_text(content: bytes) -> bool:
    """
    Text in UTF-8, in UTF-16 with a byte order mark, or in any 8-bit code page: no byte that only binary data has.

    What the text says does not matter: the source of a page or of a script is text too, and handed out as a download.
    A PDF or a JPEG may by chance be without binary data bytes, and is refused by its beginning.
    """
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return _BINARY_CHARACTER.search(content.decode("utf-16")) is None
        except UnicodeDecodeError:
            return False
    return not is_pdf(content) and not is_jpeg(content) and _BINARY_BYTE.search(content) is None


#: How each extension's content is known. The keys are all the extensions there are.
HAS_TYPE: Final[dict[str, Callable[[bytes], bool]]] = {
    "jpg": is_jpeg,
    "jpeg": is_jpeg,
    "png": is_png,
    "mp4": is_mp4,
    "mpeg": is_mpeg,
    "zip": is_zip,
    "rar": is_rar,
    "pdf": is_pdf,
    "doc": is_doc,
    "docx": is_docx,
    "txt": is_text,
}


def _zip_directory(content: bytes) -> list[zipfile.ZipInfo] | None:
    """A ZIP's central directory, or None where there is none to read. No member is opened."""
    if not content.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return archive.infolist()
    except Exception:  # noqa: BLE001  (a stranger's bytes: besides BadZipFile the reader raises half a dozen built-in errors)
        return None


def _content_types(content: bytes, directory: list[zipfile.ZipInfo]) -> dict[str, str]:
    """
    What an OPC package says its parts are, all in lower case: `{"/word/document.xml": type, "png": type}`.

    Keys are part names, which begin with a slash, and extensions. Empty where the list is missing, is there twice, is
    larger than `_CONTENT_TYPES_LIMIT_BYTES`, is compressed otherwise than with Deflate (the only way that ECMA-376 Part 2
    allows, and the one that can be read in bounded steps), or is not plain XML.
    """
    listed = [item for item in directory if item.filename.lower() == _CONTENT_TYPES_PART]
    if len(listed) != 1 or listed[0].compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        return {}
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive, archive.open(listed[0]) as part:
            # Cut off at the limit it is no longer well-formed.
            return _parsed_content_types(part.read(_CONTENT_TYPES_LIMIT_BYTES))
    except Exception:  # noqa: BLE001  (as above, and zlib's and expat's own)
        return {}


def _parsed_content_types(xml: bytes) -> dict[str, str]:
    """The entries of a `[Content_Types].xml`. Raises ExpatError on what is not XML, ValueError on what OPC forbids."""
    types: dict[str, str] = {}

    def note(_element: str, attributes: dict[str, str]) -> None:
        part = attributes.get("PartName") or attributes.get("Extension")
        type_ = attributes.get("ContentType", "").strip().lower()
        if part and types.setdefault(part.lower(), type_) != type_:
            raise ValueError("two content types for one part")  # one reader would take the first, another the last

    def refuse(*_declaration: object) -> None:
        # ECMA-376 Part 2 forbids it in every part, and without it there are no entities to expand.
        raise ValueError("a document type declaration")

    parser = expat.ParserCreate()
    parser.StartElementHandler = note
    parser.StartDoctypeDeclHandler = refuse
    parser.Parse(xml, True)
    return types
