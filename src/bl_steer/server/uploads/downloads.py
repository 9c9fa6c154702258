"""Files on their way out: names of any script in headers, nothing that a browser would run."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, cast
from urllib.parse import quote

from fastapi import Response
from fastapi.responses import FileResponse, StreamingResponse

from bl_steer.server.db.tables import JobOutput
from bl_steer.server.errors import Refused
from bl_steer.server.uploads.blobs import FileStore, StoredFileMissing

__all__ = ["SANDBOX", "disposition", "file_response", "zip_response"]

BLOCK = 2**20
SHOWN = ("image/png",)
"""What a browser may show by itself; all else is saved."""
SANDBOX = "default-src 'none'; sandbox"


def disposition(file_name: str, *, inline: bool = False) -> str:
    r"""Return a ``Content-Disposition`` for a name of any script (RFC 6266, RFC 5987).

    Examples
    --------
    >>> disposition("試料.csv")
    'attachment; filename="__.csv"; filename*=UTF-8\'\'%E8%A9%A6%E6%96%99.csv'
    """
    plain = "".join(
        char if char.isascii() and char.isprintable() and char not in '"\\;%' else "_"
        for char in file_name
    )
    kind = "inline" if inline else "attachment"
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(file_name, safe='')}"


def file_response(
    store: FileStore, sha256: str, file_name: str, media_type: str, *, save: bool = True
) -> Response:
    """Return a stored file.

    Parameters
    ----------
    save : to be saved, even where a browser may show it
    """
    inline = media_type in SHOWN and not save
    headers = {
        "Content-Disposition": disposition(file_name, inline=inline),
        "Content-Security-Policy": SANDBOX,
        "Cache-Control": "private, max-age=3600, immutable",
        "ETag": f'"{sha256}"',
    }
    kind = media_type if inline or media_type == "text/csv" else "application/octet-stream"
    try:
        if store.is_local:
            path = store.path_for(sha256, Path())
            return FileResponse(path, media_type=kind, headers=headers)
        blocks = _blocks(store, sha256)
        first = next(blocks, b"")
    except StoredFileMissing:
        raise Refused(410, "refused.gone") from None
    return StreamingResponse(_after(first, blocks), media_type=kind, headers=headers)


def zip_response(store: FileStore, outputs: Sequence[JobOutput], file_name: str) -> Response:
    """Return files as one zip, packed while it is sent."""
    return StreamingResponse(
        _zipped(store, outputs),
        media_type="application/zip",
        headers={"Content-Disposition": disposition(file_name)},
    )


def _after(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _blocks(store: FileStore, sha256: str) -> Iterator[bytes]:
    with store.open(sha256) as file:
        while block := file.read(BLOCK):
            yield block


class _Sink:
    """What a zip is written into, taken out piece by piece."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, piece: bytes) -> int:
        self._pieces.append(bytes(piece))
        return len(piece)

    def flush(self) -> None:
        """Do nothing: pieces are taken out as they come."""

    def take(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def _zipped(store: FileStore, outputs: Sequence[JobOutput]) -> Iterator[bytes]:
    sink = _Sink()
    with zipfile.ZipFile(
        cast(IO[bytes], sink), "w", zipfile.ZIP_DEFLATED, compresslevel=1
    ) as archive:
        for output in outputs:
            entry = zipfile.ZipInfo(output.name, date_time=(1980, 1, 1, 0, 0, 0))
            packed = output.media_type in ("image/png", "application/zip", "application/x-hdf5")
            entry.compress_type = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=output.size > 2**31) as member:
                for block in _blocks(store, output.sha256):
                    member.write(block)
                    yield sink.take()
    yield sink.take()
