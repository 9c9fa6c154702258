from __future__ import annotations

import io
import logging
import re
from pathlib import Path

import numpy as np
import pytest
from bluesky import RunEngine
from matplotlib.figure import Figure

from bl_steer.agents import Space
from bl_steer.plotting.live import LiveMap, Progress
from plans import find_hotspot, map_sample
from simulators.film.beamline import SimulatedBeamline


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
