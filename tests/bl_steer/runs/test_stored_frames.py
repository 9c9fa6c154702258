"""Frames of stored runs, of detectors of several makers, from the record and from Tiled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bluesky.plans as bp
import h5py
import numpy as np
import pytest
from bluesky import RunEngine
from event_model import compose_run
from ophyd.sim import SynAxis, SynSignalWithRegistry
from ophyd_async.core import StaticPathProvider, UUIDFilenameProvider, init_devices
from ophyd_async.sim import PatternGenerator, SimBlobDetector

from bl_steer.runs import Run
from bl_steer.store import Store

N, H, W = 3, 5, 7


@pytest.fixture
def stored(RE: RunEngine, store: Store) -> Callable[..., tuple[Run, Run]]:
    """Measure with some detectors; return the run from its record and from Tiled."""
    RE.subscribe(store)

    def measure(*detectors: Any, axis: Any, md: dict[str, Any] | None = None) -> tuple[Run, Run]:
        (uid,) = RE(bp.list_scan([*detectors], axis, range(N), md=md)).run_start_uids
        return both(store, uid)

    return measure


def both(store: Store, uid: str) -> tuple[Run, Run]:
    by_record = Run.from_record(store.record_dir / f"{uid}.jsonl")
    return by_record, Run.from_tiled(store.catalog[uid])


def images(name: str, axis: Any, folder: Path, *, offset: float = 0.0) -> SynSignalWithRegistry:
    return SynSignalWithRegistry(
        func=lambda: np.full((H, W), axis.position + offset), name=name, save_path=str(folder)
    )


def test_images_of_ophyd_sim(stored: Any, store: Store) -> None:
    axis = SynAxis(name="x")
    for run in stored(images("img", axis, store.frames_dir), axis=axis):
        assert run.frames.shape == (N, 1, H, W)
        np.testing.assert_array_equal(run.frames[:][:, 0, 0, 0], range(N))
        assert sorted(run.primary) == [
            "seq_num",
            "time",
            "ts_x",
            "ts_x_setpoint",
            "x",
            "x_setpoint",
        ]


def test_frames_are_those_of_the_detector_that_was_steered_on(stored: Any, store: Store) -> None:
    axis = SynAxis(name="x")
    detectors = [images(n, axis, store.frames_dir, offset=o) for n, o in (("a", 0.0), ("b", 10.0))]
    source = {"steering": {"source": {"kind": "frames", "detector": "b"}}}
    for md, offset in ((None, 0.0), (source, 10.0)):
        for run in stored(*detectors, axis=axis, md=md):
            np.testing.assert_array_equal(run.frames[:][:, 0, 0, 0], np.arange(N) + offset)


def test_frames_of_an_async_detector_are_images_and_not_their_sums(
    stored: Any, store: Store
) -> None:
    provider = StaticPathProvider(UUIDFilenameProvider(), store.frames_dir)
    with init_devices():
        blob = SimBlobDetector(provider, pattern_generator=PatternGenerator())
    by_record, by_tiled = stored(blob, axis=SynAxis(name="x"))
    assert by_record.frames.shape == by_tiled.frames.shape == (N, 1, 240, 320)
    assert by_record.frames[0].any()
    np.testing.assert_array_equal(by_record.frames, by_tiled.frames)


def test_frames_of_an_area_detectors_hdf5_plugin(store: Store) -> None:
    written = np.arange(2 * N * H * W).reshape(2 * N, H, W)
    with h5py.File(store.frames_dir / "a.h5", "w") as file:
        file["/entry/data/data"] = written
    run = compose_run(metadata={"detectors": ["det"]})
    image = {"source": "PV", "dtype": "array", "shape": [2, H, W], "dtype_numpy": "<i8"}
    descriptor = run.compose_descriptor(
        name="primary",
        data_keys={"det_image": {**image, "external": "FILESTORE:"}},
        object_keys={"det": ["det_image"]},
    )
    resource = run.compose_resource(
        spec="AD_HDF5",
        root=str(store.frames_dir),
        resource_path="a.h5",
        resource_kwargs={"frame_per_point": 2},
    )
    documents: list[Any] = [
        ("start", run.start_doc),
        ("descriptor", descriptor.descriptor_doc),
        ("resource", resource.resource_doc),
    ]
    for number in range(N):
        datum = resource.compose_datum(datum_kwargs={"point_number": number})
        event = descriptor.compose_event(
            data={"det_image": datum["datum_id"]},
            timestamps={"det_image": 1.0},
            filled={"det_image": False},
        )
        documents += [("datum", datum), ("event", event)]
    uid = store.add_run([*documents, ("stop", run.compose_stop())])
    for stored_run in both(store, uid):
        np.testing.assert_array_equal(stored_run.frames, written.reshape(N, 2, H, W))


def test_a_store_that_moved_finds_the_files_that_resource_documents_name(
    RE: RunEngine, tmp_path: Path
) -> None:
    axis = SynAxis(name="x")
    with Store.open(tmp_path / "old") as store:
        RE.subscribe(store)
        detector = images("img", axis, store.frames_dir)
        (uid,) = RE(bp.list_scan([detector], axis, range(N))).run_start_uids
    (tmp_path / "old").rename(tmp_path / "new")
    run = Run.from_record(tmp_path / "new" / "record" / f"{uid}.jsonl")
    np.testing.assert_array_equal(run.frames[:][:, 0, 0, 0], range(N))
