"""The frames of any detector that a session's run stages go into the session's own folder."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from ophyd.sim import SynAxis, SynSignal

from bl_steer.runs import open_run
from bl_steer.session import Instrument, open_session
from plans import find_hotspot, map_sample
from simulators.film import SigeFilm, SimulatedBeamline

GRID = {"x": [0.0, 1.0, 2.0], "y": [0.0, 1.0]}


class MemoryDetector(SynSignal):
    """A user's own: its frames are nowhere but in memory."""

    def __init__(self, *axes: Any) -> None:
        super().__init__(lambda: 1.0, name="camera")
        self.axes_of_stage = axes

    def frames(self) -> Any:
        """Return the latest frame."""
        return np.full((2, 3), 10 + sum(axis.position for axis in self.axes_of_stage))


@pytest.fixture
def x() -> SynAxis:
    return SynAxis(name="x")


@pytest.fixture
def y() -> SynAxis:
    return SynAxis(name="y")


def test_frames_of_a_users_own_detectors_go_to_the_sessions_store(
    x: SynAxis, y: SynAxis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    beamline = SimulatedBeamline(SigeFilm("smooth"))
    with open_session(Instrument("mine", {}), data_dir=tmp_path / "data", progress=False) as mine:
        frames = mine.store.frames_dir
        plans = [
            find_hotspot(MemoryDetector(x, y), [x, y], grid=GRID, budget=3, target="total"),
            map_sample(beamline.det, beamline.stage, grid=GRID),
        ]
        for n, plan in enumerate(plans, 1):
            uid, _ = mine.run(plan)
            assert open_run(mine.store, uid).patterns().shape == (3 * n, [6, 1089][n - 1])
            assert len(list(frames.glob("*.h5"))) == n
    assert not list(elsewhere.iterdir())
    assert beamline.det.frames_dir is None  # free for another session


def test_without_a_session_frames_go_to_the_data_folder_and_the_log_says_where(
    RE: RunEngine,
    x: SynAxis,
    y: SynAxis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("BL_STEER_DATA_DIR", str(tmp_path / "chosen"))
    monkeypatch.chdir(tmp_path)
    first: list[str] = []
    RE.subscribe(lambda *_: first.append(caplog.text), "descriptor")
    with caplog.at_level(logging.WARNING, "devices.frames_writer"):
        RE(map_sample(MemoryDetector(x, y), [x, y], grid=GRID))
    assert f"they are written to {tmp_path / 'chosen' / 'frames'}" in first[0]
    assert len(list((tmp_path / "chosen" / "frames").glob("*.h5"))) == 1
