"""How a file's type is told from its bytes: the fine print of each format, other readers' opinions, and hostile bytes."""

import io
import struct
import tracemalloc
import zipfile
from collections.abc import Callable

import docx
import filetype
import olefile
import pytest
import rars
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sync.domain.file_signature import HAS_TYPE
from tests import files
from tests.unit import sample_files
from tests.unit.sample_files import VBA_PROJECT, WORD_MACRO_MAIN, WORD_MAIN, WORD_TEMPLATE_MAIN, package, zip_of

MEBIBYTE = 1024 * 1024

#: Every file that syncs as something, by the extension under which it does.
GENUINE: list[tuple[str, Callable[[], bytes]]] = [
    ("jpg", files.jpeg),
    ("png", files.png),
    ("mp4", sample_files.mp4),
    ("mp4", sample_files.fragmented_mp4),
    ("mpeg", sample_files.mpeg),
    ("mpeg", sample_files.mpeg2),
    ("mpeg", sample_files.mpeg_video),
    ("zip", files.zip_archive),
    ("rar", sample_files.rar),
    ("rar", sample_files.rar4),
    ("pdf", files.pdf),
    ("docx", files.docx),
    ("docx", package),
    ("doc", sample_files.doc),
    ("doc", sample_files.doc_of_version_4),
    ("doc", sample_files.doc_with_many_streams),
    ("txt", files.text),
]


@pytest.mark.parametrize(("type_", "make"), [row for row in GENUINE if row[0] not in {"doc", "txt"}])
def test_filetype_agrees(type_: str, make: Callable[[], bytes]) -> None:
    """A library that knows formats by their signatures sees the type that we see."""
    assert filetype.guess_extension(make()) == {"mpeg": "mpg"}.get(type_, type_)


@pytest.mark.parametrize(
    "make",
    [
        sample_files.doc,
        sample_files.doc_of_version_4,
        sample_files.doc_with_many_streams,
        sample_files.xls,
        sample_files.locked_docx,
    ],
)
def test_olefile_agrees(make: Callable[[], bytes]) -> None:
    """The compound files made here have no fault that olefile would find, and it finds the Word documents that we find."""
    content = make()
    with olefile.OleFileIO(content, raise_defects=olefile.DEFECT_POTENTIAL) as compound:
        assert compound.parsing_issues == []
        assert compound.exists("WordDocument") is HAS_TYPE["doc"](content)


def test_rars_reads_the_archives() -> None:
    """The RAR archives made here are archives."""
    for make in (sample_files.rar, sample_files.rar4):
        assert rars.RarFile.from_bytes(make()).namelist() == ["read me.txt"]


@pytest.mark.parametrize(
    "make", [files.jpeg, files.png, files.pdf, files.docx, files.zip_archive, files.text, files.windows_executable]
)
def test_padding_is_exact(make: Callable[[int | None], bytes]) -> None:
    """A file made to size has that size to the byte, and none is cut to fit."""
    for size in (40_000, 65_535, 100_001):
        assert len(make(size)) == size
    with pytest.raises(ValueError, match="the smallest file of this kind"):
        make(20)


def test_padding_is_valid() -> None:
    """The padded files are opened by their own readers, whole."""
    for picture in (files.jpeg(MEBIBYTE), files.png(MEBIBYTE)):
        with Image.open(io.BytesIO(picture)) as opened:
            opened.load()
            assert opened.size == (48, 32)
    assert docx.Document(io.BytesIO(files.docx(MEBIBYTE))).paragraphs[0].text == "The offer, as discussed."
    with zipfile.ZipFile(io.BytesIO(files.zip_archive(MEBIBYTE))) as archive:
        assert archive.testzip() is None
    assert files.pdf(MEBIBYTE)[-1024:].rstrip().endswith(b"%%EOF")
    assert files.text(MEBIBYTE).decode("utf-8").startswith("Grüße")


# Media


