"""Bluesky's own tools beside our plans: what its callbacks draw, and its simulators."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import matplotlib
import matplotlib.pyplot as plt
import pytest
from bluesky import RunEngine
from bluesky.callbacks.best_effort import BestEffortCallback, hinted_fields
from bluesky.simulators import RunEngineSimulator, check_limits, summarize_plan
from bluesky.utils import Msg
from ophyd.sim import SynAxis, SynGauss
from ophyd_async.core import StaticPathProvider, UUIDFilenameProvider, init_devices
from ophyd_async.sim import PatternGenerator, SimBlobDetector, SimPointDetector, SimStage

from bl_steer.agents import Space
from plans import find_hotspot, map_sample
from plans.stubs.per_point import rocking_scan, rocking_sweep
from simulators.film.beamline import SimulatedBeamline

PATIENCE_S = 60


@pytest.fixture
def figures() -> Iterator[None]:
    matplotlib.use("Agg")
    plt.close("all")
    yield
    plt.close("all")


@pytest.fixture(autouse=True)
def _ends_in_time() -> Iterator[None]:
    def give_up(*_: object) -> None:
        raise TimeoutError(f"a plan must end within {PATIENCE_S} s")

    previous = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(PATIENCE_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)


@pytest.mark.filterwarnings("ignore:Attempting to set identical low and high")
def test_best_effort_draws_the_points_and_no_decision(
    RE: RunEngine,
    documents: Any,
    beamline: SimulatedBeamline,
    coarse_grid: Space,
    figures: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    RE.subscribe(BestEffortCallback())
    options = {"monitor": beamline.monitor, "grid": coarse_grid, "target": "total"}
    RE(find_hotspot(beamline.det, beamline.stage, budget=3, **options))
    for stream in ("decisions", "result"):
        assert hinted_fields(documents.descriptor(stream)) == []
    assert plt.get_figlabels() == ["det_total monitor_counts vs stage_x stage_y"]
    heads = [line.split() for line in capsys.readouterr().out.splitlines() if "seq_num" in line]
    assert [head[1::2] for head in heads] == [
        ["seq_num", "time", "stage_x", "stage_y", "det_total", "monitor_counts"]
    ]


def test_no_stream_of_a_rocking_scan_hints_at_bookkeeping(
    RE: RunEngine, documents: Any, beamline: SimulatedBeamline, coarse_grid: Space
) -> None:
    scan = rocking_scan(beamline.diffractometer.eta, -1.0, 1.0, 3)
    RE(
        find_hotspot(
            beamline.det, beamline.stage, per_point=scan, grid=coarse_grid, budget=2, target="total"
        )
    )
    columns = hinted_fields(documents.descriptor("primary"))
    assert sorted(columns) == ["det_total", "diffractometer_eta", "stage_x", "stage_y"]


def count(plan: Any) -> Sequence[Msg]:
    return list(plan)


def simulate(plan: Any) -> Sequence[Msg]:
    return RunEngineSimulator().simulate_plan(plan)


SIMULATORS = [summarize_plan, check_limits, simulate, count]


def twice(detectors: Sequence[Any], position: Any) -> Any:
    yield from bps.checkpoint()
    yield from bps.mv(*(item for pair in position.items() for item in pair))
    for _ in range(2):
        yield from bps.trigger_and_read([*detectors, *position])


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("per_point", ["expose_at", "rocking_scan", "rocking_sweep", "own"])
@pytest.mark.parametrize("plan", [find_hotspot, map_sample])
def test_simulators_end_on_our_devices(
    plan: Callable[..., Any],
    per_point: str,
    simulator: Callable[[Any], Any],
    RE: RunEngine,
    beamline: SimulatedBeamline,
) -> None:
    eta = beamline.diffractometer.eta
    stub: Any = {
        "expose_at": None,
        "rocking_scan": rocking_scan(eta, -1.0, 1.0, 3),
        "rocking_sweep": rocking_sweep(eta, -1.0, 1.0, 3),
        "own": twice,
    }[per_point]
    options = {"budget": 3} if plan is find_hotspot else {}
    grid = {"x": [0.0, 50.0], "y": [0.0, 50.0]}
    simulator(
        plan(
            beamline.det,
            beamline.stage,
            monitor=beamline.monitor,
            per_point=stub,
            grid=grid,
            **options,
        )
    )


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("plan", [find_hotspot, map_sample])
def test_simulators_end_on_devices_of_ophyd(
    plan: Callable[..., Any], simulator: Callable[[Any], Any], RE: RunEngine
) -> None:
    axis = SynAxis(name="m")
    detector = SynGauss("d", axis, "m", center=4, Imax=10, sigma=2)
    options = {"budget": 3} if plan is find_hotspot else {}
    simulator(plan(detector, axis, grid={"x": [0.0, 4.0, 8.0]}, **options))


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("plan", [find_hotspot, map_sample])
@pytest.mark.parametrize("kind", ["point", "blob"])
def test_simulators_end_on_devices_of_ophyd_async(
    RE: RunEngine,
    plan: Callable[..., Any],
    kind: str,
    simulator: Callable[[Any], Any],
    tmp_path: Path,
) -> None:
    pattern = PatternGenerator()
    paths = StaticPathProvider(UUIDFilenameProvider(), tmp_path)
    with init_devices():
        stage = SimStage(pattern)
        point = SimPointDetector(pattern)
        blob = SimBlobDetector(paths, pattern_generator=pattern)
    options: dict[str, Any] = {"budget": 3} if plan is find_hotspot else {}
    if plan is find_hotspot and kind == "blob":
        options["target"] = "total"
    detector = point if kind == "point" else blob
    simulator(plan(detector, stage, grid={"x": [0.0, 1.0], "y": [0.0, 1.0]}, **options))
