"""What ``bl-steer map-film`` does with stored maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bl_steer import runs
from bl_steer.analysis.film.recorded import inputs_of_runs
from bl_steer.files.atomic import check_place
from bl_steer.plotting import check_figure
from bl_steer.processing.digest import digest_of
from bl_steer.processing.registry import find_analysis, make_params
from bl_steer.processing.result_folder import write_result
from bl_steer.protocols import Progress
from bl_steer.store import Store

__all__ = ["map_film"]


def map_film(
    uids: Sequence[str],
    *,
    data_dir: Path,
    params: Mapping[str, Any],
    figure: Path | None = None,
    out: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Tell the film of stored maps; with `figure`, draw it; with `out`, write tables and figures.

    Returns
    -------
    report : JSON-compatible; ``peaks``, ``null`` and ``points`` are lists of rows
    """
    if figure is not None:
        check_figure(figure)
    if out is not None:
        check_place(out)
    analysis = find_analysis("film")
    settings = make_params(analysis, params)
    with Store.open_existing(data_dir) as store:
        stored = [runs.open_named(store, uid) for uid in uids]
        inputs = inputs_of_runs(stored)
    result = analysis.run(inputs, settings, progress)
    if figure is not None:
        result.figures["maps"]().savefig(figure, dpi=150)
    written = [] if out is None else write_result(result, out)
    about = result.provenance
    return {
        "runs": [run.uid for run in stored],
        "hkl": about["params"]["hkl"],
        "assumed": about["assumed"],
        "rotation_deg": about["rotation_deg"],
        "stretch": about["stretch"],
        "model_error": about["model_error"],
        **{name: _rows(table) for name, table in result.tables.items()},
        "figure": None if figure is None else str(figure),
        "written": [str(file) for file in written],
        "warnings": list(result.warnings),
        "digest": digest_of(result),
        "duration_s": about["duration_s"],
    }


def _rows(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    columns = [np.asarray(column).tolist() for column in table.values()]
    return [dict(zip(table, row, strict=True)) for row in zip(*columns, strict=True)]
