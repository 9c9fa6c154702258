"""What a file that arrives is, by its first bytes and its header, without decoding it.

A small file may decode to more memory than the machine has. What its header announces is checked
here, in the web process; nothing is decoded before a job does it inside its sandbox. The headers
themselves are read by `bl_steer.server.uploads.decoded_size`.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from pathlib import Path

from bl_steer.files.errors import FileFormatError
from bl_steer.files.maps.spreadsheets import OLD_ENDINGS, is_old_book
from bl_steer.files.volumes.nrrd_files import nrrd_bytes
from bl_steer.server.errors import Refused
from bl_steer.server.languages import Sentence
from bl_steer.server.sizes import MIB
from bl_steer.server.uploads.decoded_size import (
    BadHeader,
    CutOff,
    jpeg_shape,
    npy_bytes,
    png_bytes,
    tiff_bytes,
    zip_bytes,
)
from bl_steer.server.uploads.wholeness import check_whole

__all__ = ["MAX_COLUMNS", "Inspected", "inspect_file"]

ALWAYS_FINE = 256 * MIB
"""Decoded size that any machine bears, bytes."""
MAX_RATIO = 250
"""Beyond that: decoded over stored bytes. Label volumes reach 100, bombs 800 and more."""
MAX_DECODED = 16 * 1024 * MIB
MAX_COLUMNS = 20_000
"""Of a CSV: pandas takes 10 s for 300,000."""
CONTROLS = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f\x7f]")
"""Bytes that no text has in any encoding that is read here."""
HEAD = 2 * MIB
"""How much of a text is looked at, bytes."""
SUFFIXES = {
    "png": (".png",),
    "jpeg": (".jpg", ".jpeg"),
    "bmp": (".bmp",),
    "tiff": (".tif", ".tiff"),
    "npy": (".npy",),
    "zip": (".npz", ".zip", ".xlsx", ".ods"),
    "text": (".csv", ".tsv", ".txt", ".hdr"),
    "json": (".json", ".geojson"),
    "roi": (".roi",),
    "hdf5": (".h5", ".hdf5", ".dream3d"),
    "nrrd": (".nrrd",),
}
OTHER_BOOKS = (*OLD_ENDINGS, ".xlsb", ".xlsm", ".xltx", ".numbers")
MEDIA_TYPES = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "bmp": "image/bmp",
    "tiff": "image/tiff",
    "npy": "application/x-npy",
    "zip": "application/zip",
    "text": "text/csv",
    "json": "application/json",
    "roi": "application/octet-stream",
    "hdf5": "application/x-hdf5",
    "nrrd": "application/octet-stream",
}
JSON_FOLD = 10
"""How much more memory the objects of a JSON take than its text."""


@dataclass(frozen=True)
class Inspected:
    """What a file is.

    Parameters
    ----------
    kind : png, jpeg, bmp, tiff, npy, zip, text, json, roi, hdf5 or nrrd
    decoded_bytes : what it takes in memory, as its header says
    """

    kind: str
    media_type: str
    decoded_bytes: int


def inspect_file(path: Path, file_name: str) -> Inspected:
    """Return what a file is; `Refused` where it is not what its name says, or a bomb.

    Parameters
    ----------
    path : where the bytes are
    file_name : as the user calls it
    """
    size = path.stat().st_size
    if size == 0:
        raise Refused(422, "refused.empty_file", file=file_name)
    with path.open("rb") as file:
        if is_old_book(file.read(8)):
            raise Refused(415, "refused.old_book", file=file_name)
    kind = _kind(path)
    suffix = Path(file_name).suffix.lower()
    if kind == "text" and suffix in SUFFIXES["json"]:
        kind = "json"
    if kind is None or suffix not in SUFFIXES[kind]:
        known = ", ".join(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
        key = "refused.old_book" if suffix in OTHER_BOOKS else "refused.file_kind"
        raise Refused(415, key, file=file_name, known=known)
    try:
        decoded = _decoded_bytes(path, kind, file_name)
        check_whole(path, kind)
    except CutOff as error:
        got = f"{size:,}"
        raise Refused(
            422, "refused.file_cut", file=file_name, kind=kind.upper(), got=got
        ) from error
    except BadHeader as error:
        raise Refused(422, "refused.file_header", file=file_name, reason=Sentence(error)) from error
    if decoded > MAX_DECODED or (decoded > ALWAYS_FINE and decoded > MAX_RATIO * size):
        raise Refused(422, "refused.bomb", file=file_name, mib=f"{decoded / MIB:,.0f}")
    return Inspected(kind, MEDIA_TYPES[kind], decoded)


def _kind(path: Path) -> str | None:
    with path.open("rb") as file:
        head = file.read(16)
    signatures = {
        b"\x89PNG\r\n\x1a\n": "png",
        b"\xff\xd8\xff": "jpeg",
        b"BM": "bmp",
        b"II*\0": "tiff",
        b"MM\0*": "tiff",
        b"II+\0": "tiff",
        b"MM\0+": "tiff",
        b"\x93NUMPY": "npy",
        b"PK\x03\x04": "zip",
        b"PK\x05\x06": "zip",
        b"Iout": "roi",
        b"\x89HDF\r\n\x1a\n": "hdf5",
        b"NRRD000": "nrrd",
    }
    detected = next((kind for start, kind in signatures.items() if head.startswith(start)), None)
    if detected == "bmp" and path.suffix and _is_text(path):  # a table may begin with BM
        return "text"
    return detected or ("text" if _is_text(path) else None)


def _is_text(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(HEAD)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _decodes(head, "utf-16")  # "Unicode text" of Excel
    # Which text it is, the job tells: here it is enough that it is no binary file.
    return not CONTROLS.search(head)


def _decodes(head: bytes, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()  # bears a character cut at the end
    try:
        decoder.decode(head)
    except UnicodeDecodeError:
        return False
    return True


def _decoded_bytes(path: Path, kind: str, file_name: str) -> int:
    if kind == "text":
        return _text_bytes(path, file_name)
    if kind == "json":
        return JSON_FOLD * path.stat().st_size
    if kind == "jpeg":
        height, width, channels = jpeg_shape(path)
        return height * width * channels
    if kind == "nrrd":
        try:
            return nrrd_bytes(path)
        except FileFormatError as error:
            raise BadHeader(error) from error
    readers = {"png": png_bytes, "tiff": tiff_bytes, "npy": npy_bytes, "zip": zip_bytes}
    return readers[kind](path) if kind in readers else path.stat().st_size


def _text_bytes(path: Path, file_name: str) -> int:
    with path.open("rb") as file:
        head = file.read(HEAD)
    lines = head.splitlines() or [b""]
    columns = 1 + max(
        max(line.count(separator) for separator in (b",", b";", b"\t")) for line in lines[:200]
    )
    if columns > MAX_COLUMNS or (len(lines) == 1 and len(head) == HEAD):
        raise Refused(422, "refused.columns", file=file_name, most=f"{MAX_COLUMNS:,}")
    return path.stat().st_size
