"""How large files say they are: headers of PNG, JPEG, TIFF, npy and zip, read in a few kilobytes.

Own readers, because a library's opens more than the header, and the files are strangers'.

References
----------
PNG: ISO/IEC 15948; JPEG: ITU-T T.81, B.2.2; TIFF 6.0 (Adobe 1992) and BigTIFF; ZIP: PKWARE
APPNOTE 6.3.10, 4.3.
"""

from __future__ import annotations

import os
import struct
import tokenize
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from numpy.lib import format as npy

__all__ = [
    "BadHeader",
    "CutOff",
    "jpeg_shape",
    "npy_bytes",
    "png_bytes",
    "tiff_bytes",
    "tiff_description",
    "tiff_segments",
    "zip_bytes",
]

MAX_PAGES = 20_000
MAX_TAGS = 1_000
MAX_ENTRIES = 100_000
MAX_DIRECTORY = 32 * 2**20
PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
WIDTH, HEIGHT, BITS, DESCRIPTION, CHANNELS = 256, 257, 258, 270, 277
MAX_DESCRIPTION = 2**20
UNREADABLE = (
    *(ValueError, TypeError, SyntaxError, EOFError, RecursionError, MemoryError),
    tokenize.TokenError,
)
"""What numpy raises for a header that is no Python literal."""
SEGMENTS = {273: 279, 324: 325}
"""Tags of the offsets of strips and tiles, each with that of their counts of bytes."""
MAX_SEGMENTS = 2**20
TABLES = {320: 2, 347: 1}
"""Tags of colours and of the tables of JPEG, without which nothing decodes, with bytes of one."""
TIFF_TYPES = {1: "B", 3: "H", 4: "I", 16: "Q"}


class BadHeader(ValueError):
    """The header is not what it should be; the message says how."""


class CutOff(BadHeader):
    """The end of a file is missing, as after a copy that was broken off."""


