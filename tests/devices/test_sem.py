"""The electron microscope: micrographs beside the documents, its conditions, what can fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bluesky.plans as bp
import h5py
import numpy as np
import pytest
from bluesky import RunEngine

from bl_steer.store import path_of
from devices import DetectorError
from plans import take_micrographs
from simulators.electron.microscope import SimulatedMicroscope

SHAPE = (48, 64)


@pytest.fixture
def microscope(tmp_path: Path) -> SimulatedMicroscope:
    return SimulatedMicroscope("network", seed=3, shape=SHAPE, frames_dir=tmp_path / "frames")


def test_micrographs_of_a_run_are_one_dataset_as_the_area_detector_writes_it(
    RE: RunEngine, microscope: SimulatedMicroscope, documents: Any
) -> None:
    RE(bp.count([microscope.sem], 3))
    (resource,) = documents.named("stream_resource")
    assert resource["data_key"] == "sem_image"
    assert resource["parameters"]["dataset"] == "/entry/data/data"
    with h5py.File(path_of(resource["uri"])) as file:
        stored = file["/entry/data/data"][:]
    assert (stored.shape, stored.dtype) == ((3, 1, *SHAPE), np.uint8)
    key = documents.descriptor("primary")["data_keys"]["sem_image"]
    assert (key["shape"], key["dtype_numpy"]) == ([1, *SHAPE], "|u1")
    assert (key["external"], key["dims"]) == ("STREAM:", ["frame", "y", "x"])
    np.testing.assert_array_equal(np.asarray(documents.run.frames), stored)
    assert documents.column("primary", "sem_mean") == stored.mean(axis=(1, 2, 3)).tolist()
    assert documents.column("primary", "sem_valid") == [1, 1, 1]
    assert [
        (d["indices"]["start"], d["seq_nums"]["start"]) for d in documents.named("stream_datum")
    ] == [(n, n + 1) for n in range(3)]


def test_configuration_carries_the_conditions(
    RE: RunEngine, microscope: SimulatedMicroscope, documents: Any
) -> None:
    microscope.sem.accelerating_voltage.put(1.5)
    microscope.sem.staining.put("osmium")
    RE(bp.count([microscope.sem]))
    recorded = documents.descriptor("primary")["configuration"]["sem"]["data"]
    expected = {
        "sem_pixel_size": 10.0,
        "sem_accelerating_voltage": 1.5,
        "sem_dwell_time": 10.0,
        "sem_working_distance": 5.0,
        "sem_etching_time": 0.0,
        "sem_staining": "osmium",
        "sem_n_rows": SHAPE[0],
        "sem_n_columns": SHAPE[1],
    }
    assert recorded == expected


def test_blank_image_is_marked_invalid(
    RE: RunEngine, microscope: SimulatedMicroscope, documents: Any
) -> None:
    sem = microscope.sem

    def blank(value: int, **_: object) -> None:
        sem.busy.sim_put(1)
        sem.image.sim_put(np.full(SHAPE, 7, dtype=np.uint8))
        sem.busy.sim_put(0)

    sem.acquire.sim_set_putter(blank)
    RE(bp.count([sem]))
    assert documents.column("primary", "sem_valid") == [0]
    assert documents.column("primary", "sem_mean") == [7.0]


def test_image_as_channel_access_sends_it_flat_gets_its_shape(
    microscope: SimulatedMicroscope,
) -> None:
    image = np.arange(48 * 64).reshape(SHAPE)
    microscope.sem.image.sim_put(image.ravel())
    np.testing.assert_array_equal(microscope.sem.frames(), image[None])


def test_image_of_another_size_is_refused(
    RE: RunEngine, microscope: SimulatedMicroscope, documents: Any
) -> None:
    microscope.sem.n_rows.sim_put(50)
    with pytest.raises(
        DetectorError, match=r"sem_image must hold \(1, 50, 64\) pixels, got 3072; check that"
    ):
        RE(take_micrographs(microscope.sem, microscope.stage))
    assert documents.stop["exit_status"] == "fail"
    assert microscope.sem.file_path is None


def test_microscope_without_a_folder_or_with_a_broken_one_says_so(
    RE: RunEngine, tmp_path: Path
) -> None:
    microscope = SimulatedMicroscope("network", seed=3, shape=SHAPE)
    with pytest.raises(DetectorError, match=r"sem\.frames_dir must be set, got None; give"):
        RE(bp.count([microscope.sem]))
    (tmp_path / "file").write_text("")
    microscope.sem.frames_dir = tmp_path / "file" / "frames"
    with pytest.raises(DetectorError, match="frames must go to a writable folder"):
        RE(bp.count([microscope.sem]))
    assert microscope.sem.file_path is None


def test_scan_that_never_ends_times_out(
    RE: RunEngine,
    microscope: SimulatedMicroscope,
    documents: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("devices.sem.READOUT_MARGIN_S", 0.1)
    microscope.sem.acquire.sim_set_putter(lambda *_, **__: None)
    with pytest.raises(DetectorError, match=r"sem must end 0.03072 s of exposure within 0.13072 s"):
        RE(take_micrographs(microscope.sem, microscope.stage))
    assert documents.stop["exit_status"] == "fail"
