from __future__ import annotations

import io
import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from matplotlib.figure import Figure
from ophyd.sim import Syn2DGauss, SynAxis, SynSignal

from bl_steer.agents import Space
from bl_steer.plotting.live import LiveMap, Progress
from bl_steer.plotting.runs import measured_outcomes
from bl_steer.steering import predicted_map
from plans import find_hotspot, map_sample
from plans.stubs import rocking_scan
from simulators.film.beamline import SimulatedBeamline
from tests.conftest import Documents


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_bar_counts_points_and_tells_best_and_time_left(
    RE: RunEngine, beamline: SimulatedBeamline, coarse_grid: Space
) -> None:
    text = Terminal()
    RE.subscribe(Progress(text))
    RE(find_hotspot(beamline.det, beamline.stage, grid=coarse_grid, budget=12))
    assert "12/12" in text.getvalue()
    assert "of beam left" in text.getvalue()
    assert "reported:" in text.getvalue()


def test_the_live_map_shows_points_and_ends_with_the_run(
    RE: RunEngine, beamline: SimulatedBeamline, coarse_grid: Space
) -> None:
    figures: list[Figure] = []
    live = LiveMap(figures.append)
    RE.subscribe(live)
    RE(find_hotspot(beamline.det, beamline.stage, grid=coarse_grid, budget=12))
    assert figures
    axes = figures[-1].axes[0]
    assert "12 points" in axes.get_title()
    assert axes.get_xlabel() == "x (µm)"
    measured = axes.collections[1].get_offsets()
    assert len(np.unique(np.asarray(measured), axis=0)) == 12


def test_the_live_map_is_the_model_of_the_agent_which_knows_of_noise(
    RE: RunEngine, documents: Any
) -> None:
    figures: list[Figure] = []
    RE.subscribe(LiveMap(figures.append))
    x, y = SynAxis(name="x"), SynAxis(name="y")
    det = Syn2DGauss("det", x, "x", y, "y", center=(60, 100), Imax=1000, sigma=30)
    beam = iter([100.0] * 4 + [15.0, 20.0] + [100.0] * 20)
    monitor = SynSignal(func=lambda: next(beam), name="i0")
    grid = {name: {"start": 0, "stop": 150, "num": 6} for name in "xy"}
    RE(find_hotspot(det, [x, y], monitor=monitor, grid=grid, budget=10))
    run = documents.run
    assert run.noise_ratios.max() > 4.0
    mean, _ = predicted_map(run.steering, *measured_outcomes(run), run.noise_ratios)
    np.testing.assert_array_equal(figures[-1].axes[0].collections[0].get_array().ravel(), mean)


def test_the_live_map_of_a_run_that_carries_another_on_has_its_points_in_place(
    RE: RunEngine, beamline: SimulatedBeamline, coarse_grid: Space, documents: Any
) -> None:
    RE(find_hotspot(beamline.det, beamline.stage, grid=coarse_grid, budget=6))
    decisions = documents.descriptor("decisions")["uid"]
    figures: list[Figure] = []
    live = LiveMap(figures.append)
    for name, doc in documents.all:
        early = doc.get("descriptor") == decisions and doc["data"]["point"] < 3
        if not early:
            live(name, doc)
    drawn = figures[-1].axes[0].collections[1].get_offsets()
    np.testing.assert_array_equal(np.asarray(drawn), documents.run.positions[3:])


def test_the_live_map_goes_to_a_file_by_default(
    RE: RunEngine, beamline: SimulatedBeamline, coarse_grid: Space, tmp_path: Path
) -> None:
    RE.subscribe(LiveMap(path=tmp_path / "live.png"))
    RE(find_hotspot(beamline.det, beamline.stage, grid=coarse_grid, budget=3))
    assert (tmp_path / "live.png").read_bytes().startswith(b"\x89PNG")


def test_a_live_map_that_fails_is_logged_and_the_run_goes_on(
    RE: RunEngine,
    beamline: SimulatedBeamline,
    coarse_grid: Space,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(figure: Figure) -> None:
        raise OSError("no screen")

    RE.subscribe(LiveMap(fail))
    with caplog.at_level(logging.ERROR, "bl_steer.plotting.live"):
        result = RE(find_hotspot(beamline.det, beamline.stage, grid=coarse_grid, budget=3))
    assert result.exit_status == "success"
    assert "the run itself goes on" in caplog.text


def seen(documents: list[Any]) -> tuple[list[Figure], str]:
    """Show a live map and a bar each beginning of a run that ends with a decision or its result."""
    figures: list[Figure] = []
    text = io.StringIO()
    ends = [n + 1 for n, (name, doc) in enumerate(documents) if "outcomes" in doc.get("data", ())]
    for end in ends:
        watching = [LiveMap(figures.append), Progress(text)]
        for name, doc in [*documents[:end], ("stop", {})]:
            for watcher in watching:
                watcher(name, doc)
    return figures, text.getvalue()


GRIDS = {
    1: {"x": np.linspace(0.0, 10.0, 7)},
    2: {"x": np.linspace(0.0, 10.0, 7), "y": np.linspace(0.0, 1.0, 5)},
    3: {axis: np.linspace(0.0, 2.0, 3) for axis in "xyz"},
}


@pytest.mark.parametrize("n_axes", [1, 2, 3])
def test_each_state_of_a_run_is_drawn_from_its_first_decision_on(
    RE: RunEngine, documents: Documents, caplog: pytest.LogCaptureFixture, n_axes: int
) -> None:
    axes = [SynAxis(name=name) for name in "abc"[:n_axes]]
    det = SynSignal(name="det", func=lambda: 7.0 - sum(axis.position for axis in axes))
    grid = {name: list(values) for name, values in GRIDS[n_axes].items()}
    forbidden = [{"box": [[1.2, 0.2], [1.4, 0.4]]}] if n_axes == 2 else []
    RE(find_hotspot(det, axes, grid=grid, budget=4, forbidden=forbidden))
    figures, text = seen(documents.all)
    assert not caplog.records
    titles = [figure.axes[0].get_title().split(",")[0] for figure in figures]
    assert titles == [f"field:det: {n} points" for n in (0, 1, 2, 3, 4)]
    panel = figures[0].axes[0]
    assert panel.get_xlim()[0] <= 0.0 < GRIDS[n_axes]["x"][-1] <= panel.get_xlim()[1]
    assert "4/4 pt (100 %), reported: " in text


def test_a_rocking_scan_counts_points_and_not_its_steps(
    RE: RunEngine, beamline: SimulatedBeamline, coarse_grid: Space
) -> None:
    text = Terminal()
    RE.subscribe(Progress(text))
    scan = rocking_scan(beamline.diffractometer.eta, -1.0, 1.0, 3)
    RE(map_sample(beamline.det, beamline.stage, points=[(0, 0), (30, 30)], per_point=scan))
    assert "2/2" in text.getvalue()
    assert "3/" not in text.getvalue()


def test_a_map_run_has_a_bar_but_no_live_map(
    RE: RunEngine, beamline: SimulatedBeamline, coarse_grid: Space
) -> None:
    text = io.StringIO()
    figures: list[Figure] = []
    RE.subscribe(Progress(text))
    RE.subscribe(LiveMap(figures.append))
    RE(map_sample(beamline.det, beamline.stage, grid=coarse_grid))
    last = re.findall(r"(\d+)/(\d+)", text.getvalue())[-1]
    assert last[0] == last[1] >= "36"
    assert not figures
