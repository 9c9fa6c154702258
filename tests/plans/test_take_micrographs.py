"""Taking micrographs: one event a field, conditions in the record, pauses that repeat nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine

from bl_steer.runs import open_run
from bl_steer.store import Store
from plans import take_micrographs
from plans.take_micrographs import DEFAULT_FIELDS
from simulators.electron.imaging import ImagingConditions
from simulators.electron.microscope import SimulatedMicroscope
from tests.plans.pausing import paused_runs, run_paused

SHAPE = (32, 40)
COARSE = ImagingConditions(pixel_size_nm=40.0)
FIELDS = [(0.0, 0.0), (5.0, 2.0), (10.0, 4.0)]


@pytest.fixture
def microscope(tmp_path: Path) -> SimulatedMicroscope:
    return SimulatedMicroscope(
        "network", seed=3, shape=SHAPE, conditions=COARSE, frames_dir=tmp_path / "frames"
    )


def taking(microscope: SimulatedMicroscope, **options: Any) -> Any:
    return take_micrographs(microscope.sem, microscope.stage, **{"fields": FIELDS, **options})


def way(documents: Any) -> list[tuple[float, float]]:
    columns = (documents.column("primary", key) for key in ("stage_x", "stage_y"))
    return list(zip(*columns, strict=True))


def test_every_field_has_one_event_and_one_micrograph_of_its_place(
    RE: RunEngine, microscope: SimulatedMicroscope, documents: Any
) -> None:
    assert RE(taking(microscope)).plan_result == 3
    assert way(documents) == FIELDS
    frames = np.asarray(documents.run.frames)
    assert frames.shape == (3, 1, *SHAPE)
    for frame, (x, y) in zip(frames[:, 0].astype(float), FIELDS, strict=True):
        truth = microscope.truth(x, y)
        brightness = -np.array([0.75, 0.40, 0.12])[truth]
        assert np.corrcoef(frame.ravel(), brightness.ravel())[0, 1] < -0.6
    np.testing.assert_allclose(documents.column("primary", "sem_mean"), frames.mean(axis=(1, 2, 3)))


def test_default_fields_do_not_overlap(
    RE: RunEngine, microscope: SimulatedMicroscope, documents: Any
) -> None:
    RE(taking(microscope, fields=None))
    assert way(documents) == list(DEFAULT_FIELDS)
    distances = np.abs(np.subtract.outer(*2 * [np.array(DEFAULT_FIELDS)])).max(axis=(1, 3))
    assert distances[~np.eye(5, dtype=bool)].min() >= 10.0


def test_start_document_says_what_was_asked_for_and_holds(
    RE: RunEngine, microscope: SimulatedMicroscope, documents: Any
) -> None:
    microscope.sem.etching_time.put(30.0)
    asked = ["segment", {"name": "components", "params": {"seed": 1}, "always": True}]
    RE(
        taking(
            microscope,
            accelerating_voltage_kV=np.float64(1.5),
            staining="osmium",
            analyses=asked,
            md={"operator": "me"},
        )
    )
    (start,) = documents.named("start")
    assert start["plan_name"] == "take_micrographs"
    assert start["detectors"] == ["sem"]
    assert start["motors"] == ["stage_x", "stage_y"]
    assert start["num_points"] == 3
    assert start["operator"] == "me"
    assert start["conditions"] == {
        "pixel_size_nm": 40.0,
        "accelerating_voltage_kV": 1.5,
        "etching_s": 30.0,
        "staining": "osmium",
    }
    assert start["analyses"] == [
        {"name": "segment", "params": {}},
        {"name": "components", "params": {"seed": 1}, "always": True},
    ]
    configuration = documents.run.configuration
    assert configuration["sem_accelerating_voltage"] == 1.5
    assert configuration["sem_staining"] == "osmium"
    assert microscope.conditions.accelerating_voltage_kV == 1.5


def test_conditions_change_what_is_seen(
    RE: RunEngine, microscope: SimulatedMicroscope, documents: Any
) -> None:
    means = []
    for pixel_size_nm in (20.0, 80.0):
        RE(taking(microscope, pixel_size_nm=pixel_size_nm))
        frames = np.asarray(documents.run.frames)[:, 0].astype(float)
        truth = np.stack([microscope.truth(x, y) for x, y in FIELDS])
        means.append(frames[truth == 0].mean() - frames[truth == 2].mean())
    assert min(means) > 50.0


def test_run_reads_back_from_the_store(
    RE: RunEngine, microscope: SimulatedMicroscope, tmp_path: Path
) -> None:
    with Store.open(tmp_path / "store") as store:
        store.subscribe_to(RE)
        microscope.sem.frames_dir = store.frames_dir
        uid = RE(taking(microscope)).run_start_uids[0]
        run = open_run(store, uid)
        assert run.frames is not None
        assert run.frames.shape == (3, 1, *SHAPE)
        assert run.frames[1].dtype == np.uint8
        np.testing.assert_array_equal(run.x, [x for x, _ in FIELDS])
        assert run.valid.all()
        np.testing.assert_array_equal(
            np.asarray(run.frames).mean(axis=(1, 2, 3)), run.primary["sem_mean"]
        )


def test_other_devices_are_read_with_every_field(
    RE: RunEngine, microscope: SimulatedMicroscope, beamline: Any, documents: Any
) -> None:
    RE(taking(microscope, also_read=[beamline.monitor]))
    assert len(documents.column("primary", "monitor_counts")) == 3


def test_pause_at_any_message_repeats_no_event_and_changes_no_micrograph(
    RE: RunEngine, tmp_path: Path, documents: Any
) -> None:
    def plan() -> Any:
        microscope = SimulatedMicroscope("network", seed=3, shape=(8, 8), frames_dir=tmp_path)
        return taking(microscope, fields=FIELDS[:2], accelerating_voltage_kV=1.5)

    n_messages = run_paused(RE, plan()).messages
    expected = np.asarray(documents.run.frames)
    for first in paused_runs(RE, plan, n_messages):
        told = f"paused from message {first} on"
        assert way(documents) == FIELDS[:2], told
        assert [e["seq_num"] for e in documents.events("primary")] == [1, 2]
        assert [d["indices"]["start"] for d in documents.named("stream_datum")] == [0, 1]
        np.testing.assert_array_equal(documents.run.frames, expected, err_msg=told)
        assert documents.named("start")[0]["conditions"]["pixel_size_nm"] == 10.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fields": []}, r"fields must be finite pairs \(x, y\) in µm, one at least, got \[\]"),
        ({"fields": [(0.0, np.nan)]}, "fields must be finite pairs"),
        ({"fields": [(0.0, 1.0, 2.0)]}, "fields must be finite pairs"),
        ({"fields": ["ab", 1]}, "fields must be finite pairs"),
        ({"fields": [(0.0, 9999.0)]}, "stage_y must stay within its limits"),
        ({"pixel_size_nm": 0.0}, "pixel_size_nm must be positive and finite, got 0.0 nm; try"),
        ({"accelerating_voltage_kV": "5"}, "accelerating_voltage_kV .* got '5' kV"),
        ({"etching_s": -1.0, "staining": ""}, "(?s)etching_s must be 0 or above.*staining must be"),
        ({"analyses": ["sgement"]}, "an analysis must be one of .* got 'sgement'"),
        ({"analyses": [{"nome": "segment"}]}, "analyses must be a list of names or of"),
    ],
)
def test_what_cannot_work_is_refused_before_the_first_message(
    RE: RunEngine,
    microscope: SimulatedMicroscope,
    documents: Any,
    options: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(ValueError, match=message):
        RE(taking(microscope, **options))
    assert documents.all == []
    assert microscope.clock.elapsed_s == 0.0
