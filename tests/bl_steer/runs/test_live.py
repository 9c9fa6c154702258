"""The events of a run that is going on, with frames out of the files of detectors of all kinds."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import h5py
import numpy as np
import pytest
from bluesky import RunEngine
from event_model import pack_datum_page, pack_event_page
from ophyd.sim import SynAxis, SynSignalWithRegistry
from ophyd_async.core import (
    DetectorTrigger,
    StaticPathProvider,
    TriggerInfo,
    UUIDFilenameProvider,
    init_devices,
)
from ophyd_async.sim import PatternGenerator, SimBlobDetector, SimStage

from bl_steer.runs import LiveEvent, LiveRun, Run
from bl_steer.store import StoreError
from tests.bl_steer.runs.stream_writer import Writer

H, W = 5, 7


def run_points(
    detector: Any, axis: Any, *, prepare: Any = None, n: int = 4
) -> Callable[[], Iterator[Any]]:
    """Return a plan that subscribes a `LiveRun` to itself and returns what it saw of each point."""

    def plan() -> Any:
        live = LiveRun()
        token = yield from bps.subscribe("all", live)
        seen: list[tuple[LiveRun, LiveEvent, Any]] = []

        @bpp.stage_decorator([detector])
        @bpp.run_decorator(md={"detectors": [detector.name]})
        def measure() -> Any:
            if prepare is not None:
                yield from bps.prepare(detector, prepare, wait=True)
            for number in range(n):
                yield from bps.checkpoint()
                yield from bps.mv(axis, float(number))
                yield from bps.trigger_and_read([detector, axis])
                seen.extend((live, event, event.frames()) for event in live.take())

        yield from measure()
        yield from bps.unsubscribe(token)
        return seen

    return plan


@pytest.fixture
def blobs(RE: RunEngine, tmp_path: Path) -> tuple[SimBlobDetector, Any]:
    generator = PatternGenerator()
    provider = StaticPathProvider(UUIDFilenameProvider(), tmp_path)
    with init_devices():
        stage = SimStage(generator)
        blob = SimBlobDetector(provider, pattern_generator=generator)
    return blob, stage.x


def test_frames_of_an_image_that_ophyd_sim_saves_are_those_that_it_took(
    RE: RunEngine, documents: Any, tmp_path: Path
) -> None:
    axis = SynAxis(name="x")
    detector = SynSignalWithRegistry(
        func=lambda: np.full((H, W), axis.position), name="img", save_path=str(tmp_path)
    )
    seen = RE(run_points(detector, axis)()).plan_result
    assert [event.seq_num for _, event, _ in seen] == [1, 2, 3, 4]
    for number, (live, event, frames) in enumerate(seen):
        np.testing.assert_array_equal(frames, np.full((1, H, W), float(number)))
        assert live.external_keys == ["img"]
        assert live.objects == {"img": ["img"], "x": ["x", "x_setpoint"]}
        assert event.data["x"] == number
    stored = documents.run
    np.testing.assert_array_equal(stored.frames, [frames for *_, frames in seen])
    assert "img" not in stored.primary


@pytest.mark.parametrize("n_frames", [1, 3])
def test_frames_of_an_async_detector_are_read_while_it_writes(
    RE: RunEngine, documents: Any, blobs: tuple[Any, Any], n_frames: int
) -> None:
    detector, axis = blobs
    trigger = TriggerInfo(
        trigger=DetectorTrigger.INTERNAL, collections_per_event=n_frames, livetime=0.01
    )
    seen = RE(run_points(detector, axis, prepare=trigger)()).plan_result
    (resource, _) = documents.named("stream_resource")
    with h5py.File(resource["uri"].removeprefix("file://localhost")) as file:
        written, sums = file["/entry/data/data"][()], file["/entry/sum"][()]
    assert written.shape == (4 * n_frames, 240, 320)
    np.testing.assert_array_equal(np.concatenate([frames for *_, frames in seen]), written)
    for number, (live, event, frames) in enumerate(seen):
        assert live.external_keys == ["blob", "blob-sum"]
        assert frames.shape == (n_frames, 240, 320)
        own = event.frames("blob-sum")
        np.testing.assert_array_equal(
            own.ravel(), sums[number * n_frames : (number + 1) * n_frames]
        )
    stored = documents.run
    assert stored.frames.shape == (4, n_frames, 240, 320)
    np.testing.assert_array_equal(stored.frames, [frames for *_, frames in seen])


def take_all(live: LiveRun, documents: Any) -> list[LiveEvent]:
    for name, doc in documents:
        live(name, doc)
    return live.take()


@pytest.mark.parametrize(
    ("shape", "row", "rows", "frames_shape"),
    [
        ([H, W], (H, W), [1], (1, H, W)),
        ([1, H, W], (H, W), [1], (1, H, W)),
        ([3, H, W], (H, W), [3, 4, 5], (3, H, W)),
        ([3, H, W], (3, H, W), [1], (3, H, W)),
        ([4], (), [4, 5, 6, 7], (1, 1, 4)),
        ([], (), [1], (1, 1, 1)),
        ([9], (9,), [1], (1, 1, 9)),
        ([2, 9], (9,), [2, 3], (1, 2, 9)),
        ([H, W, 3], (H, W, 3), [3], (1, H, W)),
    ],
)
def test_the_rows_of_an_event_are_told_by_the_shapes_of_file_and_data_key(
    tmp_path: Path, shape: Any, row: Any, rows: Any, frames_shape: Any
) -> None:
    writer = Writer(tmp_path / "a.h5", shape=shape, row=row)
    writer.write(12)
    documents = [
        *writer.first,
        ("event", writer.event(1)),
        ("event", writer.event(2)),
        ("stream_datum", writer.datum(1, 3, 0)),
    ]
    events = take_all(LiveRun(), documents)
    frames = events[1].frames("det_image")
    assert frames.shape == frames_shape
    np.testing.assert_array_equal(np.unique(frames), rows)
    stored = Run.from_documents(documents)
    np.testing.assert_array_equal(stored.frames[1], frames)


def test_frames_that_are_flushed_late_are_waited_for(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "a.h5", shape=[H, W], row=(H, W))
    documents = [
        *writer.first,
        ("stream_datum", writer.datum(1, 2, 0)),
        ("event", writer.event(1)),
    ]
    (event,) = take_all(LiveRun(), documents)
    thread = threading.Thread(target=writer.write, args=(1,), kwargs={"late_s": 0.2})
    thread.start()
    np.testing.assert_array_equal(event.frames(), np.zeros((1, H, W)))
    thread.join()


@pytest.mark.parametrize(
    ("empty", "problem"),
    [
        (0, r"event 2 \(det_image\) .* within 0.1 s, got: .* row 1, got 1 rows in .*a.h5.*SWMR"),
        (1, r"event 2 .* got: row 1 must be written, got an empty place in /entry/data/data of"),
    ],
)
def test_frames_that_never_come_are_an_error_with_file_and_row(
    tmp_path: Path, empty: int, problem: str
) -> None:
    writer = Writer(tmp_path / "a.h5", shape=[H, W], row=(H, W))
    writer.write(1, empty=empty)
    documents = [
        *writer.first,
        ("stream_datum", writer.datum(1, 3, 0)),
        ("event", writer.event(1)),
        ("event", writer.event(2)),
    ]
    first, second = take_all(LiveRun(), documents)
    assert first.frames() is not None
    with pytest.raises(StoreError, match=problem):
        second.frames(patience_s=0.1)


def test_an_event_whose_documents_tell_no_place_is_an_error_and_not_an_event_without_frames(
    tmp_path: Path,
) -> None:
    writer = Writer(tmp_path / "a.h5", shape=[H, W], row=(H, W))
    (event,) = take_all(LiveRun(), [*writer.first, ("event", writer.event(1))])
    with pytest.raises(StoreError, match="must say where they are, got none"):
        event.frames(patience_s=0.05)
    assert event.frames("x") is None


def test_of_an_event_that_is_repeated_the_last_counts_and_each_is_handed_out_once(
    tmp_path: Path,
) -> None:
    writer = Writer(tmp_path / "a.h5", shape=[H, W], row=(H, W))
    writer.write(4)
    live = LiveRun()
    event, again = writer.event(2), {**writer.event(2), "data": {"x": 9.0}}
    page = pack_event_page(writer.event(3))
    for name, doc in [
        *writer.first,
        ("stream_datum", writer.datum(1, 3, 0)),
        ("event", writer.event(1)),
        ("event", event),
        ("stream_datum", writer.datum(2, 4, 2)),
        ("event", again),
        ("event_page", page),
    ]:
        live(name, doc)
    events = live.take()
    assert [(e.seq_num, e.data["x"]) for e in events] == [(1, 1.0), (2, 9.0), (3, 3.0)]
    assert [int(e.frames()[0, 0, 0]) for e in events] == [0, 2, 3]
    assert live.take() == []


def test_documents_of_another_run_and_of_other_streams_are_let_pass(tmp_path: Path) -> None:
    writer, other = (Writer(tmp_path / n, shape=[H, W], row=(H, W)) for n in ("a.h5", "b.h5"))
    baseline = writer.run.compose_descriptor(
        name="baseline", data_keys={"t": {"source": "PV", "dtype": "number", "shape": []}}
    )
    documents = [
        *writer.first,
        *other.first,
        ("descriptor", baseline.descriptor_doc),
        ("event", other.event(1)),
        ("event", dict(baseline.compose_event(data={"t": 1.0}, timestamps={"t": 1.0}))),
    ]
    live = LiveRun()
    assert take_all(live, documents) == []
    assert set(live.keys) == {"det_image", "x"}


def test_a_long_run_leaves_nothing_behind(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "a.h5", shape=[H, W], row=(H, W))
    live = LiveRun()
    for name, doc in writer.first:
        live(name, doc)
    tracemalloc.start()
    for number in range(1, 2001):
        live("stream_datum", writer.datum(number, number + 1, number - 1))
        live("event", writer.event(number))
        (event,) = live.take()
        if number == 1000:
            before, _ = tracemalloc.get_traced_memory()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert event.seq_num == 2000
    assert after - before < 20_000


def test_frames_in_a_format_that_cannot_be_read_are_named_when_asked_for(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "a.h5", shape=[H, W], row=(H, W))
    tiff = {**writer.resource.stream_resource_doc, "mimetype": "multipart/related;type=image/tiff"}
    documents = [
        *writer.first[:2],
        ("stream_resource", tiff),
        ("stream_datum", writer.datum(1, 2, 0)),
        ("event", writer.event(1)),
    ]
    (event,) = take_all(LiveRun(), documents)
    assert event.data == {"x": 1.0}
    with pytest.raises(StoreError, match=r"HDF5 files, .* got the format 'multipart/rel"):
        event.frames()
    stored = Run.from_documents(documents)
    assert stored.frames.shape == (1, 1, H, W)
    with pytest.raises(StoreError, match="must be in HDF5 files"):
        stored.frames[0]


@pytest.mark.parametrize("page", [False, True])
def test_frames_of_an_area_detector_are_told_by_resource_and_datum(
    tmp_path: Path, page: bool
) -> None:
    writer = Writer(tmp_path / "a.h5", shape=[2, H, W], row=(H, W))
    writer.write(4)
    resource = writer.run.compose_resource(
        spec="AD_HDF5",
        root=str(tmp_path),
        resource_path="a.h5",
        resource_kwargs={"frame_per_point": 2},
    )
    datums = [resource.compose_datum(datum_kwargs={"point_number": n}) for n in range(2)]
    events = [
        {
            **writer.event(number),
            "data": {"x": 0.0, "det_image": datum["datum_id"]},
            "timestamps": {"x": 1.0, "det_image": 1.0},
            "filled": {"det_image": False},
        }
        for number, datum in enumerate(datums, start=1)
    ]
    documents = [*writer.first[:2], ("resource", resource.resource_doc)]
    documents += (
        [("datum_page", pack_datum_page(*datums))] if page else [("datum", d) for d in datums]
    )
    documents += [("event", event) for event in events]
    first, second = take_all(LiveRun(), documents)
    np.testing.assert_array_equal(second.frames()[:, 0, 0], [2, 3])
    np.testing.assert_array_equal(first.frames()[:, 0, 0], [0, 1])
    stored = Run.from_documents(documents)
    np.testing.assert_array_equal(stored.frames[1], second.frames())
    assert set(stored.primary) == {"seq_num", "time", "x", "ts_x"}
