"""A result as the documents of a run, with its arrays and figures in files beside the frames.

`bl_steer.processing.publish` stores them and reads them back.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import h5py
import numpy as np
from numpy.typing import NDArray

from bl_steer import plotting
from bl_steer.files.large_arrays import let_go
from bl_steer.processing.digest import digest_of, json_values
from bl_steer.processing.requests import Request
from bl_steer.protocols import AnalysisResult, Table
from bl_steer.store import Document

__all__ = ["ARRAYS", "PLAN_NAME", "columns_of", "failure_documents", "result_documents"]

PLAN_NAME = "analysis"
ARRAYS = "arrays"
"""Name of the stream that refers to the arrays' file; no table may have it."""
STAMPS = ("seq_num", "time")
WHOLE_CHUNK = 64 * 2**20
"""Arrays up to this size, bytes, are one chunk in the file."""
TRACEBACK = 20_000
"""Characters that are kept of a traceback, from its end."""


def result_documents(
    result: AnalysisResult, *, request: Request, frames_dir: Path, began: float | None = None
) -> list[Document]:
    """Write a result's arrays and figures, and return the documents of its analysis run.

    Parameters
    ----------
    frames_dir : the store's folder for what is too large for documents
    began : when the analysis began, s since 1970; now by default

    Raises
    ------
    ValueError
        When a table or a name cannot be stored; the message says which.

    Notes
    -----
    Each table is a stream of one event a row. The stream ``arrays`` has one event; each of its
    keys refers to the dataset ``/{name}`` in ``{uid}.h5``, shape (1, …), so that Tiled gives the
    array as ``run["arrays"][name][0]``. Empty and zero-dimensional arrays are in the file only.
    """
    uid, began = str(uuid4()), time.time() if began is None else began
    tables = {name: _checked_table(name, table) for name, table in result.tables.items()}
    arrays = {name: _checked_array(name, array) for name, array in result.arrays.items()}
    path = frames_dir.absolute() / f"{uid}.h5"
    if arrays:
        _write_arrays(path, arrays)
    figures, problems = _write_figures(frames_dir, uid, result)
    provenance = json_values(result.provenance)
    about = {
        **_about(request),
        **{key: provenance.get(key) for key in ("name", "version", "params", "weights")},
        "digest": digest_of(result),
        "warnings": [*result.warnings, *problems],
        "provenance": provenance,
        "tables": {name: {k: c.dtype.str for k, c in t.items()} for name, t in tables.items()},
        "arrays": {n: {"dtype": a.dtype.str, "shape": list(a.shape)} for n, a in arrays.items()},
        "file": path.name if arrays else None,
        "figures": figures,
    }
    start = {"uid": uid, "time": began, "plan_name": PLAN_NAME, "analysis": about}
    streams = [*_table_streams(tables, uid), *_array_stream(arrays, path, uid)]
    counts = {name: len(next(iter(table.values()))) for name, table in tables.items() if table}
    counts |= {ARRAYS: 1} if streams and arrays else {}
    return [("start", start), *streams, ("stop", _stop(uid, "success", "", counts))]


def failure_documents(
    reason: str, *, request: Request, traceback: str = "", began: float | None = None
) -> list[Document]:
    """Return the documents of an analysis that failed, with the reason in one line."""
    uid, began = str(uuid4()), time.time() if began is None else began
    about = {**_about(request), "name": request.name, "params": json_values(request.params)}
    start = {"uid": uid, "time": began, "plan_name": PLAN_NAME, "analysis": about}
    stop = _stop(uid, "fail", " ".join(reason.split()), {})
    return [("start", start), ("stop", {**stop, "traceback": traceback[-TRACEBACK:]})]


def _about(request: Request) -> dict[str, Any]:
    named = {"name": request.name, "params": json_values(request.params)}
    return {"raw_run": request.raw_uid, "request": named}


def _stop(uid: str, status: str, reason: str, counts: Mapping[str, int]) -> dict[str, Any]:
    return {
        "uid": str(uuid4()),
        "run_start": uid,
        "time": time.time(),
        "exit_status": status,
        "reason": reason,
        "num_events": dict(counts),
    }


def _table_streams(tables: Mapping[str, Table], uid: str) -> Iterator[Document]:
    for name, table in tables.items():
        keys = {key: _data_key(column, "analysis", ()) for key, column in table.items()}
        descriptor = _descriptor(name, keys, uid)
        yield "descriptor", descriptor
        rows = len(next(iter(table.values()))) if table else 0
        if rows:
            data = {key: column.tolist() for key, column in table.items()}
            yield "event_page", _page(descriptor, data, rows)


def _array_stream(arrays: Mapping[str, NDArray[Any]], path: Path, uid: str) -> Iterator[Document]:
    served = {name: array for name, array in arrays.items() if array.ndim and array.size > 1}
    if not served:
        return
    keys = {
        name: {**_data_key(array, path.name, array.shape), "external": "STREAM:"}
        for name, array in served.items()
    }
    descriptor = _descriptor(ARRAYS, keys, uid)
    yield "descriptor", descriptor
    for name, array in served.items():
        resource = {
            "uid": str(uuid4()),
            "run_start": uid,
            "mimetype": "application/x-hdf5",
            "uri": f"file://localhost{path}",
            "data_key": name,
            "parameters": {"dataset": f"/{name}", "chunk_shape": [1, *_chunks(array)]},
        }
        yield "stream_resource", resource
        yield (
            "stream_datum",
            {
                "uid": f"{resource['uid']}/0",
                "stream_resource": resource["uid"],
                "descriptor": descriptor["uid"],
                "indices": {"start": 0, "stop": 1},
                "seq_nums": {"start": 1, "stop": 2},
            },
        )


