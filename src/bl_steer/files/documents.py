"""Documents of recorded Bluesky runs from files: JSON lines, or msgpack.

A line, or an object of msgpack, is ``[name, doc]`` or ``{"name": …, "doc": …}``. Runs of one's own
store are opened by `bl_steer.runs.open_run`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import numpy as np

from bl_steer.files.errors import FileFormatError

__all__ = ["are_documents", "read_run_documents"]

NAMES = ("start", "descriptor", "event", "event_page", "stop", "resource", "datum", "datum_page")
STREAMS = ("stream_resource", "stream_datum")
MSGPACK = (b"\x92", b"\x82")
"""How an array or a mapping of two begins."""
BLANK = b" \t\r\n"


def are_documents(path: Path) -> bool:
    """Return whether a file begins as documents do."""
    with path.open("rb") as file:
        head = file.read(64).lstrip(BLANK)
    return head.startswith((b"{", b"[", *MSGPACK))


def read_run_documents(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return the documents of the only run of a file, in their order.

    Raises
    ------
    FileFormatError
        When they are no documents, or there are several runs.
    """
    with path.open("rb") as file:
        is_text = not file.read(1).startswith(MSGPACK)
    documents = []
    for number, item in enumerate(_json_lines(path) if is_text else _unpacked(path), start=1):
        pair = (item.get("name"), item.get("doc")) if isinstance(item, dict) else tuple(item or ())
        if len(pair) != 2 or pair[0] not in (*NAMES, *STREAMS) or not isinstance(pair[1], dict):
            raise FileFormatError(
                f"must hold documents [name, doc], got {str(item)[:40]!r} as number {number}; "
                "export the run as JSON lines"
            )
        documents.append((str(pair[0]), pair[1]))
    starts = [doc for name, doc in documents if name == "start"]
    if len(starts) != 1:
        scans = ", ".join(str(doc.get("scan_id")) for doc in starts[:8])
        raise FileFormatError(
            f"must hold one run, got {len(starts)} start documents"
            f"{f' (scan ids {scans}, …)' if starts else ''}; give each run as a file of its own"
        )
    return documents


def _json_lines(path: Path) -> Iterator[Any]:
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            try:
                if line.strip():
                    yield json.loads(line)
            except ValueError as error:
                raise FileFormatError(
                    f"must hold a document a line, got a fault in line {number} "
                    f"({str(error)[:60]}); the writer may have died within it, take it out"
                ) from error


def _unpacked(path: Path) -> Iterator[Any]:
    with path.open("rb") as file:
        try:
            unpacker = msgpack.Unpacker(file, object_hook=_array, strict_map_key=False)
            yield from unpacker
            if unpacker.tell() < path.stat().st_size:  # it ends without a word in half an object
                raise ValueError(f"half a document behind byte {unpacker.tell()}")
        except (ValueError, msgpack.exceptions.UnpackException) as error:
            raise FileFormatError(
                f"must hold whole msgpack, got a fault ({str(error)[:60]}); copy it anew"
            ) from error


def _array(item: dict[Any, Any]) -> Any:
    """Return an array as msgpack_numpy writes it; pickled objects are refused."""
    if item.get(b"nd") is not True and item.get("nd") is not True:
        return item
    fields = {key.decode() if isinstance(key, bytes) else key: v for key, v in item.items()}
    dtype = np.dtype(
        fields["type"].decode() if isinstance(fields["type"], bytes) else fields["type"]
    )
    if dtype.hasobject:
        raise FileFormatError("must hold numbers, got pickled objects; save arrays of numbers")
    return np.frombuffer(fields["data"], dtype).reshape(fields["shape"])
