"""
The attachment rule, as a table: names and contents against verdicts; then its boundary, its order and its names.

What belongs to one format alone is in test_file_signature.py.
"""

import unicodedata
from collections.abc import Callable
from functools import partial
from typing import Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sync.domain.attachment_rule import (
    ALLOWED_EXTENSIONS,
    MAX_ATTACHMENT_BYTES,
    MAX_NAME_BYTES,
    SkipReason,
    after_download,
    before_download,
    clean_name,
    extension,
)
from tests import files
from tests.unit import sample_files

type Kind = Literal["file", "item", "reference"]

SYNCS = None
NOT_ALLOWED = SkipReason.TYPE_NOT_ALLOWED
MISMATCH = SkipReason.CONTENT_MISMATCH
TOO_LARGE = SkipReason.TOO_LARGE

VERDICTS: list[tuple[str, Callable[[], bytes], SkipReason | None]] = [
    # each type of the list, and its other extension
    ("photo.jpg", files.jpeg, SYNCS),
    ("photo.jpeg", files.jpeg, SYNCS),
    ("screen.png", files.png, SYNCS),
    ("tour.mp4", sample_files.mp4, SYNCS),
    ("tour.mp4", sample_files.fragmented_mp4, SYNCS),
    ("tour.mpeg", sample_files.mpeg, SYNCS),
    ("tour.mpeg", sample_files.mpeg2, SYNCS),
    ("tour.mpeg", sample_files.mpeg_video, SYNCS),
    ("plans.zip", files.zip_archive, SYNCS),
    ("plans.zip", sample_files.empty_zip, SYNCS),
    ("plans.rar", sample_files.rar, SYNCS),
    ("plans.rar", sample_files.rar4, SYNCS),
    ("plans.rar", sample_files.locked_rar, SYNCS),
    ("offer.pdf", files.pdf, SYNCS),
    ("offer.doc", sample_files.doc, SYNCS),
    ("offer.docx", files.docx, SYNCS),
    ("notes.txt", files.text, SYNCS),
    # names that a person would read as one of these
    ("PHOTO.JPG", files.jpeg, SYNCS),
    ("Scan.PdF", files.pdf, SYNCS),
    ("Angebot für Zürich (2).docx", files.docx, SYNCS),
    ("报价.pdf", files.pdf, SYNCS),
    ("my.summer.holiday.png", files.png, SYNCS),
    (".pdf", files.pdf, SYNCS),
    ("photo.jpg ", files.jpeg, SYNCS),
    ("offer.pdf.", files.pdf, SYNCS),
    ("offer.pdf . . .", files.pdf, SYNCS),
    ("  offer.pdf", files.pdf, SYNCS),
    ("ｏｆｆｅｒ．ｐｄｆ", files.pdf, SYNCS),
    ("off\u200ber.p\u200bdf", files.pdf, SYNCS),
    ("offer.pdf\r\n", files.pdf, SYNCS),
    ("..\\..\\offer.pdf", files.pdf, SYNCS),
    ("/etc/offer.pdf", files.pdf, SYNCS),
    ("payload.exe.pdf", files.pdf, SYNCS),
    ("x" * 400 + ".pdf", files.pdf, SYNCS),
    # names that have no type of the list
    ("", files.pdf, NOT_ALLOWED),
    ("offer", files.pdf, NOT_ALLOWED),
    ("pdf", files.pdf, NOT_ALLOWED),
    ("...", files.pdf, NOT_ALLOWED),
    ("offer.pdf.exe", files.windows_executable, NOT_ALLOWED),
    ("setup.exe", files.windows_executable, NOT_ALLOWED),
    ("a.docx.lnk", sample_files.shortcut, NOT_ALLOWED),
    ("report\u202efdp.exe", files.windows_executable, NOT_ALLOWED),
    ("offer.pdf\0.exe", files.windows_executable, NOT_ALLOWED),
    ("offer.pdf\r\n.exe", files.windows_executable, NOT_ALLOWED),
    ("offer.pdf::$DATA", files.pdf, NOT_ALLOWED),
    ("offer.pdf;.exe", files.windows_executable, NOT_ALLOWED),
    ("offer.p\u0434f", files.pdf, NOT_ALLOWED),  # a Cyrillic letter
    ("plans.zıp", files.zip_archive, NOT_ALLOWED),  # a Turkish letter
    ("offer.pdf/", files.pdf, NOT_ALLOWED),
    ("offer.pdf%00", files.pdf, NOT_ALLOWED),
    ("offer.pdf" + " " * 300 + "exe", files.pdf, NOT_ALLOWED),
    ("tour.mpg", sample_files.mpeg, NOT_ALLOWED),
    ("tour.mov", sample_files.quicktime, NOT_ALLOWED),
    ("tour.ts", sample_files.transport_stream, NOT_ALLOWED),
    ("button.gif", sample_files.gif, NOT_ALLOWED),
    ("logo.svg", sample_files.svg, NOT_ALLOWED),
    ("page.html", sample_files.html, NOT_ALLOWED),
    ("offer.rtf", sample_files.rtf, NOT_ALLOWED),
    ("offer.docm", sample_files.docm, NOT_ALLOWED),
    ("sheet.xlsx", sample_files.xlsx, NOT_ALLOWED),
    ("sheet.xls", sample_files.xls, NOT_ALLOWED),
    ("plans.7z", files.zip_archive, NOT_ALLOWED),
    # programs under a good name
    *[(f"offer.{type_}", files.windows_executable, MISMATCH) for type_ in sorted(ALLOWED_EXTENSIONS)],
    *[(f"offer.{type_}", sample_files.linux_program, MISMATCH) for type_ in ("pdf", "txt", "zip", "doc")],
    ("offer.txt", sample_files.shortcut, MISMATCH),
    ("offer.doc", sample_files.shortcut, MISMATCH),
    # pages and drawings with scripts under a good name
    ("photo.jpg", sample_files.html, MISMATCH),
    ("photo.png", sample_files.svg, MISMATCH),
    ("offer.pdf", sample_files.html, MISMATCH),
    ("offer.doc", sample_files.html, MISMATCH),
    ("page.txt", sample_files.html, SYNCS),  # the source of a page is text
    # one good type under the name of another
    ("photo.jpg", files.png, MISMATCH),
    ("photo.png", files.jpeg, MISMATCH),
    ("photo.png", sample_files.gif, MISMATCH),
    ("photo.jpg", sample_files.heic, MISMATCH),
    ("tour.mp4", sample_files.heic, MISMATCH),
    ("tour.mp4", sample_files.quicktime, MISMATCH),
    ("tour.mp4", sample_files.mpeg, MISMATCH),
    ("tour.mpeg", sample_files.mp4, MISMATCH),
    ("tour.mpeg", sample_files.transport_stream, MISMATCH),
    ("plans.zip", sample_files.rar, MISMATCH),
    ("plans.rar", files.zip_archive, MISMATCH),
    ("plans.zip", files.docx, SYNCS),  # a Word document is a ZIP
    ("offer.docx", files.zip_archive, MISMATCH),
    ("offer.docx", sample_files.docm, MISMATCH),
    ("offer.docx", sample_files.xlsx, MISMATCH),
    ("offer.docx", sample_files.doc, MISMATCH),
    ("offer.docx", sample_files.locked_docx, MISMATCH),
    ("offer.doc", files.docx, MISMATCH),
    ("offer.doc", sample_files.xls, MISMATCH),
    ("offer.doc", sample_files.locked_docx, MISMATCH),
    ("offer.doc", sample_files.rtf, MISMATCH),
    ("offer.doc", files.text, MISMATCH),
    ("offer.pdf", files.text, MISMATCH),
    ("offer.pdf", files.docx, MISMATCH),
    *[("notes.txt", other, MISMATCH) for other in (files.jpeg, files.png, files.pdf, files.zip_archive)],
    *[("notes.txt", other, MISMATCH) for other in (sample_files.mp4, sample_files.mpeg, sample_files.rar)],
    *[("notes.txt", other, MISMATCH) for other in (sample_files.doc, files.docx)],
    # nothing at all
    *[(f"empty.{type_}", bytes, MISMATCH) for type_ in sorted(ALLOWED_EXTENSIONS - {"txt"})],
    ("empty.txt", bytes, SYNCS),
    # one byte too large, and good or bad otherwise
    ("offer.pdf", partial(files.pdf, MAX_ATTACHMENT_BYTES + 1), TOO_LARGE),
    ("offer.pdf", partial(files.windows_executable, MAX_ATTACHMENT_BYTES + 1), TOO_LARGE),
    ("setup.exe", partial(files.windows_executable, MAX_ATTACHMENT_BYTES + 1), NOT_ALLOWED),
]


