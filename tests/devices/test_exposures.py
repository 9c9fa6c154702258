"""Exposures of the area detector that fail, end late, or are repeated and overtaken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import h5py
import numpy as np
import pytest
from bluesky import RunEngine

from bl_steer.diffraction import FrameAxes
from bl_steer.store import path_of
from devices import DetectorError
from simulators.film.beamline import SimulatedBeamline
from simulators.film.sige_film import SigeFilm
from tests.devices.test_detector import FRAME, assert_stopped_cleanly, measure, spoil


def test_detector_in_error_state_stops_the_run(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    spoil(beamline.det, 3, lambda: beamline.det.state.sim_put(6))
    with pytest.raises(
        DetectorError,
        match=r"det must end an exposure in the idle state, got the error state 6; reset",
    ):
        RE(measure(beamline))
    assert_stopped_cleanly(beamline, documents, n_points=3)
    assert documents.stop["reason"].startswith("det must end an exposure")


def test_detector_that_never_finishes_times_out(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    beamline.det.exposure_time.sim_put(0.1)
    RE(measure(beamline))
    monkeypatch.setattr("devices.detector.READOUT_MARGIN_S", 0.2)
    beamline.det.acquire.sim_set_putter(lambda *_, **__: None)
    with pytest.raises(DetectorError, match=r"det must end 0.1 s of exposure within 0.3 s"):
        RE(measure(beamline))
    assert documents.stop["exit_status"] == "fail"
    assert beamline.det.file_path is None


def test_exposure_that_ends_after_its_timeout_spoils_no_later_point(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    acquire = beamline.det.acquire._put_func
    beamline.det.acquire.sim_set_putter(lambda *_, **__: beamline.det.busy.sim_put(1))
    beamline.det.exposure_time.sim_put(0.1)
    with monkeypatch.context() as soon:
        soon.setattr("devices.detector.READOUT_MARGIN_S", 0.1)
        with pytest.raises(DetectorError, match="within"):
            RE(measure(beamline))
    beamline.det.acquire.sim_set_putter(acquire)
    RE(measure(beamline))
    assert documents.stop["exit_status"] == "success"
    assert documents.run.n_points == 6


def test_frame_of_another_size_is_refused(
    RE: RunEngine, film: SigeFilm, tmp_path: Path, documents: Any
) -> None:
    beamline = SimulatedBeamline(film, frames_dir=tmp_path)
    beamline.det._axes = FrameAxes(np.linspace(2.2, 2.3, 20), np.linspace(2.2, 2.3, 10))
    with pytest.raises(
        DetectorError, match=r"det_image must hold \(1, 10, 20\) pixels, got 1089; set the"
    ):
        RE(measure(beamline))
    assert documents.stop["exit_status"] == "fail"
    assert documents.run.n_points == 0


def test_repeated_undocumented_point_overwrites_its_own_frames(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    det = beamline.det

    def twice() -> Any:
        yield from bps.stage(det)
        yield from bps.open_run()
        for _ in range(3):
            yield from bps.trigger(det, wait=True)
            yield from bps.trigger(det, wait=True)
            yield from bps.create("primary")
            yield from bps.read(det)
            yield from bps.save()
        yield from bps.close_run()
        yield from bps.unstage(det)

    RE(twice())
    run = documents.run
    assert run.frames.shape == (3, 1, *FRAME)
    np.testing.assert_array_equal(np.asarray(run.frames).sum(axis=(1, 2, 3)), run.total)
    with h5py.File(path_of(documents.named("stream_resource")[0]["uri"])) as file:
        assert len(file["/entry/data/data"]) == 3


def test_exposure_overtaken_by_its_repetition_stores_nothing(beamline: SimulatedBeamline) -> None:
    det = beamline.det
    acquire = det.acquire._put_func
    det.stage()
    det.acquire.sim_set_putter(lambda *_, **__: det.busy.sim_put(1))
    overtaken = det.trigger()
    det.busy.sim_put(0)
    overtaken.wait(60.0)
    det.acquire.sim_set_putter(lambda *_, **__: det.busy.sim_put(1))
    interrupted = det.trigger()
    det.acquire.sim_set_putter(acquire)
    repeated = det.trigger()
    repeated.wait(60.0)
    interrupted.wait(60.0)
    with h5py.File(det.file_path, "r", libver="latest", swmr=True) as file:
        dataset = file["/entry/data/data"]
        assert len(dataset) == 1
        np.testing.assert_array_equal(dataset[0], det.frames())
    det.unstage()
