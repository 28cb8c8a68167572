"""
Real files of the types that sync, made on the spot, and one program that never does.

Each function returns the bytes of a file that its own readers open. With `size` the file has exactly that many bytes:
what is added is padding that the format has a place for, so that it stays a valid file at the boundary of 3 MiB. A size
too small for that is a ValueError.
"""

import io
import struct
import zipfile
import zlib

_PDF_FILLER_LINE = b"%" + 78 * b"-" + b"\n"


def jpeg(size: int | None = None) -> bytes:
    """A small JPEG. Padded with fill bytes in front of its last marker (ITU-T T.81, B.1.1.2)."""
    content = _picture("JPEG")
    return content[:-2] + _padding(content, size) * b"\xff" + content[-2:]


def png(size: int | None = None) -> bytes:
    """A small PNG. Padded with a comment chunk in front of its last chunk (https://www.w3.org/TR/png-3/#11tEXt)."""
    content, end = _picture("PNG")[:-12], _png_chunk(b"IEND", b"")
    if size is None:
        return content + end
    keyword = b"Comment\0"
    filler = _padding(content + _png_chunk(b"tEXt", keyword) + end, size) * b"-"
    return content + _png_chunk(b"tEXt", keyword + filler) + end


def pdf(size: int | None = None) -> bytes:
    """
    A PDF of one page with a picture.

    Padded with comments behind its end, and with the end once more behind them, since readers look for it in the last
    1,024 bytes (ISO 32000-2, 7.5.5).
    """
    content = _picture("PDF")
    if size is None:
        return content
    end = content[content.rindex(b"startxref") :]
    room = _padding(content + b"\n%\n" + end, size)
    filler = (_PDF_FILLER_LINE * (room // len(_PDF_FILLER_LINE) + 1))[:room].removesuffix(b"\n")
    return content + b"\n%" + filler.ljust(room, b"-") + b"\n" + end


def docx(size: int | None = None) -> bytes:
    """A Word document of one paragraph. Padded with a custom XML part that is stored without compression."""
    from docx import Document

    document = Document()
    document.add_paragraph("The offer, as discussed.")
    stream = io.BytesIO()
    document.save(stream)
    return _with_stored_member(stream.getvalue(), "customXml/filler.xml", size, b"<filler>", b"</filler>")


def zip_archive(size: int | None = None) -> bytes:
    """A ZIP of two files. Padded with a third that is stored without compression."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("read me.txt", 40 * "Drawings of the ground floor.\n")
        archive.writestr("plans/ground floor.txt", 40 * "+--+--+\n")
    return _with_stored_member(stream.getvalue(), "filler.bin", size)


def text(size: int | None = None) -> bytes:
    """A text in UTF-8 with characters beyond ASCII. Padded with more lines."""
    content = "Grüße aus Zürich, 10 °C, 5 € für den Kaffee. 你好.\n".encode()
    line = 78 * b"." + b"\n"
    room = _padding(content, size)
    return content + (line * (room // len(line) + 1))[:room]


def windows_executable(size: int | None = None) -> bytes:
    """
    A program for 32-bit Windows that returns at once, as small as the PE format allows without tricks.

    DOS header, PE header and one section with its three bytes of code
    (https://learn.microsoft.com/en-us/windows/win32/debug/pe-format). Padded with zeros behind its last section.
    """
    dos_header = struct.pack("<2s58xI", b"MZ", 64)
    section_at, alignment = 0x1000, 0x200
    file_header = struct.pack("<4sHHIIIHH", b"PE\0\0", 0x14C, 1, 0, 0, 0, 224, 0x0102)
    optional_header = struct.pack(
        "<HBBIIIIIIIIIHHHHHHIIIIHHIIIIII",
        *(0x10B, 14, 0, alignment, 0, 0, section_at, section_at, 0),  # PE32; sizes and addresses of code and data
        *(0x400000, section_at, alignment),  # image base, alignment in memory and in the file
        *(6, 0, 0, 0, 6, 0, 0, 2 * section_at, alignment, 0, 3, 0),  # Windows 6.0, two pages, a console program
        *(0x100000, 0x1000, 0x100000, 0x1000, 0, 16),  # stack, heap, and 16 data directories
    ).ljust(224, b"\0")
    section_header = struct.pack("<8sIIIIIIHHI", b".text", 3, section_at, alignment, alignment, 0, 0, 0, 0, 0x60000020)
    headers = (dos_header + file_header + optional_header + section_header).ljust(alignment, b"\0")
    content = headers + b"\x31\xc0\xc3".ljust(alignment, b"\0")  # xor eax, eax; ret
    return content + _padding(content, size) * b"\0"


def _picture(writer: str) -> bytes:
    """A gradient, written by Pillow in one of its formats."""
    from PIL import Image

    stream = io.BytesIO()
    Image.linear_gradient("L").resize((48, 32)).convert("RGB").save(stream, writer)
    return stream.getvalue()


def _padding(content: bytes, size: int | None) -> int:
    """How many bytes are missing to `size`. Raises ValueError where the file is larger than that already."""
    if size is None:
        return 0
    if len(content) > size:
        raise ValueError(f"the smallest file of this kind has {len(content):,} bytes, more than {size:,}")
    return size - len(content)


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    """Length, kind, data and checksum (https://www.w3.org/TR/png-3/#5Chunk-layout)."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _with_stored_member(archive: bytes, name: str, size: int | None, before: bytes = b"", after: bytes = b"") -> bytes:
    """The ZIP with one more member, not compressed and as long as it takes to reach `size`; unchanged without `size`."""
    if size is None:
        return archive

    def with_filler(length: int) -> bytes:
        stream = io.BytesIO(archive)
        with zipfile.ZipFile(stream, "a", zipfile.ZIP_STORED) as package:
            package.writestr(zipfile.ZipInfo(name), before + length * b"-" + after)
        return stream.getvalue()

    return with_filler(_padding(with_filler(0), size))