@pytest.mark.parametrize(
    ("name", "make", "verdict"),
    VERDICTS,
    ids=[f"{n}-{ascii(name)[1:-1][:40]}" for n, (name, _, _) in enumerate(VERDICTS)],
)
def test_verdict(name: str, make: Callable[[], bytes], verdict: SkipReason | None) -> None:
    """A file syncs if and only if its extension is on the list and its content is what the extension says."""
    assert after_download(name, make()) is verdict


def test_the_list_is_the_products() -> None:
    """Exactly the types that the product names sync."""
    assert {"jpg", "jpeg", "png", "mp4", "mpeg", "zip", "rar", "pdf", "doc", "docx", "txt"} == ALLOWED_EXTENSIONS


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("photo.jpg", files.jpeg),
        ("screen.png", files.png),
        ("offer.pdf", files.pdf),
        ("offer.docx", files.docx),
        ("plans.zip", files.zip_archive),
        ("notes.txt", files.text),
    ],
)
@pytest.mark.parametrize(("more", "verdict"), [(-1, SYNCS), (0, SYNCS), (1, TOO_LARGE)])
def test_boundary(name: str, make: Callable[[int], bytes], more: int, verdict: SkipReason | None) -> None:
    """A valid file of exactly 3,145,728 bytes syncs, and one byte more is too large."""
    content = make(3_145_728 + more)
    assert len(content) == 3_145_728 + more
    assert after_download(name, content) is verdict


