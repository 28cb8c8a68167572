"""
The names at the root of a compound file, the container of Word's .doc (and of .xls, .ppt, .msg and .msi).

Source: MS-CFB, https://learn.microsoft.com/en-us/openspecs/windows_protocols/ms-cfb. The file is cut into sectors. The
header names the first sector of the directory and up to 109 sectors of the allocation table (FAT), which tells for each
sector which one follows. The directory is a run of 128-byte entries; those of one storage form a binary tree, which the
root's entry points at.

Read here: the header, the FAT as far as the directory needs it, the directory. Not read: any stream, the mini FAT, and
FAT sectors beyond the 109 of the header, which a file below 6.8 MiB does not have.
"""

import struct
from collections.abc import Iterator
from typing import Final

_SIGNATURE: Final = bytes.fromhex("D0CF11E0A1B11AE1")
_HEADER_BYTES: Final = 512
_ENTRY_BYTES: Final = 128
#: Sector size by major version (MS-CFB 2.2): 512 bytes in version 3, 4,096 in version 4.
_SECTOR_SHIFTS: Final = {3: 9, 4: 12}
_STREAM, _ROOT = 2, 5


def root_names(content: bytes) -> frozenset[str]:
    """The names of the streams directly under the root; empty where the bytes are no compound file. Never raises."""
    if len(content) < _HEADER_BYTES or not content.startswith(_SIGNATURE):
        return frozenset()
    major, byte_order, sector_shift = struct.unpack_from("<3H", content, 26)
    if byte_order != 0xFFFE or _SECTOR_SHIFTS.get(major) != sector_shift:
        return frozenset()
    entries = [
        sector[at : at + _ENTRY_BYTES]
        for sector in _directory_sectors(content, 1 << sector_shift)
        for at in range(0, len(sector), _ENTRY_BYTES)
    ]
    return frozenset(_stream_names(entries))


def _directory_sectors(content: bytes, size: int) -> Iterator[bytes]:
    """The directory's sectors in order, until its chain ends, leaves the file or comes back to itself."""
    (number,) = struct.unpack_from("<I", content, 48)
    fat_sectors = struct.unpack_from("<109I", content, 76)
    per_fat_sector = size // 4
    seen: set[int] = set()
    while number not in seen and (sector := _sector(content, size, number)) is not None:
        seen.add(number)
        yield sector
        which, at = divmod(number, per_fat_sector)
        fat = _sector(content, size, fat_sectors[which]) if which < len(fat_sectors) else None
        if fat is None:
            return
        (number,) = struct.unpack_from("<I", fat, at * 4)


def _sector(content: bytes, size: int, number: int) -> bytes | None:
    """
    Sector `number`, or None where the file has no such whole sector. The header stands before sector 0.

    The marks for an end of chain or a free sector are numbers that no file reaches (MS-CFB 2.1: from 0xFFFFFFFA on).
    """
    start = (number + 1) * size
    return content[start : start + size] if start + size <= len(content) else None


def _stream_names(entries: list[bytes]) -> Iterator[str]:
    """Walk the tree of the root's children (MS-CFB 2.6.4), each entry once."""
    if not entries or entries[0][66] != _ROOT:
        return
    waiting = [_links(entries[0])[2]]
    seen: set[int] = set()
    while waiting:
        number = waiting.pop()
        if number in seen or number >= len(entries):
            continue
        seen.add(number)
        entry = entries[number]
        left, right, _ = _links(entry)
        waiting += left, right
        if entry[66] == _STREAM:
            yield _name(entry)


def _links(entry: bytes) -> tuple[int, int, int]:
    """An entry's left sibling, right sibling and child."""
    left, right, child = struct.unpack_from("<3I", entry, 68)
    return left, right, child


def _name(entry: bytes) -> str:
    """An entry's name: UTF-16 in 64 bytes, with its length in bytes, the ending zero included, behind."""
    (length,) = struct.unpack_from("<H", entry, 64)
    return entry[: min(max(length - 2, 0), 62)].decode("utf-16-le", errors="replace")