def _data_key(array: NDArray[Any], source: str, shape: tuple[int, ...]) -> dict[str, Any]:
    names = {"b": "boolean", "i": "integer", "u": "integer", "f": "number", "U": "string"}
    return {
        "source": source,
        "dtype": "array" if shape else names[array.dtype.kind],
        "dtype_numpy": array.dtype.str,
        "shape": list(shape),
    }


def _descriptor(name: str, keys: Mapping[str, Any], uid: str) -> dict[str, Any]:
    return {
        "uid": str(uuid4()),
        "run_start": uid,
        "time": time.time(),
        "name": name,
        "data_keys": dict(keys),
        "configuration": {},
        "hints": {},
        "object_keys": {PLAN_NAME: list(keys)},
    }


def _page(descriptor: Mapping[str, Any], data: dict[str, list[Any]], rows: int) -> dict[str, Any]:
    now = time.time()
    return {
        "uid": [str(uuid4()) for _ in range(rows)],
        "descriptor": descriptor["uid"],
        "seq_num": list(range(1, rows + 1)),
        "time": [now] * rows,
        "data": data,
        "timestamps": {key: [now] * rows for key in data},
        "filled": {},
    }


def _checked_table(name: str, table: Table) -> dict[str, NDArray[Any]]:
    columns = columns_of(name, table)
    _check_names(f"table {name!r}", [name, *columns])
    if name == ARRAYS or set(columns) & set(STAMPS) or any(k.startswith("ts_") for k in columns):
        raise ValueError(
            f"tables must not be called {ARRAYS!r} nor have columns 'seq_num', 'time' or 'ts_…', "
            f"which the stored form needs, got table {name!r} with {list(columns)}; rename it"
        )
    return columns


def columns_of(name: str, table: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Return a table's columns as arrays, texts as such; `ValueError` where they make no table."""
    columns = {key: _column(np.asarray(column)) for key, column in table.items()}
    if len({column.shape for column in columns.values()}) > 1 or any(
        column.ndim != 1 or column.dtype.kind not in "biufU" for column in columns.values()
    ):
        got = {key: f"{column.dtype} {column.shape}" for key, column in columns.items()}
        raise ValueError(
            f"table {name!r} must have columns of one length, of numbers or text, got {got}; put "
            "anything else into the arrays"
        )
    return columns


def _column(column: NDArray[Any]) -> NDArray[Any]:
    text = column.dtype.kind in "OT" and all(isinstance(value, str) for value in column.ravel())
    return column.astype(str) if text else column


def _checked_array(name: str, array: NDArray[Any]) -> NDArray[Any]:
    array = np.asarray(array)
    _check_names("the arrays", [name])
    if array.dtype.kind not in "biuf":
        raise ValueError(
            f"the array {name!r} must hold real numbers, got {array.dtype}; store text in a table, "
            "and complex numbers as two arrays"
        )
    return array


def _check_names(what: str, names: list[str]) -> None:
    bad = [name for name in names if not name or set("./") & set(name)]
    if bad:
        raise ValueError(f"names in {what} must hold no '.' or '/', got {bad}; rename them")


def _write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    with h5py.File(path, "w", libver="latest") as file:
        for name, array in arrays.items():
            if not (array.size and array.ndim):
                file.create_dataset(name, data=array[None])
                continue
            # Label maps shrink much; measured or computed floats hardly do.
            packing = {"compression": "gzip", "compression_opts": 1}
            options = packing if array.dtype.kind in "biu" else {}
            chunks = _chunks(array)
            stored = file.create_dataset(
                name, (1, *array.shape), array.dtype, chunks=(1, *chunks), **options
            )
            for first in range(0, len(array), chunks[0]):
                stored[0, first : first + chunks[0]] = array[first : first + chunks[0]]
                let_go(array)


def _chunks(array: NDArray[Any]) -> tuple[int, ...]:
    """Return how much of an array is stored at a time: all of it, or slabs of its first axis."""
    if array.nbytes <= WHOLE_CHUNK:
        return array.shape
    slab = max(1, WHOLE_CHUNK // max(1, array.nbytes // len(array)))
    return (slab, *array.shape[1:])


def _write_figures(
    folder: Path, uid: str, result: AnalysisResult
) -> tuple[dict[str, str], list[str]]:
    """Draw the figures; return their files, and a sentence for each that failed."""
    files, problems = {}, []
    for name, draw in result.figures.items():
        file = f"{uid}-{name}.png"
        try:
            with plotting.with_japanese():
                draw().savefig(folder / file, dpi=150)
        except Exception as error:  # a picture is not worth a result
            problems.append(f"figure {name!r} was not drawn: {type(error).__name__}: {error}")
        else:
            files[name] = file
    return files, problems
