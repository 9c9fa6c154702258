"""An analysis as a command carries it out: checked places, a picture, files, and a report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bl_steer.files.atomic import check_place
from bl_steer.plotting import check_figure
from bl_steer.processing.digest import digest_of
from bl_steer.processing.registry import find_analysis, make_params
from bl_steer.processing.result_folder import write_result
from bl_steer.protocols import AnalysisResult, Inputs, Progress, Table

__all__ = ["Reported", "report_on", "rows_of"]


class Reported(NamedTuple):
    """A result, what it was made of, and how a report on it ends (JSON-compatible)."""

    result: AnalysisResult
    inputs: Inputs
    settings: Any
    ending: dict[str, Any]


def report_on(
    name: str,
    read: Callable[[], Inputs],
    params: Mapping[str, Any],
    *,
    figure: Path | None,
    out: Path | None,
    progress: Progress | None,
) -> Reported:
    """Run an analysis; save its first figure as `figure`, and its files in the folder `out`.

    Parameters
    ----------
    read : gives the inputs, once places and parameters are known to be right
    """
    if figure is not None:
        check_figure(figure)
    if out is not None:
        check_place(out)
    analysis = find_analysis(name)
    settings = make_params(analysis, params)
    inputs = read()
    result = analysis.run(inputs, settings, progress)
    if figure is not None:
        next(iter(result.figures.values()))().savefig(figure, dpi=150)
    written = [] if out is None else write_result(result, out)
    ending = {
        "figure": None if figure is None else str(figure),
        "written": [str(file) for file in written],
        "warnings": list(result.warnings),
        "digest": digest_of(result),
        "duration_s": result.provenance["duration_s"],
    }
    return Reported(result, inputs, settings, ending)


def rows_of(table: Table) -> list[dict[str, Any]]:
    """Return a table as JSON has it, a mapping a row."""
    columns = [column.tolist() for column in table.values()]
    return [dict(zip(table, row, strict=True)) for row in zip(*columns, strict=True)]