@pytest.mark.parametrize(
    ("size_hint", "verdict"),
    [
        (0, None),
        (1_024, None),
        (MAX_ATTACHMENT_BYTES - 1, None),
        (MAX_ATTACHMENT_BYTES, None),
        (MAX_ATTACHMENT_BYTES + 1, TOO_LARGE),
        (150 * 1024 * 1024, TOO_LARGE),
    ],
)
def test_size_hint(size_hint: int, verdict: SkipReason | None) -> None:
    """What Graph says is too large is never downloaded, from the first byte over the limit."""
    assert before_download("file", "offer.pdf", size_hint) is verdict


@pytest.mark.parametrize(
    ("kind", "name", "size_hint", "reason"),
    [
        ("item", "setup.exe", 10**9, SkipReason.UNSUPPORTED_KIND),
        ("reference", "offer.pdf", 10, SkipReason.UNSUPPORTED_KIND),
        ("item", "offer.pdf", 10, SkipReason.UNSUPPORTED_KIND),
        ("file", "setup.exe", 10**9, SkipReason.TYPE_NOT_ALLOWED),
        ("file", "offer.pdf", 10**9, SkipReason.TOO_LARGE),
    ],
)
def test_order_of_reasons(kind: Kind, name: str, size_hint: int, reason: SkipReason) -> None:
    """Of several reasons one is told, always the same: kind, then type, then size."""
    assert before_download(kind, name, size_hint) is reason


