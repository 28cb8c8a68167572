"""
Files for the attachment rule's tests that tests/files.py cannot make by itself, and the ones that pretend.

    by ffmpeg (Debian)        mp4, mpeg and their neighbours
    by rars (PyPI)            RAR, old and new
    by zipfile                Word packages and what looks like one
    by hand, after MS-CFB     compound files: doc and its neighbours; PyPI has no writer that is fit for use
    by hand                   the beginnings of formats that never sync

What takes long is made once per process.
"""

import functools
import io
import struct
import subprocess
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import rars

_TYPES = "application/vnd.openxmlformats-officedocument."
WORD_MAIN = _TYPES + "wordprocessingml.document.main+xml"
WORD_MACRO_MAIN = "application/vnd.ms-word.document.macroEnabled.main+xml"
WORD_TEMPLATE_MAIN = _TYPES + "wordprocessingml.template.main+xml"
EXCEL_MAIN = _TYPES + "spreadsheetml.sheet.main+xml"
VBA_PROJECT = "application/vnd.ms-office.vbaProject"

type Storage = Mapping[str, "bytes | Storage"]


# Video


@functools.cache
def _film(container: str, *codec: str) -> bytes:
    """Ten small frames of ffmpeg's test picture. `container` is one of its muxers."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "film"
        source = ["-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=0.4"]
        subprocess.run(["ffmpeg", "-v", "error", *source, *codec, "-f", container, str(file)], check=True)
        return file.read_bytes()


def mp4() -> bytes:
    """An MPEG-4 file, major brand `isom`."""
    return _film("mp4", "-c:v", "mpeg4")


def fragmented_mp4() -> bytes:
    """An MPEG-4 file as cameras and browsers stream it, major brand `iso5`."""
    return _film("mp4", "-c:v", "mpeg4", "-movflags", "frag_keyframe+empty_moov+default_base_moof")


def quicktime() -> bytes:
    """A QuickTime film (.mov), major brand `qt`."""
    return _film("mov", "-c:v", "mpeg4")


def mpeg() -> bytes:
    """An MPEG-1 program stream."""
    return _film("mpeg")


def mpeg2() -> bytes:
    """An MPEG-2 program stream, as on a DVD."""
    return _film("vob", "-c:v", "mpeg2video")


def mpeg_video() -> bytes:
    """The bare video stream of an MPEG, without a container."""
    return _film("mpeg1video")


def transport_stream() -> bytes:
    """An MPEG transport stream (.ts)."""
    return _film("mpegts")


# Archives


@functools.cache
def _rar(format_: str, password: str | None = None) -> bytes:
    archive = rars.RarBuilder(format_, password=password, encrypt_headers=password is not None)
    archive.add_bytes(40 * b"Drawings of the ground floor.\n", "read me.txt")
    return bytes(archive.to_bytes())


def rar() -> bytes:
    """A RAR 5 archive."""
    return _rar("rar50")


def rar4() -> bytes:
    """An archive as RAR 2.9 to 4 write it."""
    return _rar("rar29")


def locked_rar() -> bytes:
    """A RAR 5 archive whose list of files needs a password, too."""
    return _rar("rar50", "open sesame")


def empty_zip() -> bytes:
    """A ZIP without members: nothing but the end record."""
    return zip_of({})


@functools.cache
def bomb() -> bytes:
    """A ZIP of 100 KiB that unpacks to 100 MiB."""
    return zip_of({"zeros": 100 * 1024 * 1024 * b"\0"})


def zip_of(members: dict[str, bytes]) -> bytes:
    """A ZIP of these members, compressed."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def package(
    main: str = WORD_MAIN,
    *,
    part: str = "word/document.xml",
    more_types: str = "",
    more_parts: tuple[str, ...] = (),
    prologue: str = "",
) -> bytes:
    """
    An Office package with one main part of type `main`.

    `more_types` is XML among the content types, `prologue` XML in front of them, `more_parts` the names of other parts.
    """
    content_types = (
        f'<?xml version="1.0" encoding="UTF-8"?>{prologue}'
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/{part}" ContentType="{main}"/>{more_types}</Types>'
    )
    names = ("_rels/.rels", part, *more_parts)
    return zip_of({"[Content_Types].xml": content_types.encode()} | dict.fromkeys(names, b"<part/>"))


def docm() -> bytes:
    """A Word document with macros, as Word saves it."""
    return package(
        WORD_MACRO_MAIN,
        more_types=f'<Default Extension="bin" ContentType="{VBA_PROJECT}"/>',
        more_parts=("word/vbaProject.bin", "word/vbaData.xml"),
    )


def xlsx() -> bytes:
    """An Excel workbook."""
    return package(EXCEL_MAIN, part="xl/workbook.xml")


# Compound files


def doc() -> bytes:
    """
    What makes a file a Word 97-2003 document: its streams, the first with the signature and version of its FIB.

    (MS-DOC 2.1, 2.5.2.) There is no text in it, so Word would open it as damaged.
    """
    fib = struct.pack("<HH", 0xA5EC, 0x00C1)
    return compound_file({"WordDocument": fib, "1Table": b"", "\x05SummaryInformation": b""})


def doc_of_version_4() -> bytes:
    """The same in the newer form of compound files, whose sectors have 4,096 bytes."""
    return compound_file({"WordDocument": b"\xec\xa5", "1Table": b""}, sector_shift=12)


