"""Steering with the simulated devices of ophyd and ophyd-async as they come, to a known maximum."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import numpy as np
import pytest
from bluesky import RunEngine
from ophyd.sim import Syn2DGauss, SynAxis, SynGauss, SynSignalWithRegistry
from ophyd_async.core import StaticPathProvider, UUIDFilenameProvider, init_devices
from ophyd_async.sim import PatternGenerator, SimBlobDetector, SimPointDetector, SimStage

from bl_steer.steering import differing_decisions
from plans import find_hotspot

CENTRE = (60.0, 100.0)
GRID = {axis: {"start": 0, "stop": 150, "num": 16} for axis in ("x", "y")}


def search(RE: RunEngine, documents: Any, detector: Any, axes: Any, **options: Any) -> Any:
    """Steer; return the reported spot, having seen that the run's record gives it again."""
    spot = RE(find_hotspot(detector, axes, seed=1, **options)).plan_result
    assert differing_decisions(documents.run) == []
    return spot


def test_a_gaussian_counter_on_one_axis(RE: RunEngine, documents: Any) -> None:
    motor = SynAxis(name="motor")
    detector = SynGauss("det", motor, "motor", center=CENTRE[0], Imax=1000, sigma=15)
    spot = search(RE, documents, detector, motor, grid={"x": GRID["x"]}, budget=14)
    assert spot.best_x == CENTRE[0]
    assert documents.run.steering["source"] == {"kind": "field", "key": "det"}


def test_a_gaussian_counter_on_two_axes(RE: RunEngine, documents: Any) -> None:
    x, y = SynAxis(name="mx"), SynAxis(name="my")
    detector = Syn2DGauss("det", x, "mx", y, "my", center=CENTRE, Imax=1000, sigma=25)
    spot = search(RE, documents, detector, [x, y], grid=GRID, budget=24)
    assert (spot.best_x, spot.best_y) == CENTRE


def test_an_image_that_ophyd_sim_saves(RE: RunEngine, documents: Any, tmp_path: Path) -> None:
    x, y = SynAxis(name="mx"), SynAxis(name="my")

    def image() -> Any:
        r2 = (x.position - CENTRE[0]) ** 2 + (y.position - CENTRE[1]) ** 2
        return np.full((6, 8), 1.0 + 1000.0 * np.exp(-r2 / 2.0 / 25.0**2))

    detector = SynSignalWithRegistry(func=image, name="img", save_path=str(tmp_path))
    spot = search(RE, documents, detector, [x, y], grid=GRID, budget=24)
    assert (spot.best_x, spot.best_y) == CENTRE
    assert documents.run.steering["source"] == {"kind": "frames", "detector": "img"}
    assert documents.run.frames.shape == (24, 1, 6, 8)


@pytest.mark.parametrize(
    ("kind", "target"),
    [("point", None), ("blob", None), ("blob", "field:blob-sum"), ("blob", "roi:140,180,100,140")],
)
def test_detectors_of_ophyd_async(
    RE: RunEngine, documents: Any, tmp_path: Path, kind: str, target: str | None
) -> None:
    pattern = PatternGenerator()
    places = np.linspace(0.0, 3.0, 7)
    provider = StaticPathProvider(UUIDFilenameProvider(), tmp_path)
    with init_devices():
        stage = SimStage(pattern)
        point = SimPointDetector(pattern)
        blob = SimBlobDetector(provider, pattern_generator=pattern)
    for axis in (stage.x, stage.y):
        RE(bps.mv(axis.velocity, 1000.0, axis.acceleration_time, 0.001))
    detector, axes = {"point": point, "blob": blob}[kind], [stage.x, stage.y]
    grid = {"x": places, "y": places}
    spot = search(RE, documents, detector, axes, grid=grid, budget=22, target=target)
    truth = {}
    for x in places:
        for y in places:
            pattern.set_x(x)
            pattern.set_y(y)
            truth[x, y] = pattern.generate_point()
    # The pixels of a blob are whole numbers: what differs by less is equally bright.
    assert truth[spot.best_x, spot.best_y] > max(truth.values()) - 0.02
    # What a detector writes to files, and cannot describe before it is staged, are frames.
    is_on_frames = kind == "blob" and target != "field:blob-sum"
    assert documents.run.steering["source"]["kind"] == ("frames" if is_on_frames else "field")