def test_reasons_are_the_contracts() -> None:
    """The CRM is told these words and no others."""
    assert {str(reason) for reason in SkipReason} == {
        "too_large",
        "type_not_allowed",
        "content_mismatch",
        "unsupported_kind",
        "fetch_failed",
    }


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("offer.pdf", "offer.pdf"),
        ("Scan 3.PDF", "Scan 3.PDF"),
        ("Grüße.txt", "Grüße.txt"),
        ("Gru\u0308ße.txt", "Grüße.txt"),
        ("e\u200d\u0301.txt", "é.txt"),
        ("ｘ．ｐｄｆ", "x.pdf"),
        ("①.pdf", "1.pdf"),
        ("report\u202efdp.exe", "reportfdp.exe"),
        ("\u2066a\u2069.pdf", "a.pdf"),
        ("a\0b\tc\x7f\x85.pdf", "abc.pdf"),
        ("two\u2028lines\u2029.pdf", "twolines.pdf"),
        ("half a pair \ud83d.pdf", "half a pair .pdf"),
        ("../../etc/passwd", ".._.._etc_passwd"),
        ("C:\\Users\\offer.pdf", "C__Users_offer.pdf"),
        ("a／b＼c：d.pdf", "a_b_c_d.pdf"),
        ("offer.pdf. . .", "offer.pdf"),
        ("\u00a0offer.pdf\u3000", "offer.pdf"),
        ("offer…", "offer"),
        ("", "attachment"),
        (" . ", "attachment"),
        ("\u200b", "attachment"),
        ("/", "_"),
        ("x" * 251 + ".pdf", "x" * 251 + ".pdf"),
        ("x" * 252 + ".pdf", "x" * 251 + ".pdf"),
        ("ü" * 126 + ".pdf", "ü" * 125 + ".pdf"),
        ("名" * 100 + ".docx", "名" * 83 + ".docx"),
        ("a.b." + "c" * 300, "a_b_" + "c" * 251),
    ],
)
def test_clean_name(name: str, cleaned: str) -> None:
    """A name loses what cannot be seen, what separates paths and what is too long, and nothing else."""
    assert clean_name(name) == cleaned


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("a.PDF", "pdf"),
        ("a.tar.ZIP", "zip"),
        ("a", ""),
        ("", ""),
        (".txt", "txt"),
        ("a.pdf. ", "pdf"),
        ("a.b c", "b c"),
    ],
)
def test_extension(name: str, last: str) -> None:
    """The last extension counts, in lower case."""
    assert extension(name) == last


any_name = st.text() | st.text(alphabet=".pdfexe \u202e\u200b/\\:\0ü名．\ud800\u0301…", max_size=600)


@settings(deadline=None)
@given(any_name)
@example("e\u200d\u0301." + "\u0301" * 200)
@example("." * 400 + "pdf")
@example("a.pdf" + " " * 300 + ".x" * 300)
def test_clean_name_of_anything(name: str) -> None:
    """Whatever a stranger calls a file, the cleaned name is safe to show, and cleaning it again changes nothing."""
    cleaned = clean_name(name)
    assert clean_name(cleaned) == cleaned
    assert not {unicodedata.category(c) for c in cleaned} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert not set(cleaned) & set("/\\:")
    assert 0 < len(cleaned.encode()) <= MAX_NAME_BYTES
    assert cleaned[-1] not in ". "
    assert unicodedata.is_normalized("NFKC", cleaned)


@settings(deadline=None)
@given(any_name)
def test_a_long_name_keeps_its_type(name: str) -> None:
    """Shortening a name neither takes a type of the list away nor gives one."""
    assert extension("x" * 300 + name) == extension("x" + name) or extension("x" + name) not in ALLOWED_EXTENSIONS
    assert extension("x" * 300 + name) not in ALLOWED_EXTENSIONS or extension("x" + name) in ALLOWED_EXTENSIONS


@settings(deadline=None)
@given(st.sampled_from([row for row in VERDICTS if row[0].isascii()]), st.data())
def test_case_never_matters(row: tuple[str, Callable[[], bytes], SkipReason | None], data: st.DataObject) -> None:
    """The verdict on `A.PdF` is that on `a.pdf`. (For ASCII: beyond it, upper case can make another letter.)"""
    name, make, verdict = row
    flips = data.draw(st.lists(st.booleans(), min_size=len(name), max_size=len(name)))
    other = "".join(c.swapcase() if flip else c for c, flip in zip(name, flips, strict=True))
    assert after_download(other, make()) is verdict


@settings(deadline=None)
@given(st.sampled_from(["file", "item", "reference"]), any_name, st.integers())
def test_before_download_of_anything(kind: Kind, name: str, size_hint: int) -> None:
    """No name and no size makes the rule fail, and what may be fetched has a type of the list."""
    verdict = before_download(kind, name, size_hint)
    assert verdict is not None or extension(name) in ALLOWED_EXTENSIONS