def doc_with_many_streams() -> bytes:
    """The same with so many other streams that the directory takes several sectors."""
    return compound_file({"WordDocument": b"\xec\xa5"} | {f"Object {n}": b"" for n in range(12)})


def xls() -> bytes:
    """An Excel 97-2003 workbook with a Word document embedded in it."""
    return compound_file({"Workbook": b"\x09\x08", "MBD0001A2B3": {"WordDocument": b"\xec\xa5"}})


def locked_docx() -> bytes:
    """A Word document with a password: a compound file around the encrypted package (MS-OFFCRYPTO 2.3)."""
    return compound_file({"EncryptionInfo": b"\4\0\4\0", "EncryptedPackage": b""})


def compound_file(root: Storage, sector_shift: int = 9) -> bytes:
    """
    A compound file (MS-CFB) with these streams and storages.

    Sector 0 holds the allocation table, so the file has at most 128 sectors of 512 bytes or 1,024 of 4,096. Then comes
    the directory. Each stream is filled up with zeros to 4,096 bytes, below which it would belong into the mini stream.
    """
    size = 1 << sector_shift
    entries, streams = _directory(root)
    directory_sectors = -(-len(entries) * 128 // size)
    per_stream = 4096 // size

    fat = [0xFFFFFFFD, *_chain(1, directory_sectors)]
    sectors = b""
    for number in streams:
        entries[number] = entries[number][:116] + struct.pack("<IQ", len(fat), 4096)
        fat += _chain(len(fat), per_stream)
        sectors += streams[number].ljust(4096, b"\0")
    fat += [0xFFFFFFFF] * (size // 4 - len(fat))

    major = 3 if sector_shift == 9 else 4
    header = struct.pack(
        "<8s16x5H6x9I",
        *(bytes.fromhex("D0CF11E0A1B11AE1"), 0x3E, major, 0xFFFE, sector_shift, 6),
        *(directory_sectors if major == 4 else 0, 1, 1, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0),
    )
    header += struct.pack("<109I", 0, *[0xFFFFFFFF] * 108)
    directory = b"".join(entries).ljust(directory_sectors * size, b"\0")
    return header.ljust(size, b"\0") + struct.pack(f"<{size // 4}I", *fat) + directory + sectors


def _chain(first: int, count: int) -> list[int]:
    """The allocation table's entries of `count` sectors in a row."""
    return [*range(first + 1, first + count), 0xFFFFFFFE]


def _directory(root: Storage) -> tuple[list[bytes], dict[int, bytes]]:
    """The directory's entries, and by entry number what its streams hold."""
    entries: list[bytes] = [b""]
    streams: dict[int, bytes] = {}

    def tree(names: list[str], storage: Storage) -> int:
        """Add a storage's children as a balanced tree, all of it black (MS-CFB 2.6.4); the number of its top."""
        if not names:
            return 0xFFFFFFFF
        middle = len(names) // 2
        name = names[middle]
        value = storage[name]
        number = len(entries)
        entries.append(b"")
        left, right = tree(names[:middle], storage), tree(names[middle + 1 :], storage)
        if isinstance(value, bytes):
            streams[number] = value
            entries[number] = _entry(name, 2, left, right, 0xFFFFFFFF)
        else:
            entries[number] = _entry(name, 1, left, right, tree(_in_order(value), value))
        return number

    entries[0] = _entry("Root Entry", 5, 0xFFFFFFFF, 0xFFFFFFFF, tree(_in_order(root), root))
    return entries, streams


def _in_order(storage: Storage) -> list[str]:
    """Names in the tree's order: by length, then by upper case."""
    return sorted(storage, key=lambda name: (len(name), name.upper()))


def _entry(name: str, kind: int, left: int, right: int, child: int) -> bytes:
    """One directory entry, black, of no stream yet (MS-CFB 2.6.1)."""
    encoded = name.encode("utf-16-le")
    return struct.pack("<64sHBB3I36xIQ", encoded, len(encoded) + 2, kind, 1, left, right, child, 0xFFFFFFFE, 0)


# What never syncs


def linux_program() -> bytes:
    """The header of a 64-bit ELF executable."""
    return b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack("<HHI", 2, 62, 1) + bytes(40)


def shortcut() -> bytes:
    """The header of a Windows shortcut (MS-SHLLINK 2.1)."""
    return struct.pack("<I16s", 0x4C, bytes.fromhex("0114020000000000C000000000000046")) + bytes(56)


def gif() -> bytes:
    """A GIF of one pixel."""
    return bytes.fromhex("47494638396101000100800000000000ffffff2c00000000010001000002024401003b")


def heic() -> bytes:
    """The beginning of a telephone's photograph: the same container as MP4, another brand."""
    return struct.pack(">I4s4sI8s", 24, b"ftyp", b"heic", 0, b"mif1heic") + bytes(16)


def html() -> bytes:
    """A page with a script."""
    return b"<!DOCTYPE html>\n<html><script>alert(document.domain)</script></html>\n"


def svg() -> bytes:
    """A drawing with a script."""
    return b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>\n'


def rtf() -> bytes:
    """A rich text, which Word opens under the extension doc, too."""
    return rb"{\rtf1\ansi The offer, as discussed.}"
