"""What a file of another kind is, by its first bytes: for messages."""

from __future__ import annotations

from pathlib import Path

__all__ = ["ZIP", "content_of"]

ZIP = "a zip of other files"

KINDS = {
    b"PK": ZIP,
    b"\x89HDF": "HDF5",
    b"\xef\xbb\xbf<": "XML",
    b"<": "XML",
    b"\xff\xfe<": "XML",
    b"\x89PNG": "a PNG",
    b"\xff\xd8\xff": "a JPEG",
    b"II": "a TIFF",
    b"MM": "a TIFF",
    b"\x93NUMPY": "an .npy array",
    b"\x80": "a pickle",
}


def content_of(path: Path) -> str:
    """Return in words what a file holds, as far as its first bytes tell."""
    with path.open("rb") as file:
        head = file.read(512)
    if not head:
        return "an empty file"
    for start, words in KINDS.items():
        if head.startswith(start):
            return words
    return "text" if b"\0" not in head and head.isascii() else "binary data of another kind"
