"""The report of a stored run of slices, with the truth beside it where a simulator knows it.

`bl_steer.analysis.reconstruction.report` makes the file; this finds what goes into it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis import reconstruction
from bl_steer.files.large_arrays import large_array, let_go
from bl_steer.processing import analyses_of, digest_of, is_analysis
from bl_steer.processing.executors.part_processes import each_result
from bl_steer.processing.publish import result_of
from bl_steer.protocols import AnalysisResult, Progress
from bl_steer.runs import Run, open_named, open_run
from bl_steer.stages import STAGES, Stages
from bl_steer.store import Store, merge_sample
from simulators import electron

__all__ = ["NAME", "report_of", "sample_of", "true_volume"]

NAME = "reconstruct"
REPORTED = ("table_1", "table_2", "scores", "leave_out")
EXPECTED = {"simulate": 4.0, "measure_truth": 5.0, "write": 2.0}
"""Of the stages of a report, in proportion."""
PLANES = 64
"""Of a truth, made at a time."""
UNITS = ("nm", "um", "px", "kV", "s", "us")
"""That names of conditions end in."""


def report_of(
    store: Store, uid: str | int, out: Path | None, progress: Progress | None = None
) -> dict[str, Any]:
    """Write the report of a run that was reconstructed; return what it says in numbers.

    Parameters
    ----------
    uid : of the run, its beginning, its scan id or -1; or of its analysis ``reconstruct``
    out : folder of the report; ``report_UID`` by default
    progress : called with the steps of the stages "report" of `bl_steer.stages`

    Raises
    ------
    KeyError, ValueError
        When there is no such run, or it was not reconstructed.
    """

    analysed = open_named(store, str(uid))
    if not is_analysis(analysed.start):
        analysed = _latest_analysis(store, analysed.uid)
    about = analysed.start["analysis"]
    if about.get("name") != NAME:
        raise ValueError(
            f"a report must be of the analysis {NAME!r}, got {about.get('name')!r}; see "
            f"'bl-steer analyse {about['raw_run'][:8]} {NAME}'"
        )
    if about.get("version") != reconstruction.Reconstruct.version:
        raise ValueError(
            f"a report must be of version {reconstruction.Reconstruct.version} of {NAME!r}, got "
            f"{about.get('version')}; 'bl-steer analyse {about['raw_run'][:8]} {NAME} --data "
            f"{store.path}' analyses the run anew"
        )
    result = result_of(analysed, store.frames_dir)
    run = open_run(store, about["raw_run"])
    folder = Path(f"report_{run.uid[:8]}") if out is None else out
    return {"analysis_uid": analysed.uid, **_write(result, run, folder, progress)}


def true_volume(
    start: Mapping[str, Any], result: AnalysisResult, progress: Progress | None = None
) -> NDArray[np.uint8] | None:
    """Return the phases at the depths of a result's planes, (N, H, W); None for a real specimen.

    Parameters
    ----------
    start : document of the raw run
    """
    sample = sample_of(start)
    if sample.get("simulator") != "fibsem":
        return None
    (top, bottom), (left, right) = result.provenance["window"]
    rows, columns = sample["shape_px"]
    depths = np.asarray(result.arrays["z_nm"])
    truth = large_array((len(depths), bottom - top, right - left), np.uint8)
    sections_at = partial(
        electron.sections_at,
        family=str(sample.get("family", sample["name"])),
        seed=int(sample["seed"]),
        shape=(int(rows), int(columns)),
        pixel_nm=float(result.provenance["voxel_nm"][1]),
    )
    parts = [slice(first, first + PLANES) for first in range(0, len(depths), PLANES)]
    found = each_result(sections_at, parts, load=lambda few: depths[few])
    with closing(found):  # its processes end here, also after Ctrl-C
        for done, (number, sections) in enumerate(found, start=1):
            truth[parts[number]] = sections[:, top:bottom, left:right]
            let_go(truth)
            if progress is not None:
                progress(done, len(parts))
    return truth


def _write(
    result: AnalysisResult, run: Run, out: Path, progress: Progress | None
) -> dict[str, Any]:
    """Write the report of a result into a folder; return what it says in numbers."""
    start = run.start
    stages = Stages(STAGES["report"], EXPECTED, progress)
    truth = true_volume(start, result, stages.of("simulate"))
    sample = sample_of(start)
    about = {
        "run": run.uid,
        "taken": datetime.fromtimestamp(start["time"]).isoformat(" ", "minutes"),
        "specimen": _words(sample),
        "conditions": _words(start.get("conditions", {})),
    }
    title = f"Slices into structure: {sample.get('name', run.uid[:8])}"
    measuring = stages.of("measure_truth")
    tables = reconstruction.tables_with_truth(result, truth, measuring)
    stages.of("write")
    files = reconstruction.write_report(result, tables, out, title=title, about=about, truth=truth)
    return {
        "report": str(files[0]),
        "files": [str(path) for path in files[1:]],
        "digest": digest_of(result),
        "warnings": list(result.warnings),
        **{
            key: reconstruction.plain_table(tables.get(key))
            for key in ("table_1", "table_2", "scores", "leave_out")
        },
        "resolution_nm": result.provenance["resolution_nm"],
    }


def sample_of(start: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what is known of a run's sample; a RunEngine without a session may give its name."""
    return merge_sample({}, start.get("sample") or {})


def _words(known: Mapping[str, Any]) -> str:
    """Return what is known by name, each with the unit that its name ends in.

    >>> _words({"name": "grains", "pixel_size_nm": 10.0, "shape_px": [288, 192]})
    'name grains, pixel size 10 nm, shape 288 × 192 px'
    """
    words = []
    for key, value in known.items():
        name, _, unit = key.rpartition("_")
        if unit not in UNITS:
            name, unit = key, ""
        values = value if isinstance(value, list | tuple) else [value]
        text = " × ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in values)
        words.append(f"{name.replace('_', ' ')} {text} {unit}".rstrip())
    return ", ".join(words) or "–"


def _latest_analysis(store: Store, raw_uid: str) -> Run:
    runs = [open_run(store, uid) for uid in analyses_of(store, raw_uid)]
    reconstructions = [run for run in runs if run.start["analysis"].get("name") == NAME]
    if not reconstructions:
        raise ValueError(
            f"a run must be reconstructed to be reported, got {raw_uid[:8]} without; run 'bl-steer "
            f"analyse {raw_uid[:8]} {NAME} --data {store.path}' first"
        )
    return reconstructions[-1]
