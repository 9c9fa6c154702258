"""What ``bl-steer slice-and-view`` and ``report`` do: from slices to one HTML file.

Each returns what is printed and written as JSON.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.protocols import AnalysisResult, Table

if TYPE_CHECKING:
    from bl_steer.runs import Run
    from bl_steer.shell import FibSemSession
    from bl_steer.store import Store

__all__ = ["report", "slice_and_view", "true_volume"]

NAME = "reconstruct"
CAP_PX = 96
"""Rows of an image above the specimen: the cap with its marks, and room for drift."""
STATE_FILE = "simulated_fibsem.json"

Tell = Callable[[str], None]


def slice_and_view(
    *,
    family: str,
    seed: int,
    n_slices: int,
    pitch_nm: float,
    edge_px: int,
    faults: str,
    params: Mapping[str, Any],
    out: Path,
    data_dir: Path,
    resumes: str | None = None,
    tell: Tell = lambda text: None,
) -> dict[str, Any]:
    """Take slices on the simulated FIB-SEM, have the chain carried out, and write the report.

    Parameters
    ----------
    family, seed : of the specimen; the seed is the faults' too
    edge_px : of the specimen in an image
    faults : "none", "usual" or "severe"
    params : of the analysis ``reconstruct``
    resumes : uid of a run that was broken off; the instrument is taken up where it stands
    tell : called with a line when each part begins

    Raises
    ------
    RuntimeError
        When the chain failed; the slices are stored.
    """
    from bl_steer.runs import open_run

    _check_folder(out)
    began = perf_counter()
    with _open_instrument(
        family, seed, edge_px, faults, data_dir, fresh=resumes is None
    ) as session:
        broken = None if resumes is None else open_run(session.store, _key(resumes))
        tell(f"taking {n_slices} slices of specimen {family!r}, seed {seed}, faults {faults}")
        plan = session.slice_and_view(
            n_slices=n_slices,
            pitch_nm=pitch_nm,
            marks=session.fibsem.marks,
            resumes=broken,
            analyses=[{"name": NAME, "params": dict(params)}],
        )
        uid, taken = session.run(plan)
        taken_s = perf_counter() - began
        tell(
            f"{taken.n_recorded} slices recorded, {taken.n_missing} missing, "
            f"{taken.n_milled_again} milled again; reconstructing"
        )
        session.wait_for_analyses()
        written = _report_of(session.store, uid, out, tell)
    return {
        **written,
        "run_uid": uid,
        "n_recorded": taken.n_recorded,
        "n_missing": taken.n_missing,
        "n_milled_again": taken.n_milled_again,
        "plan_s": taken_s,
        "duration_s": perf_counter() - began,
    }


def report(
    uid: str, *, out: Path | None, data_dir: Path, tell: Tell = lambda text: None
) -> dict[str, Any]:
    """Write the report of a stored run of slices, or of its analysis ``reconstruct``."""
    from bl_steer.store import Store

    if not data_dir.is_dir():
        raise FileNotFoundError(
            f"the store must be a folder that exists, got {data_dir}; give --data, or measure first"
        )
    if out is not None:
        _check_folder(out)
    with Store.open(data_dir) as store:
        return _report_of(store, uid, out, tell)


def true_volume(start: Mapping[str, Any], result: AnalysisResult) -> NDArray[np.uint8] | None:
    """Return the phases at the depths of a result's planes, (N, H, W); None for a real specimen.

    Parameters
    ----------
    start : document of the raw run
    """
    sample = start.get("sample")
    if not isinstance(sample, Mapping) or sample.get("simulator") != "fibsem":
        return None
    from simulators.fibsem_sample import sections_at

    (top, bottom), (left, right) = result.provenance["window"]
    rows, columns = sample["shape_px"]
    every = sections_at(
        np.asarray(result.arrays["z_nm"]),
        family=str(sample["name"]),
        seed=int(sample["seed"]),
        shape=(int(rows), int(columns)),
        pixel_nm=float(result.provenance["voxel_nm"][1]),
    )
    return np.ascontiguousarray(every[:, top:bottom, left:right])


def _write(result: AnalysisResult, run: Run, out: Path, tell: Tell) -> dict[str, Any]:
    """Write the report of a result into a folder; return what it says in numbers."""
    from bl_steer.analysis.digest import digest_of
    from bl_steer.analysis.reconstruction.comparison import tables_with_truth
    from bl_steer.analysis.reconstruction.report import write_report

    tell("writing the report")
    start = run.start
    truth = true_volume(start, result)
    sample = start.get("sample") or {}
    about = {
        "run": run.uid,
        "taken": datetime.fromtimestamp(start["time"]).isoformat(" ", "minutes"),
        "specimen": ", ".join(f"{key} {value}" for key, value in dict(sample).items()) or "–",
        "conditions": ", ".join(f"{k} {v}" for k, v in start.get("conditions", {}).items()),
    }
    title = f"Slices into structure: {sample.get('name', run.uid[:8])}"
    tables = tables_with_truth(result, truth)
    files = write_report(result, tables, out, title=title, about=about, truth=truth)
    return {
        "report": str(files[0]),
        "files": [str(path) for path in files[1:]],
        "digest": digest_of(result),
        "warnings": list(result.warnings),
        **{key: _plain(tables.get(key)) for key in ("table_1", "table_2", "scores", "leave_out")},
        "resolution_nm": result.provenance["resolution_nm"],
    }


def _report_of(store: Store, uid: str, out: Path | None, tell: Tell) -> dict[str, Any]:
    from bl_steer.analysis import is_analysis
    from bl_steer.analysis.publish import result_of
    from bl_steer.runs import open_run

    found = open_run(store, _key(uid))
    found = found if is_analysis(found.start) else _latest_analysis(store, found.uid)
    about = found.start["analysis"]
    if about.get("name") != NAME:
        raise ValueError(
            f"a report must be of the analysis {NAME!r}, got {about.get('name')!r}; see "
            f"'bl-steer analyse {about['raw_run'][:8]} {NAME}'"
        )
    result = result_of(found, store.frames_dir)
    run = open_run(store, about["raw_run"])
    place = Path(f"report_{run.uid[:8]}") if out is None else out
    return {"analysis_uid": found.uid, **_write(result, run, place, tell)}


def _latest_analysis(store: Store, raw_uid: str) -> Run:
    from bl_steer.analysis import analyses_of
    from bl_steer.runs import open_run

    runs = [open_run(store, uid) for uid in analyses_of(store, raw_uid)]
    ours = [run for run in runs if run.start["analysis"].get("name") == NAME]
    if not ours:
        raise ValueError(
            f"a run must be reconstructed to be reported, got {raw_uid[:8]} without; run 'bl-steer "
            f"analyse {raw_uid[:8]} {NAME}' first"
        )
    return ours[-1]


def _open_instrument(
    family: str, seed: int, edge_px: int, faults: str, data_dir: Path, *, fresh: bool
) -> FibSemSession:
    from bl_steer.shell import open_fibsem

    state = data_dir / STATE_FILE
    if fresh:
        state.unlink(missing_ok=True)
    return open_fibsem(
        family,
        seed=seed,
        shape=(edge_px + CAP_PX, edge_px),
        faults=faults,
        state_file=state,
        data_dir=data_dir,
    )


def _plain(table: Table | None) -> dict[str, list[Any]] | None:
    """Return a table for JSON: NaN, where there is no value, is None."""
    if table is None:
        return None
    return {
        key: [None if value != value else value for value in np.asarray(column).tolist()]
        for key, column in table.items()
    }


def _key(uid: str) -> str | int:
    return int(uid) if re.fullmatch(r"-?\d{1,5}", uid) else uid


def _check_folder(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise NotADirectoryError(f"results must go to a folder, got the file {out}; give another")
    out.mkdir(parents=True, exist_ok=True)
