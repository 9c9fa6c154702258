"""What ``bl-steer map-film`` does with stored maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bl_steer import runs
from bl_steer.analysis.film.recorded import inputs_of_runs
from bl_steer.analysis.reporting import report_on, rows_of
from bl_steer.protocols import Inputs, Progress
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

    def read() -> Inputs:
        with Store.open_existing(data_dir) as store:
            return inputs_of_runs([runs.open_named(store, uid) for uid in uids])

    result, inputs, _, ending = report_on(
        "film", read, params, figure=figure, out=out, progress=progress
    )
    about, source = result.provenance, inputs.source
    return {
        "runs": source["runs"] if "runs" in source else [source["run"]],
        "hkl": about["params"]["hkl"],
        "assumed": about["assumed"],
        "rotation_deg": about["rotation_deg"],
        "stretch": about["stretch"],
        "model_error": about["model_error"],
        **{name: rows_of(table) for name, table in result.tables.items()},
        **ending,
    }
