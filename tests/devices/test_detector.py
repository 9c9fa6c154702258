"""The area detector: frames beside the documents, dead frames, and everything that can fail."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bluesky.plans as bp
import h5py
import numpy as np
import pytest
from bluesky import RunEngine

from bl_steer.agents import Space
from bl_steer.store import path_of
from devices import DetectorError
from plans import map_sample
from simulators.film.beamline import SimulatedBeamline
from simulators.film.recorded_map import RecordedMap
from simulators.film.sige_film import SigeFilm

FRAME = (33, 33)
GRID = Space.grid([0.0, 75.0, 150.0], [0.0, 75.0])


def measure(beamline: SimulatedBeamline, **options: Any) -> Any:
    options = {"monitor": beamline.monitor, "grid": GRID, **options}
    return map_sample(beamline.det, beamline.stage, **options)


def spoil(det: Any, after: int, change: Any) -> None:
    """Let `change` happen once the detector has taken `after` points."""
    acquire = det.acquire._put_func
    taken = 0

    def put(value: int, **kwargs: Any) -> None:
        nonlocal taken
        if value:
            taken += 1
            if taken > after:
                change()
        acquire(value, **kwargs)

    det.acquire.sim_set_putter(put)


def assert_stopped_cleanly(beamline: SimulatedBeamline, documents: Any, n_points: int) -> None:
    """The run has its stop document, the file is closed, the points before are readable."""
    assert documents.stop["exit_status"] == "fail"
    assert beamline.det.file_path is None
    run = documents.run
    assert run.n_points == n_points
    assert np.isfinite(run.patterns()).all()
    np.testing.assert_array_equal(np.asarray(run.frames).sum(axis=(1, 2, 3)), run.total)


@pytest.mark.parametrize("n_frames", [1, 3])
def test_frames_of_a_run_are_one_dataset_of_points_frames_rows_and_columns(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any, n_frames: int
) -> None:
    beamline.det.n_frames.sim_put(n_frames)
    RE(measure(beamline))
    (resource,) = documents.named("stream_resource")
    with h5py.File(path_of(resource["uri"])) as file:
        dataset = file[resource["parameters"]["dataset"]]
        assert dataset.shape == (6, n_frames, *FRAME)
        assert dataset.chunks == tuple(resource["parameters"]["chunk_shape"])
        stored = dataset[:]
    key = documents.descriptor("primary")["data_keys"]["det_image"]
    assert key["shape"] == [n_frames, *FRAME]
    assert key["dtype_numpy"] == stored.dtype.str
    assert key["external"] == "STREAM:"
    assert "det_image" not in documents.events("primary")[0]["data"]
    np.testing.assert_array_equal(
        stored.sum(axis=(1, 2, 3)), documents.column("primary", "det_total")
    )


@pytest.mark.parametrize("n_frames", [1, 3])
def test_stored_frames_read_back_as_they_were_shown(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any, n_frames: int
) -> None:
    beamline.det.n_frames.sim_put(n_frames)
    shown: list[Any] = []
    beamline.det.image.subscribe(lambda value, **_: shown.append(value.copy()), run=False)
    RE(measure(beamline))
    run = documents.run
    assert run.frames.shape == (6, n_frames, *FRAME)
    np.testing.assert_array_equal(np.asarray(run.frames), shown)
    assert run.patterns().shape == (6, 33 * 33)
    assert [
        (d["indices"]["start"], d["seq_nums"]["start"]) for d in documents.named("stream_datum")
    ] == [(n, n + 1) for n in range(6)]


def test_frames_are_readable_while_the_file_grows(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    lengths: list[int] = []

    def look(name: str, doc: dict[str, Any]) -> None:
        if name == "event":
            with h5py.File(beamline.det.file_path, "r", libver="latest", swmr=True) as file:
                dataset = file["/entry/data/data"]
                lengths.append(len(dataset))
                assert dataset[-1].sum() == doc["data"]["det_total"]

    RE(measure(beamline), look)
    assert lengths == [1, 2, 3, 4, 5, 6]


def test_another_process_sees_every_point_flushed(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    """The file's bytes, as they lie on disk after the third point, hold three points."""
    copies: list[bytes] = []

    def copy(name: str, doc: dict[str, Any]) -> None:
        if name == "event":
            copies.append(Path(beamline.det.file_path).read_bytes())

    RE(measure(beamline), copy)
    killed = beamline.det.frames_dir / "killed.h5"
    killed.write_bytes(copies[2])
    with h5py.File(killed, "r", libver="latest", swmr=True) as file:
        totals = file["/entry/data/data"][:].sum(axis=(1, 2, 3))
    np.testing.assert_array_equal(totals, documents.column("primary", "det_total")[:3])


def test_each_run_has_a_file_of_its_own(RE: RunEngine, beamline: SimulatedBeamline) -> None:
    RE(bp.count([beamline.det], 2))
    RE(bp.count([beamline.det], 3))
    lengths = []
    for path in beamline.det.frames_dir.glob("*.h5"):
        with h5py.File(path) as file:
            lengths.append(len(file["/entry/data/data"]))
    assert sorted(lengths) == [2, 3]