def png_bytes(path: Path) -> int:
    """Return the decoded size of a PNG, bytes."""
    with path.open("rb") as file:
        head = file.read(33)
    if len(head) < 33 or head[12:16] != b"IHDR":
        raise BadHeader("PNG without IHDR")
    width, height, depth, colour = struct.unpack(">IIBB", head[16:26])
    if colour not in PNG_CHANNELS or depth not in (1, 2, 4, 8, 16) or not width or not height:
        raise BadHeader(f"PNG of {width} × {height}, {depth} bit, colour type {colour}")
    return int(width * height * PNG_CHANNELS[colour] * max(1, depth // 8))


def jpeg_shape(path: Path) -> tuple[int, int, int]:
    """Return height, width and channels of a JPEG, from its frame header."""
    with path.open("rb") as file:
        file.read(2)
        for _ in range(1000):
            marker = file.read(2)
            if len(marker) < 2 or marker[0] != 0xFF:
                break
            if marker[1] == 0xFF:
                file.seek(-1, os.SEEK_CUR)
                continue
            raw = file.read(2)
            if len(raw) < 2:
                break
            length = struct.unpack(">H", raw)[0]
            if marker[1] in range(0xC0, 0xD0) and marker[1] not in (0xC4, 0xC8, 0xCC):
                frame = file.read(6)
                if len(frame) == 6:
                    height, width, channels = struct.unpack(">xHHB", frame)
                    return height, width, channels
                break
            file.seek(max(length - 2, 0), os.SEEK_CUR)
    raise BadHeader("JPEG without a frame")


def tiff_bytes(path: Path) -> int:
    """Return the decoded size of all pages of a TIFF, bytes."""
    total = 0
    with path.open("rb") as file:
        for tags in _pages(file):
            width, height = tags.get(WIDTH, 0), tags.get(HEIGHT, 0)
            if not width or not height:
                raise BadHeader("TIFF page without width or height")
            total += width * height * tags.get(CHANNELS, 1) * max(1, (tags.get(BITS, 1) + 7) // 8)
    return total


def tiff_description(file: IO[bytes]) -> bytes:
    """Return what the first page of a TIFF says of itself, as far as it is of a usual length."""
    order, big, offset = _tiff_start(file)
    _seek(file, offset)
    count = _unpack(file, order + ("Q" if big else "H"))
    entry, form = (20, "Q") if big else (12, "I")
    entries = file.read(min(count, MAX_TAGS) * entry)
    for at in range(0, len(entries) - entry + 1, entry):
        if struct.unpack_from(order + "H", entries, at)[0] == DESCRIPTION:
            length = struct.unpack_from(order + form, entries, at + 4)[0]
            value = at + (12 if big else 8)
            room = struct.calcsize(form)
            if length <= room:
                return entries[value : value + length]
            _seek(file, struct.unpack_from(order + form, entries, value)[0])
            return file.read(min(length, MAX_DESCRIPTION))
    return b""


def tiff_segments(file: IO[bytes]) -> Iterator[tuple[int, int]]:
    """Yield offset and bytes of each strip, tile and table of the pages of a TIFF."""
    file.seek(0)
    order, big, _ = _tiff_start(file)
    for _, entries in _directories(file):
        values = {
            struct.unpack_from(order + "H", entries, at)[0]: at
            for at in range(0, len(entries), 20 if big else 12)
        }
        for offsets, counts in SEGMENTS.items():
            if offsets in values and counts in values:
                starts, sizes = (
                    _values(file, entries, values[tag], order, big) for tag in (offsets, counts)
                )
                yield from zip(starts, sizes, strict=False)
        for tag in TABLES.keys() & values.keys():
            form = order + ("QQ" if big else "II")
            number, start = struct.unpack_from(form, entries, values[tag] + 4)
            if number * TABLES[tag] > (8 if big else 4):
                yield start, number * TABLES[tag]


def _values(file: IO[bytes], entries: bytes, offset: int, order: str, big: bool) -> tuple[int, ...]:
    """Return all numbers of an entry; none where it has too many, or they are of another kind."""
    kind = struct.unpack_from(order + "H", entries, offset + 2)[0]
    number = struct.unpack_from(order + ("Q" if big else "I"), entries, offset + 4)[0]
    if kind not in TIFF_TYPES or number > MAX_SEGMENTS:
        return ()
    form = f"{order}{number}{TIFF_TYPES[kind]}"
    at, room = offset + (12 if big else 8), 8 if big else 4
    if struct.calcsize(form) <= room:
        return struct.unpack_from(form, entries, at)
    _seek(file, struct.unpack_from(order + ("Q" if big else "I"), entries, at)[0])
    raw = file.read(struct.calcsize(form))
    if len(raw) < struct.calcsize(form):
        raise CutOff("TIFF that ends before its directories do")
    return struct.unpack(form, raw)


def _tiff_start(file: IO[bytes]) -> tuple[str, bool, int]:
    """Return the byte order of a TIFF, whether it is a BigTIFF, and where its first page is."""
    head = file.read(16)
    order = "<" if head[:2] == b"II" else ">"
    big = head[2:4] in (b"+\0", b"\0+")
    start, form = (8, "Q") if big else (4, "I")
    if len(head) < start + struct.calcsize(form):
        raise CutOff("TIFF that ends in its header")
    return order, big, struct.unpack_from(order + form, head, start)[0]


def _pages(file: IO[bytes]) -> Iterator[dict[int, int]]:
    """Yield the numbers of each page's directory: tag to its first value."""
    file.seek(0)
    order, big, _ = _tiff_start(file)
    for entry, entries in _directories(file):
        yield {
            tag: value
            for offset in range(0, len(entries), entry)
            for tag, value in [_entry(file, entries, offset, order, big)]
            if value is not None
        }


def _directories(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield the entries of each page's directory, with the bytes of one."""
    file.seek(0)
    order, big, offset = _tiff_start(file)
    count_form, entry, offset_form = ("Q", 20, "Q") if big else ("H", 12, "I")
    seen: set[int] = set()
    while offset:
        if offset in seen or len(seen) >= MAX_PAGES:
            raise BadHeader(f"TIFF with a loop, or more than {MAX_PAGES} pages")
        seen.add(offset)
        _seek(file, offset)
        count = _unpack(file, order + count_form)
        if not 0 < count <= MAX_TAGS:
            raise BadHeader(f"TIFF page of {count} tags")
        entries = file.read(count * entry)
        if len(entries) < count * entry:
            raise CutOff("TIFF that ends in a page's directory")
        yield entry, entries
        _seek(file, offset + struct.calcsize(order + count_form) + count * entry)
        offset = _unpack(file, order + offset_form)


def _entry(
    file: IO[bytes], entries: bytes, offset: int, order: str, big: bool
) -> tuple[int, int | None]:
    tag, kind = struct.unpack_from(order + "HH", entries, offset)
    if tag not in (WIDTH, HEIGHT, BITS, CHANNELS) or kind not in TIFF_TYPES:
        return tag, None
    number = struct.unpack_from(order + ("Q" if big else "I"), entries, offset + 4)[0]
    form = order + TIFF_TYPES[kind]
    at, room = offset + (12 if big else 8), 8 if big else 4
    if number * struct.calcsize(form) <= room:
        return tag, struct.unpack_from(form, entries, at)[0]
    _seek(file, struct.unpack_from(order + ("Q" if big else "I"), entries, at)[0])
    return tag, _unpack(file, form)


def _seek(file: IO[bytes], offset: int) -> None:
    try:
        file.seek(offset)
    except (OSError, ValueError, OverflowError) as error:  # 64 bits lead further than any file may
        raise CutOff("TIFF that ends before its directories do") from error


def _unpack(file: IO[bytes], form: str) -> int:
    raw = file.read(struct.calcsize(form))
    if len(raw) < struct.calcsize(form):
        raise CutOff("TIFF that ends before its directories do")
    value: int = struct.unpack(form, raw)[0]
    return value


def npy_bytes(path: Path) -> int:
    """Return the size of an array in a ``.npy``, bytes; it must be there in full."""
    with path.open("rb") as file:
        size, header = _npy(file)
    if size + header > path.stat().st_size:
        raise CutOff(f"npy that announces {size} bytes and has fewer")
    return size


def _npy(file: IO[bytes]) -> tuple[int, int]:
    """Return the size of the array and that of the header, bytes."""
    try:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(file, max_header_size=10_000)
    except UNREADABLE as error:
        raise BadHeader(f"npy whose header cannot be read ({type(error).__name__})") from error
    if dtype.hasobject:
        raise BadHeader("npy of Python objects (a pickle)")
    if min(shape, default=0) < 0:
        raise BadHeader(f"npy of the shape {shape}")
    size = dtype.itemsize
    for edge in shape:
        size *= edge
    return size, file.tell()


def zip_bytes(path: Path) -> int:
    """Return the unpacked size of a zip or npz, bytes; no member may lead out of a folder."""
    _check_directory(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise BadHeader("zip whose directory cannot be read") from error
    for member in members:
        name = member.filename.replace("\\", "/")
        if name.startswith("/") or ".." in name.split("/") or ":" in name:
            raise BadHeader(f"zip with the path {member.filename[:80]!r}")
    return sum(member.file_size for member in members)


def _check_directory(path: Path) -> None:
    """Refuse a directory that would fill the memory, before anything reads it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - 65_557))
        tail = file.read()
    at = tail.rfind(b"PK\5\6")
    if at < 0 or at + 22 > len(tail):
        raise CutOff("zip that is cut off: its directory, at the end, is not there")
    entries, length = struct.unpack_from("<HI", tail, at + 10)
    far = at - 76  # where a zip64's own end record must be
    if far >= 0 and tail[at - 20 : at - 16] == b"PK\6\7" and tail[far : far + 4] == b"PK\6\6":
        entries, length = struct.unpack_from("<QQ", tail, far + 32)
    if entries > MAX_ENTRIES or length > MAX_DIRECTORY:
        raise BadHeader(f"zip of {entries} files, directory of {length} bytes")
