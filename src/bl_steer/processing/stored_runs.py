"""What ``bl-steer analyse`` does, and what ``bl-steer show`` says of an analysis run."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bl_steer import processing, runs
from bl_steer.files.atomic import check_place, draft_of
from bl_steer.store import Store

if TYPE_CHECKING:
    from bl_steer.protocols import Inputs
    from bl_steer.runs import Run

__all__ = ["analyse", "analyse_pending", "known_analyses", "show_analysis"]

HEAD = 5
"""Rows of a table that are shown."""

Report = dict[str, Any]


def known_analyses() -> list[Report]:
    """Return the analyses that are installed, each with its parameters."""
    reports: list[Report] = []
    for name in processing.analysis_names():
        try:
            analysis = processing.find_analysis(name)
        except ImportError as error:
            reports.append({"name": name, "version": None, "problem": str(error), "params": {}})
            continue
        fields = analysis.Params.model_json_schema().get("properties", {})
        params = {key: _parameter(field) for key, field in fields.items()}
        reports.append({"name": name, "version": analysis.version, "params": params})
    return reports


def analyse(
    uid: str,
    name: str,
    params: Mapping[str, Any],
    *,
    data_dir: Path,
    figures: Path | None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Analyse a stored run in this process, store the result, and return what it holds.

    Raises
    ------
    ValueError
        When the run does not hold what the analysis works on; then nothing is stored.
    """
    if figures is not None:
        check_place(figures)
    analysis = processing.find_analysis(name)
    values = processing.make_params(analysis, params).model_dump(mode="json", exclude_unset=True)
    with Store.open_existing(data_dir) as store:
        run = runs.open_named(store, uid)
        inputs = analysis.inputs_of(run)
        return _carry_out(
            store, processing.Request(run.uid, name, values), figures, progress, inputs
        )


def analyse_pending(
    *,
    data_dir: Path,
    figures: Path | None,
    on_report: Callable[[Report], None],
    on_claimed: Callable[[str], None] = lambda text: None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Report]:
    """Carry out what runs asked for and nobody does or did; return a report for each.

    Parameters
    ----------
    on_claimed : told of each analysis that another process carries out, such as a session
    """
    if figures is not None:
        check_place(figures)
    reports = []
    with Store.open_existing(data_dir) as store, processing.Claims(store.path) as claims:
        for request in processing.pending_analyses(store):
            if owner := claims.take(request):
                on_claimed(f"{request.name} of {request.raw_uid[:8]}: {owner} carries it out")
            elif not processing.is_answered(
                store, request
            ):  # by a process that has just given up its claim
                reports.append(_carry_out(store, request, figures, progress, None))
                on_report(reports[-1])
    return reports


def show_analysis(run: Run, frames_dir: Path) -> Report:
    """Return what an analysis run holds: its raw run, digest, tables and arrays."""
    about = run.start["analysis"]
    report: Report = {
        "uid": run.uid,
        "plan": run.start.get("plan_name"),
        "analysis": about.get("name"),
        "version": about.get("version"),
        "status": run.status,
        "raw_run": about["raw_run"],
        "params": about.get("params"),
    }
    if run.status != "success":
        stop = run.stop or {}
        return {**report, "reason": stop.get("reason"), "traceback": stop.get("traceback", "")}
    result = processing.result_of(run, frames_dir)
    return {
        **report,
        "weights": about.get("weights"),
        "digest": about["digest"],
        "warnings": list(result.warnings),
        "tables": {name: _head(table) for name, table in result.tables.items()},
        "arrays": about["arrays"],
        "figures": {name: str(frames_dir / file) for name, file in about["figures"].items()},
    }


def _carry_out(
    store: Store,
    request: Any,
    figures: Path | None,
    progress: Callable[[int, int], None] | None,
    inputs: Inputs | None,
) -> Report:
    documents = processing.execute(processing.Job.of(store, request), progress, inputs=inputs)
    stored = runs.open_run(store, processing.publish_documents(store, documents))
    report = show_analysis(stored, store.frames_dir)
    if figures is not None and report["status"] == "success":
        report["figures"] = _copied(report["figures"], figures)
    return report


def _copied(files: Mapping[str, str], folder: Path) -> dict[str, str]:
    copies = {}
    for name, file in files.items():
        with draft_of(folder / f"{name}.png") as draft:
            shutil.copyfile(file, draft)
        copies[name] = str(folder / f"{name}.png")
    return copies


def _head(table: Mapping[str, Any]) -> Report:
    rows = len(next(iter(table.values()), ()))
    return {"rows": rows, "head": {key: column[:HEAD].tolist() for key, column in table.items()}}


def _parameter(field: Mapping[str, Any]) -> Report:
    keys = ("type", "default", "minimum", "maximum", "exclusiveMaximum", "enum", "description")
    return {key: field[key] for key in keys if key in field}
