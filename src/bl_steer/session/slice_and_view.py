"""What ``bl-steer slice-and-view`` and ``report`` do: from slices to one HTML file.

Each returns what is printed and written as JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

from bl_steer.files.atomic import alone_in, check_place, made_folder
from bl_steer.processing import analyses_of
from bl_steer.protocols import Progress
from bl_steer.runs import RecordsAlone, Run, list_runs, open_named, open_run
from bl_steer.session.instruments import fibsem
from bl_steer.session.reports import NAME, report_of, sample_of
from bl_steer.session.session import Session, open_session
from bl_steer.store import Store

__all__ = ["recorded_options", "report", "slice_and_view"]

CAP_PX = 96
"""Rows of an image above the specimen: the cap with its marks, and room for drift."""
STATE_FILE = "simulated_fibsem.json"
PLAN = "slice_and_view"

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
    reporting: Progress | None = None,
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
    reporting : progress of the report, as of `bl_steer.session.reports.report_of`

    Raises
    ------
    ValueError
        When the options do not fit, there is no instrument to resume a run on, or the one there
        is that of a run to be resumed.
    FileExistsError
        When another process takes slices in `data_dir`.
    bl_steer.analysis.AnalysisFailed
        When the chain failed; the slices are stored.
    """
    check_place(out)
    began = perf_counter()
    with (
        made_folder(data_dir),
        alone_in(data_dir),
        _open_instrument(family, seed, edge_px, faults, data_dir, fresh=resumes is None) as session,
    ):
        broken = None if resumes is None else open_named(session.store, resumes)
        if broken is not None:
            _check_unfinished(session.store, broken, n_slices)
        started: list[str] = []
        session.watch(lambda name, doc: started.append(doc["uid"]) if name == "start" else None)
        specimen = f"specimen {family!r}, seed {seed}, faults {faults}"
        tell(f"1 of 3: taking {n_slices} slices of {specimen}")
        plan = session.slice_and_view(
            n_slices=n_slices,
            pitch_nm=pitch_nm,
            marks=session.instrument.simulator.marks,
            resumes=broken,
            analyses=[{"name": NAME, "params": dict(params)}],
        )
        try:
            uid, slices = session.run(plan)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(_what_is_stored(started)) from None
        taken_s = perf_counter() - began
        tell(
            f"2 of 3: {slices.n_recorded} slices recorded, {slices.n_missing} missing, "
            f"{slices.n_milled_again} milled again; reconstructing"
        )
        try:
            session.wait_for_analyses()
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"the slices of run {uid[:8]} are kept; 'bl-steer analyse --pending --data "
                f"{data_dir}' reconstructs them, then 'bl-steer report {uid[:8]} --data "
                f"{data_dir}' writes the report"
            ) from None
        tell("3 of 3: measuring the simulated truth and writing the report")
        written = report_of(session.store, uid, out, reporting)
    return {
        **written,
        "run_uid": uid,
        "n_recorded": slices.n_recorded,
        "n_missing": slices.n_missing,
        "n_milled_again": slices.n_milled_again,
        "plan_s": taken_s,
        "duration_s": perf_counter() - began,
    }