def test_configuration_carries_the_exposure_and_the_axes(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    RE(measure(beamline, exposure_s=2.5))
    configuration = documents.descriptor("primary")["configuration"]["det"]["data"]
    assert configuration["det_exposure_time"] == 2.5
    assert configuration["det_n_frames"] == 1
    assert configuration["det_q_unit"] == beamline.sample.axes.unit
    run = documents.run
    assert run.exposure_s == 2.5
    np.testing.assert_array_equal(run.qx, beamline.sample.axes.qx)
    np.testing.assert_array_equal(run.qz, beamline.sample.axes.qz)


class DyingFilm(SigeFilm):
    """A film whose shots `dead` give no counts."""

    dead: frozenset[int] = frozenset()

    def expose(self, *args: Any, shot: int, **kwargs: Any) -> Any:
        frame, monitor = super().expose(*args, shot=shot, **kwargs)
        return (frame * 0.0 if shot in self.dead else frame), monitor


@pytest.mark.parametrize("lost", [6, 7, 8])
def test_point_with_a_lost_frame_among_bright_ones_is_marked_invalid(
    RE: RunEngine, tmp_path: Path, documents: Any, lost: int
) -> None:
    film = DyingFilm("smooth", seed=1)
    film.dead = frozenset({lost})
    beamline = SimulatedBeamline(film, frames_dir=tmp_path)
    beamline.det.n_frames.sim_put(3)
    RE(bp.count([beamline.det], 4))
    assert documents.column("primary", "det_valid") == [1, 1, 0, 1]


@pytest.mark.parametrize(
    ("counts", "valid"),
    [
        ([3, 0, 900], 1),  # off a peak: empty beside a frame that is nearly so
        ([25, 0, 25], 0),
        ([25, 0, 24], 1),
        ([0, 25, 0], 0),
        ([900, 0, 0, 900], 1),
        ([0, 3, 40, 3, 0], 1),
        ([np.nan, 900], 0),
    ],
)
def test_an_empty_frame_is_lost_only_between_bright_ones(
    beamline: SimulatedBeamline, counts: list[float], valid: int
) -> None:
    det = beamline.det
    det.n_frames.sim_put(len(counts))
    frames = np.zeros((len(counts), *FRAME))
    frames[:, 16, 16] = counts
    det.image.sim_put(frames)
    det._store()
    assert det.valid.get() == valid


def test_a_single_number_may_be_zero_without_being_dead(
    RE: RunEngine, tmp_path: Path, documents: Any
) -> None:
    places = np.arange(3.0)
    x, y = np.meshgrid(places, places)
    sample = RecordedMap(x, y, x * y)
    beamline = SimulatedBeamline(sample, frames_dir=tmp_path)
    RE(measure(beamline, grid=Space.grid(places, places), snake=False))
    assert documents.column("primary", "det_valid") == [1] * 9
    assert documents.column("primary", "det_total") == [0, 0, 0, 0, 1, 2, 0, 2, 4]


def test_detector_without_a_folder_says_how_to_give_one(
    RE: RunEngine, film: SigeFilm, documents: Any
) -> None:
    beamline = SimulatedBeamline(film)
    with pytest.raises(
        DetectorError, match=r"det.frames_dir must be set, got None; give the folder"
    ):
        RE(measure(beamline))
    assert documents.stop["exit_status"] == "fail"
    beamline.det.frames_dir = None
    with pytest.raises(DetectorError, match="frames_dir"):
        RE(measure(beamline))


def test_folder_that_cannot_be_written_is_named(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    beamline.det.frames_dir = file / "frames"
    with pytest.raises(DetectorError, match=f"writable folder, got {file}/frames .*; free space"):
        RE(measure(beamline))
    assert documents.stop["exit_status"] == "fail"
    beamline.det.frames_dir = tmp_path
    RE(measure(beamline))
    assert documents.stop["exit_status"] == "success"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for some 20 frames."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", os.fspath(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a small file system needs root and a kernel that mounts tmpfs: {error}")
    yield folder
    subprocess.run(["umount", os.fspath(folder)], check=True)


@pytest.mark.parametrize("spare_bytes", [65536, -(2**30)], ids=["told beforehand", "told by HDF5"])
def test_full_disk_stops_the_run_and_keeps_the_points_before(
    RE: RunEngine,
    film: SigeFilm,
    small_disk: Path,
    documents: Any,
    monkeypatch: pytest.MonkeyPatch,
    spare_bytes: int,
) -> None:
    """A quota may be reached where the disk still has free space: then HDF5 tells first."""
    monkeypatch.setattr("devices.frames_file.SPARE_BYTES", spare_bytes)
    beamline = SimulatedBeamline(film, frames_dir=small_disk)
    grid = Space.grid(np.linspace(0.0, 150.0, 10), np.linspace(0.0, 150.0, 10))
    with pytest.raises(
        DetectorError, match=r"(?s)frames of point \d+ must be written to .*No space left"
    ):
        RE(measure(beamline, grid=grid))
    assert 5 <= documents.run.n_points <= 50
    assert_stopped_cleanly(beamline, documents, n_points=documents.run.n_points)
    monkeypatch.undo()
    with pytest.raises(DetectorError, match="No space left"):
        RE(measure(beamline, grid=grid))
    assert documents.stop["exit_status"] == "fail"
    beamline.det.frames_dir = small_disk.parent
    RE(measure(beamline))
    assert documents.stop["exit_status"] == "success"


def test_detector_staged_twice_keeps_its_file(beamline: SimulatedBeamline) -> None:
    beamline.det.stage()
    path = beamline.det.file_path
    with pytest.raises(Exception, match="already staged"):
        beamline.det.stage()
    assert beamline.det.file_path == path
    beamline.det.unstage()