@pytest.mark.parametrize(
    ("content", "is_mp4"),
    [
        (struct.pack(">I4s4sI4s", 20, b"ftyp", b"mp42", 0, b"isom"), True),
        (struct.pack(">I4s4sI4s", 20, b"ftyp", b"XAVC", 0, b"XAVC"), True),  # a camera's brand
        (struct.pack(">I4s4sI", 16, b"ftyp", b"M4V ", 0), True),
        (struct.pack(">I4s4sI4s", 20, b"ftyp", b"qt  ", 0, b"qt  "), False),
        (struct.pack(">I4s4sI4s", 20, b"ftyp", b"avif", 0, b"mif1"), False),
        (struct.pack(">I4s4sI4s", 24, b"ftyp", b"mp42", 0, b"isom"), False),  # the box is longer than the file
        (struct.pack(">I4s4sI4s", 19, b"ftyp", b"mp42", 0, b"isom"), False),
        (struct.pack(">I4s", 8, b"ftyp"), False),
        (struct.pack(">I4s4sI4s", 20, b"moov", b"mp42", 0, b"isom"), False),
        (b"\0\0\0\x14ftyp", False),
    ],
)
def test_mp4(content: bytes, is_mp4: bool) -> None:
    """An MP4 begins with a whole file type box, of any brand that is not another format's."""
    assert HAS_TYPE["mp4"](content) is is_mp4


@pytest.mark.parametrize(
    ("content", "is_pdf"),
    [
        (b"%PDF-1.7\n", True),
        (b"%PDF-2.0\r\n", True),
        (b"%PDF-\n", False),
        (b"%PDF", False),
        (b"\n%PDF-1.7\n", False),
        (b"MZ" + 60 * b"\0" + b"%PDF-1.7\n", False),
        (sample_files.gif() + b"%PDF-1.7\n", False),
    ],
)
def test_pdf(content: bytes, is_pdf: bool) -> None:
    """A PDF's header is its very beginning, so that nothing else can begin there."""
    assert HAS_TYPE["pdf"](content) is is_pdf


# Archives


def test_two_formats_in_one_file() -> None:
    """A file that is two things at once syncs as what it begins with only."""
    archive = files.zip_archive()
    pdf_and_zip = files.pdf() + archive
    assert zipfile.is_zipfile(io.BytesIO(pdf_and_zip))
    assert HAS_TYPE["pdf"](pdf_and_zip)
    assert not HAS_TYPE["zip"](pdf_and_zip)
    assert not HAS_TYPE["zip"](files.windows_executable() + archive), "a self-extracting program"
    assert not HAS_TYPE["zip"](sample_files.gif() + archive)
    assert not HAS_TYPE["rar"](files.windows_executable() + sample_files.rar())
    assert not HAS_TYPE["txt"](files.jpeg() + sample_files.html())