def recorded_options(uid: str, data_dir: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the options that a run of slices was taken with, and the parameters asked for.

    Returns
    -------
    options : as the command line names them: ``sample``, ``seed``, ``edge_px``, ``faults``,
        ``pitch_nm``, ``slices``; those that the record holds
    params : of the analysis ``reconstruct``

    Raises
    ------
    KeyError, ValueError
        When there is no such run, or no instrument to carry it on.
    """
    _check_state(data_dir)
    run = open_named(RecordsAlone(data_dir), uid)
    if run.start.get("plan_name") != PLAN:
        raise ValueError(
            f"--resume must name a run of {PLAN}, got {run.uid[:8]} of "
            f"{run.start.get('plan_name')!r}; 'bl-steer runs --data {data_dir}' lists them"
        )
    sample, slices = sample_of(run.start), run.start["slices"]
    options = {
        "sample": sample.get("family", sample.get("name")),
        "seed": sample.get("seed"),
        "edge_px": (sample.get("shape_px") or [None])[-1],
        "faults": sample.get("faults"),
        "pitch_nm": slices["pitch_nm"],
        "slices": slices["n_slices"],
    }
    requests = [r for r in run.start.get("analyses", ()) if r.get("name") == NAME]
    params = dict(requests[0].get("params", {})) if requests else {}
    return {key: value for key, value in options.items() if value is not None}, params


def report(
    uid: str, *, out: Path | None, data_dir: Path, progress: Progress | None = None
) -> dict[str, Any]:
    """Write the report of a stored run of slices, or of its analysis ``reconstruct``."""
    if out is not None:
        check_place(out)
    with Store.open_existing(data_dir) as store:
        return report_of(store, uid, out, progress)


def _open_instrument(
    family: str, seed: int, edge_px: int, faults: str, data_dir: Path, *, fresh: bool
) -> Session:
    state = data_dir / STATE_FILE
    if fresh:
        _check_free(data_dir, state)
        state.unlink(missing_ok=True)
    else:
        _check_state(data_dir)
    instrument = fibsem(
        family, seed=seed, shape=(edge_px + CAP_PX, edge_px), faults=faults, state_file=state
    )
    return open_session(instrument, data_dir=data_dir)


def _check_state(data_dir: Path) -> None:
    """Refuse to carry a run on where its instrument is not."""
    if not (state := data_dir / STATE_FILE).exists():
        raise ValueError(
            f"the instrument must stand where the run left it, got no {state}; give the --data of "
            "that run, or take new slices without --resume"
        )


def _check_free(data_dir: Path, state: Path) -> None:
    """Refuse to take a new instrument where a broken run waits for the one that is there."""
    runs = _runs_of_slices(RecordsAlone(data_dir)) if state.exists() else []
    if runs and runs[-1].status != "success":
        uid = runs[-1].uid[:8]
        raise ValueError(
            f"new slices must not cost the instrument of a run that was broken off, got {uid} in "
            f"{data_dir}; carry it on with --resume {uid}, or give another --data"
        )


def _check_unfinished(store: Store, run: Run, n_slices: int) -> None:
    """Refuse to carry on a run that has all its slices, or that another has carried on."""
    for other in _runs_of_slices(store):
        if other.start["slices"].get("resumes") == run.uid:
            raise ValueError(
                f"--resume must name the last run of a stack, got {run.uid[:8]}, already carried "
                f"on by {other.uid[:8]}; give that one"
            )
    n_requested = run.start.get("slices", {}).get("n_slices", 0)
    if run.status == "success" and n_slices <= n_requested:
        if _is_reconstructed(store, run):
            remedy = f"'bl-steer report {run.uid[:8]} --data {store.path}' writes its report"
        else:
            remedy = (
                f"'bl-steer analyse {run.uid[:8]} {NAME} --data {store.path}' reconstructs it, "
                "then 'bl-steer report' writes its report"
            )
        raise ValueError(
            f"--resume must name a run that was broken off, got {run.uid[:8]}, which has all its "
            f"slices; {remedy}"
        )


def _runs_of_slices(store: Store | RecordsAlone) -> list[Run]:
    """Return the runs that took a slice, the oldest first."""
    rows = [row for row in list_runs(store) if row.plan == PLAN and row.n_points]
    return [open_run(store, row.uid) for row in rows]


def _is_reconstructed(store: Store, run: Run) -> bool:
    analysed = [open_run(store, uid) for uid in analyses_of(store, run.uid)]
    return any(a.start["analysis"].get("name") == NAME and a.status == "success" for a in analysed)


def _what_is_stored(started: list[str]) -> str:
    """Return what to tell who broke off the slicing."""
    if not started:
        return "no slice was taken"
    return (
        f"the slices of run {started[0][:8]} are kept; the same command with --resume "
        f"{started[0][:8]} goes on"
    )
