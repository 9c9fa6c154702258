"""Bluesky's suspenders: the run waits for the beam, repeats no event and changes no point."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from bluesky import RunEngine
from bluesky.suspenders import SuspendBoolHigh, SuspendFloor
from bluesky.utils import Msg
from ophyd import Signal

from bl_steer.agents import Space
from plans import find_hotspot
from plans.stubs.per_point import rocking_scan, rocking_sweep
from simulators.film.beamline import SimulatedBeamline
from simulators.film.sige_film import SigeFilm

BUDGET = 5
AWAY_S = 0.3
PER_POINT = {"one exposure": None, "in steps": rocking_scan, "in a sweep": rocking_sweep}


def measured(
    RE: RunEngine,
    documents: Any,
    film: SigeFilm,
    folder: Path,
    grid: Space,
    per_point: Any,
    hook: Any = None,
) -> tuple[list[Any], list[Any], list[int]]:
    """Return positions, outcomes and numbers of the events of a run."""
    beamline = SimulatedBeamline(film, frames_dir=folder, exposure_s=1.0)
    circle = beamline.diffractometer.eta
    RE.msg_hook = hook
    RE(
        find_hotspot(
            beamline.det,
            beamline.stage,
            monitor=beamline.monitor,
            grid=grid,
            agent="random",
            target="total",
            budget=BUDGET,
            per_point=None if per_point is None else per_point(circle, -0.5, 0.5, 3),
        )
    )
    RE.msg_hook = None
    columns = [documents.column("decisions", key) for key in ("x", "y")]
    numbers = [event["seq_num"] for event in documents.events("primary")]
    return list(zip(*columns, strict=True)), documents.column("primary", "det_total"), numbers


@pytest.fixture(autouse=True)
def _a_beam_that_does_not_age(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DRIFT", "TOP_UP_LOSS"):  # what is measured later would be another number
        monkeypatch.setattr(f"simulators.film.sige_film.{name}", 0.0)


@pytest.mark.parametrize("way", PER_POINT)
@pytest.mark.parametrize("kind", ["beam", "shutter"])
def test_a_run_waits_for_beam_and_shutter_and_finds_the_same(
    RE: RunEngine,
    documents: Any,
    film: SigeFilm,
    tmp_path: Path,
    coarse_grid: Space,
    kind: str,
    way: str,
) -> None:
    per_point = PER_POINT[way]
    options = (documents, film, tmp_path, coarse_grid, per_point)
    undisturbed = measured(RE, *options)
    current, closed = Signal(name="ring_current", value=100.0), Signal(name="closed", value=0)
    RE.install_suspender(
        SuspendFloor(current, 50.0, resume_thresh=90.0)
        if kind == "beam"
        else SuspendBoolHigh(closed)
    )
    n_triggers = 0
    waited: list[str] = []

    def fail() -> None:
        current.put(0.0)
        closed.put(1)
        threading.Timer(AWAY_S, back).start()

    def back() -> None:
        waited.append(RE.state)
        current.put(100.0)
        closed.put(0)

    def hook(message: Msg) -> None:
        nonlocal n_triggers
        if message.command == "trigger" and message.obj.name == "det":
            n_triggers += 1
            if n_triggers in (2, 5):
                fail()

    suspended = measured(RE, *options, hook)
    assert waited == ["running"] * 2
    assert n_triggers > len(undisturbed[1]), "an interrupted exposure is made again"
    assert suspended == undisturbed