def test_half_a_zip() -> None:
    """What has no table of contents is no ZIP: a download that broke off, a segment of a split archive, a mere signature."""
    archive = files.zip_archive()
    assert not HAS_TYPE["zip"](archive[: len(archive) // 2])
    assert not HAS_TYPE["zip"](b"PK\x07\x08" + archive)
    assert not HAS_TYPE["zip"](b"PK\x03\x04")


@pytest.mark.long
def test_a_bomb_is_only_a_zip() -> None:
    """What an archive would become on unpacking is no matter, because it is never unpacked."""
    content = sample_files.bomb()
    tracemalloc.start()
    try:
        assert HAS_TYPE["zip"](content)
        assert not HAS_TYPE["docx"](content)
        assert tracemalloc.get_traced_memory()[1] < MEBIBYTE
    finally:
        tracemalloc.stop()


# Word


@pytest.mark.parametrize(
    ("content", "is_docx"),
    [
        pytest.param(package(), True, id="minimal"),
        pytest.param(package(part="word/document2.xml"), True, id="main part of another name"),
        pytest.param(package(WORD_MAIN.upper()), True, id="media types have no case"),
        pytest.param(package("application/xml"), False, id="nothing of Word"),
        pytest.param(package(WORD_TEMPLATE_MAIN), False, id="template"),
        pytest.param(package(WORD_MACRO_MAIN), False, id="macro-enabled, but without macros"),
        pytest.param(package(more_parts=("word/vbaProject.bin",)), False, id="macros by name"),
        pytest.param(package(more_parts=("WORD/VBADATA.XML",)), False, id="macros by name, in upper case"),
        pytest.param(
            package(more_types=f'<Override PartName="/word/x.bin" ContentType="{VBA_PROJECT}"/>'),
            False,
            id="macros by content type",
        ),
        pytest.param(
            package(
                WORD_MACRO_MAIN.replace("E", "&#69;"),
                more_types=f'<Default Extension="x" ContentType="{WORD_MAIN}"/>',
                more_parts=("word/document.x",),
            ),
            False,
            id="macros by content type, in disguise",
        ),
        pytest.param(
            package(more_types=f'<Override PartName="/word/document.xml" ContentType="{WORD_MACRO_MAIN}"/>'),
            False,
            id="two types for one part",
        ),
        pytest.param(
            package(WORD_MACRO_MAIN, more_types=f'<Override PartName="/word/document.xml" ContentType="{WORD_MAIN}"/>'),
            False,
            id="two types for one part, in the other order",
        ),
        pytest.param(
            package(
                "application/xml",
                more_types=f'<Default Extension="wml" ContentType="{WORD_MAIN}"/>',
                more_parts=("word/main.wml",),
            ),
            True,
            id="main part by its extension",
        ),
        pytest.param(
            package(more_types=f'<Override PartName="/word/document.xml" ContentType="{WORD_MAIN}"/>'),
            True,
            id="the same type twice",
        ),
        pytest.param(package(prologue='<!DOCTYPE Types [<!ENTITY a "b">]>'), False, id="document type"),
        pytest.param(package(more_types="<broken"), False, id="not XML"),
        pytest.param(package(more_types=" " * 300_000), False, id="content types without end"),
        pytest.param(
            package(part="word/a.xml").replace(b"word/a.xml", b"word/b.xml"), False, id="part that is not there"
        ),
        pytest.param(zip_of({"word/document.xml": b"<document/>"}), False, id="no content types"),
        pytest.param(
            zip_of(dict.fromkeys(("[Content_Types].xml", "[CONTENT_TYPES].XML"), b"<Types/>")),
            False,
            id="two content types parts",
        ),
    ],
)
def test_docx(content: bytes, is_docx: bool) -> None:
    """A DOCX is a package whose main part is a Word document, and of which nothing says that it has macros."""
    assert zipfile.is_zipfile(io.BytesIO(content))
    assert HAS_TYPE["docx"](content) is is_docx


@pytest.mark.long
def test_content_types_are_read_in_bounds() -> None:
    """A list of content types that unpacks to 100 MiB costs no memory."""
    content = zip_of({"[Content_Types].xml": b"<Types>" + 100 * MEBIBYTE * b" " + b"</Types>"})
    tracemalloc.start()
    try:
        assert not HAS_TYPE["docx"](content)
        assert tracemalloc.get_traced_memory()[1] < 2 * MEBIBYTE
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_content_types_are_deflated_or_stored(method: int) -> None:
    """Other compressions, which OPC forbids and which have no bound while they are read, are not read."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(package())) as source, zipfile.ZipFile(stream, "w", method) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    assert HAS_TYPE["zip"](stream.getvalue())
    assert not HAS_TYPE["docx"](stream.getvalue())


def test_doc_looks_at_the_root() -> None:
    """The stream WordDocument makes a Word file only at the root, and only as a stream."""
    is_doc, compound_file = HAS_TYPE["doc"], sample_files.compound_file
    assert is_doc(compound_file({"WordDocument": b"", "ObjectPool": {"_1": {"Workbook": b""}}}))
    assert not is_doc(compound_file({"Workbook": b"", "MBD1": {"WordDocument": b""}}))
    assert not is_doc(compound_file({"WordDocument": {"Workbook": b""}}))
    assert not is_doc(compound_file({"NotAWordDocument": b"", "WordDocument2": b""}))
    assert not is_doc(compound_file({}))


@pytest.mark.parametrize(
    ("at", "value"),
    [
        pytest.param(0, b"\0", id="signature"),
        pytest.param(26, b"\5\0", id="unknown version"),
        pytest.param(28, b"\xff\xfe", id="byte order"),
        pytest.param(30, b"\x0c\0", id="sector size of another version"),
        pytest.param(48, b"\xfe\xff\xff\xff", id="no directory"),
        pytest.param(48, b"\xf0\0\0\0", id="directory outside the file"),
        pytest.param(512 * 2 + 66, b"\2", id="no root"),
        pytest.param(512 * 2 + 76, b"\xff\xff\xff\xff", id="root without children"),
        pytest.param(512 * 2 + 76, b"\0\0\0\0", id="root as its own child"),
        pytest.param(512 * 2 + 76, b"\xf0\0\0\0", id="child that is not there"),
    ],
)
def test_damaged_doc(at: int, value: bytes) -> None:
    """A compound file in which the Word document cannot be reached is no DOC."""
    content = sample_files.doc()
    damaged = content[:at] + value + content[at + len(value) :]
    assert HAS_TYPE["doc"](content)
    assert not HAS_TYPE["doc"](damaged)


def test_going_in_circles() -> None:
    """Chains and trees that come back to themselves are walked once."""
    content = bytearray(sample_files.doc_with_many_streams())
    directory, fat = 512 * 2, 512
    struct.pack_into("<I", content, fat + 4 * 4, 1)  # the directory's fourth sector leads back to its first
    for entry in range(16):
        struct.pack_into("<3I", content, directory + entry * 128 + 68, 1, 2, 1)  # everybody's siblings: one and two
        content[directory + entry * 128 + 64] = 4  # and a name too short to be WordDocument
    assert not HAS_TYPE["doc"](bytes(content))


def test_directory_beyond_the_header() -> None:
    """A directory beyond what the header's 109 allocation sectors cover is not looked for: no file that syncs is so large."""
    beyond = 109 * 128
    content = bytearray(sample_files.doc().ljust((beyond + 2) * 512, b"\0"))
    struct.pack_into("<I", content, 48, beyond)
    assert not HAS_TYPE["doc"](bytes(content))


# Text


@pytest.mark.parametrize(
    ("content", "is_text"),
    [
        (b"plain\r\nand\ttabbed\f", True),
        ("Grüße, 你好, 🙂".encode(), True),
        ("Grüße".encode("utf-8-sig"), True),
        ("Grüße, 🙂".encode("utf-16"), True),
        (b"\xfe\xff" + "Grüße".encode("utf-16-be"), True),
        (b"\xff\xfe", True),
        ("Grüße".encode("latin-1"), True),
        ("„Preis: 5 €“".encode("cp1252"), True),
        ("Привет".encode("koi8-r"), True),
        ("こんにちは".encode("shift-jis"), True),
        ("こんにちは".encode("iso-2022-jp"), True),
        (b"#!/bin/sh\necho hello\n", True),
        (sample_files.html(), True),
        (b"text\0", False),
        ("Grüße".encode("utf-16-le"), False),  # without a mark it has zeros
        ("Grüße".encode("utf-32"), False),
        (b"\xff\xfea", False),
        (b"\xff\xfe\x00\xd8", False),
        ("bell\a".encode("utf-16"), False),
        (b"bell\a", False),
        (b"\x7fELF\x02", False),
        (b"MZ\x90\x00", False),
        (b"%PDF-1.7\n1 0 obj\n", False),
        (b"\xff\xd8\xff\xe0", False),
    ],
)
def test_text(content: bytes, is_text: bool) -> None:
    """Text is what has no control characters but those of text, in the encodings people have."""
    assert HAS_TYPE["txt"](content) is is_text


# Hostile bytes


def test_beginnings() -> None:
    """However early a file breaks off, there is an answer."""
    for type_, make in GENUINE:
        content = make()
        for end in [*range(min(len(content), 600)), *range(600, len(content), 97)]:
            assert HAS_TYPE[type_](content[:end]) in {True, False}


@settings(deadline=None)
@given(st.binary(max_size=4096))
def test_any_bytes(content: bytes) -> None:
    """No bytes make the rule fail."""
    for has_type in HAS_TYPE.values():
        assert has_type(content) in {True, False}


@pytest.mark.long
@settings(deadline=None, max_examples=300)
@given(st.sampled_from(GENUINE), st.data())
def test_damaged_files(genuine: tuple[str, Callable[[], bytes]], data: st.DataObject) -> None:
    """No damage to a file makes the rule fail: bytes changed, cut out or put in, at its beginning and its end above all."""
    type_, make = genuine
    content = bytearray(make())
    length = len(content)
    place = st.integers(0, min(length, 2048) - 1) | st.integers(max(length - 2048, 0), length - 1)
    for _ in range(data.draw(st.integers(1, 6))):
        at = min(data.draw(place), len(content))
        content[at : at + data.draw(st.sampled_from([0, 1, 1, 1, 4, 100]))] = data.draw(st.binary(max_size=8))
    assert HAS_TYPE[type_](bytes(content)) in {True, False}
    assert HAS_TYPE["zip"](bytes(content)) in {True, False}
