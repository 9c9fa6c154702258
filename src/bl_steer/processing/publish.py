"""Store results as runs of their own, linked to the raw run, and read them back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bl_steer.files.large_arrays import large_array, let_go
from bl_steer.processing.documents import result_documents
from bl_steer.processing.requests import Request
from bl_steer.protocols import AnalysisResult
from bl_steer.runs import RecordsAlone, Run, open_run
from bl_steer.store import Document, Store, StoreError

__all__ = [
    "AnalysisFailed",
    "is_analysis",
    "open_analysis",
    "publish",
    "publish_documents",
    "result_of",
]


class AnalysisFailed(RuntimeError):
    """The stored analysis has no result; the message is its reason."""


def publish(
    store: Store,
    result: AnalysisResult,
    *,
    raw_uid: str,
    request: Request | None = None,
    began: float | None = None,
) -> str:
    """Store a result as an analysis run of `raw_uid`; return the new run's uid.

    Parameters
    ----------
    request : what was asked for; the result's own name and parameters by default
    began : when the analysis began, s since 1970; now by default
    """
    if request is None:
        provenance = result.provenance
        request = Request(raw_uid, str(provenance["name"]), dict(provenance.get("params") or {}))
    return publish_documents(
        store,
        result_documents(result, request=request, frames_dir=store.frames_dir, began=began),
    )


def publish_documents(store: Store, documents: list[Document]) -> str:
    """Store an analysis run that was made elsewhere, under the store's next scan id."""
    (name, start), *rest = documents
    numbered = {**start, "scan_id": store.metadata.next_scan_id()}
    return store.add_run([(name, numbered), *rest])


def is_analysis(start: Mapping[str, Any]) -> bool:
    """Return whether a start document is that of an analysis run."""
    return isinstance(start.get("analysis"), Mapping) and "raw_run" in start["analysis"]


def open_analysis(store: Store | RecordsAlone, key: str | int) -> AnalysisResult:
    """Read a stored result back: tables and arrays exactly, figures as images.

    Parameters
    ----------
    key : uid of the analysis run, its beginning, its scan id, or -1 for the latest run

    Raises
    ------
    AnalysisFailed
        When the analysis failed.
    ValueError
        When the run is no analysis run.
    StoreError
        When the file of the arrays is gone.
    """
    return result_of(open_run(store, key), store.path / "frames")


def result_of(run: Run, frames_dir: Path) -> AnalysisResult:
    """Return the result in an analysis run; see `open_analysis`."""
    if not is_analysis(run.start):
        raise ValueError(
            "a result must come from an analysis run, got a run of "
            f"{run.start.get('plan_name')!r} ({run.uid}); list the runs to see which there are"
        )
    about = run.start["analysis"]
    if run.status != "success":
        reason = (run.stop or {}).get("reason") or run.status
        raise AnalysisFailed(f"the analysis {about.get('name')!r} ({run.uid}) failed: {reason}")
    return AnalysisResult(
        tables={name: _table(run, name, dtypes) for name, dtypes in about["tables"].items()},
        arrays=_read_arrays(frames_dir / about["file"], about["arrays"]) if about["file"] else {},
        provenance=about["provenance"],
        figures={name: _image(frames_dir / file) for name, file in about["figures"].items()},
        warnings=list(about["warnings"]),
    )


def _table(run: Run, name: str, dtypes: Mapping[str, str]) -> dict[str, NDArray[Any]]:
    stored = run.streams.get(name, {})
    return {key: np.asarray(stored.get(key, ()), dtype=dtype) for key, dtype in dtypes.items()}


def _read_arrays(path: Path, arrays: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    try:
        with h5py.File(path, "r") as file:
            return {name: _array(file[name], about["dtype"]) for name, about in arrays.items()}
    except OSError as error:
        reason = str(error).partition("\n")[0]
        raise StoreError(
            f"the arrays of an analysis must be in a sound HDF5 file, got {reason!r} for {path}; "
            "bring the file back, or repeat the analysis"
        ) from error


def _array(stored: h5py.Dataset, dtype: str) -> NDArray[Any]:
    shape = stored.shape[1:]
    if not shape:
        return np.asarray(stored[0], dtype=dtype)
    array, step = large_array(shape, dtype), (stored.chunks or stored.shape)[1]
    for first in range(0, shape[0], max(1, step)):
        array[first : first + step] = stored[0, first : first + step]
        let_go(array)
    return array


def _image(path: Path) -> Callable[[], Any]:
    def read() -> Any:
        with Image.open(path) as image:
            return image.copy()

    return read
