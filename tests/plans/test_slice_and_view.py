"""Slices: cut once each, judged, corrected, recorded or recorded as missing; pauses; resumption."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine

from bl_steer.analysis.slices.recorded_slices import slices_of
from plans import slice_and_view
from plans.stubs.microscopes.milling import SlicingError
from simulators.electron.fibsem import SimulatedFibSem
from simulators.electron.imaging import ImagingConditions
from simulators.electron.slice_faults import SliceFaults
from simulators.electron.tracking_marks import NotchedCap
from tests.plans.pausing import paused_runs, run_paused

PITCH = 100.0
COARSE = ImagingConditions(pixel_size_nm=20.0)
CALM: dict[str, Any] = {"failed": 0.0, "twice": 0.0, "lost": 0.0, "seed": 4}


def fibsem(folder: Path, *, shape: tuple[int, int] = (112, 128), **faults: Any) -> SimulatedFibSem:
    return SimulatedFibSem(
        "network",
        seed=4,
        shape=shape,
        conditions=COARSE,
        cap=NotchedCap(),
        faults=SliceFaults(**{**CALM, **faults}),
        frames_dir=folder / "frames",
    )


def slicing(instrument: SimulatedFibSem, **options: Any) -> Any:
    options = {"pitch_nm": PITCH, "marks": instrument.marks, **options}
    return slice_and_view(instrument.sem, instrument.mill, **options)


def steps(documents: Any) -> list[tuple[int, str]]:
    columns = (documents.column("decisions", key) for key in ("slice", "step"))
    return [pair for pair in zip(*columns, strict=True) if pair[1] not in ("mill", "take")]


def test_every_slice_is_recorded_with_its_measured_depth_and_drift(
    RE: RunEngine, tmp_path: Path, documents: Any
) -> None:
    instrument = fibsem(tmp_path)
    taken = RE(slicing(instrument, n_slices=5)).plan_result
    assert (taken.n_recorded, taken.n_missing, taken.stop_reason) == (5, 0, "done")
    assert documents.column("primary", "slice") == [0, 1, 2, 3, 4]
    assert documents.column("primary", "mill_n_cuts") == [0, 1, 2, 3, 4]
    assert documents.column("primary", "mill_depth") == [0.0, 100.0, 200.0, 300.0, 400.0]
    views = instrument.views()
    true_z = [view.z_nm for view in views]
    assert np.ptp(np.diff(true_z)) > 0.1 * PITCH  # the pitch does jitter
    np.testing.assert_allclose(documents.column("primary", "z_nm"), true_z, atol=12.0)
    for axis, key in enumerate(("drift_y_nm", "drift_x_nm")):
        true = np.array([view.displacement_nm[axis] for view in views])
        np.testing.assert_allclose(documents.column("primary", key), true - true[0], atol=10.0)
    assert documents.run.frames.shape == (5, 1, 112, 128)


def test_a_cut_that_removes_nothing_is_noticed_and_repeated(
    RE: RunEngine, tmp_path: Path, documents: Any
) -> None:
    instrument = fibsem(tmp_path, failed_cuts=(2, 3))
    taken = RE(slicing(instrument, n_slices=4)).plan_result
    assert (2, "mill_again") in steps(documents)
    assert taken.n_milled_again == 2
    assert taken.n_recorded == 4
    assert instrument.mill.n_cuts.get() == 5
    assert np.diff([view.z_nm for view in instrument.views()]).min() > 0.3 * PITCH


def test_a_slice_that_was_milled_away_is_recorded_as_missing(
    RE: RunEngine, tmp_path: Path, documents: Any
) -> None:
    instrument = fibsem(tmp_path, double_cuts=(2,))
    taken = RE(slicing(instrument, n_slices=6)).plan_result
    assert steps(documents)[-1] == (2, "missing")
    assert documents.column("primary", "slice") == [0, 1, 3, 4, 5]
    assert taken.missing.tolist() == [2.0]
    assert instrument.mill.n_cuts.get() == 4
    np.testing.assert_allclose(
        documents.column("primary", "z_nm"), [v.z_nm for v in instrument.views()], atol=15.0
    )


def test_a_face_without_an_image_is_taken_again_and_then_recorded_as_missing(
    RE: RunEngine, tmp_path: Path, documents: Any
) -> None:
    instrument = fibsem(tmp_path, lost_images=(2,), pitch_jitter=0.05)
    taken = RE(slicing(instrument, n_slices=4, max_retakes=1)).plan_result
    assert steps(documents)[-2:] == [(2, "retake"), (2, "missing")]
    assert documents.column("primary", "slice") == [0, 1, 3]
    assert taken.missing.tolist() == [2.0]
    assert "no image" in documents.column("decisions", "reason")[-3]


def test_depths_stay_right_over_a_gap_of_several_slices(
    RE: RunEngine, tmp_path: Path, documents: Any
) -> None:
    instrument = fibsem(tmp_path, shape=(112, 256), lost_images=(2, 3, 4, 5))
    taken = RE(slicing(instrument, n_slices=9, max_retakes=0)).plan_result
    assert taken.missing.tolist() == [2.0, 3.0, 4.0, 5.0]
    seen = [view for view in instrument.views() if view.z_nm < 150 or view.z_nm > 550]
    np.testing.assert_allclose(
        documents.column("primary", "z_nm"), [view.z_nm for view in seen], atol=18.0
    )


def test_focus_and_drift_out_of_tolerance_are_corrected_before_the_slice_is_recorded(
    RE: RunEngine, tmp_path: Path, documents: Any
) -> None:
    instrument = fibsem(
        tmp_path, shape=(144, 160), drift_rate_nm=(30.0, -25.0), drift_nm=1.0, focus_drift_um=9.0
    )
    RE(slicing(instrument, n_slices=6, focus_step_um=10.0, blur_tolerance_nm=15.0))
    done = [step for _, step in steps(documents)]
    assert {"refocus", "correct_drift"} <= set(done)
    assert done.count("refocus") > 1
    for view in instrument.views():
        assert np.hypot(*view.displacement_nm) < 60.0
        assert abs(view.defocus_um) < 10.0
    uncorrected = np.hypot(30.0, 25.0) * 5
    assert uncorrected > 150.0
    assert abs(documents.column("primary", "sem_beam_shift_y")[-1]) > 50.0


def test_an_ion_beam_that_is_off_ends_the_run_with_what_there_is(
    RE: RunEngine, tmp_path: Path, documents: Any
) -> None:
    instrument = fibsem(tmp_path, failed_cuts=tuple(range(2, 20)))
    with pytest.raises(SlicingError, match="slice 2 must show a new face, got the same one after"):
        RE(slicing(instrument, n_slices=4))
    assert documents.column("primary", "slice") == [0, 1]
    assert documents.column("result", "stop_reason") == ["interrupted"]
    assert documents.stop["exit_status"] == "fail"


def test_drift_beyond_the_beam_shift_ends_the_run(
    RE: RunEngine, tmp_path: Path, documents: Any
) -> None:
    instrument = fibsem(tmp_path, drift_rate_nm=(70.0, 0.0), drift_nm=0.0)
    instrument.sem.beam_shift_range.sim_put(60.0)
    with pytest.raises(SlicingError, match=r"the beam shift must stay within ±60 nm, got y ="):
        RE(slicing(instrument, n_slices=4))
    assert documents.column("result", "stop_reason") == ["interrupted"]


def test_pause_at_any_message_cuts_nothing_twice_and_repeats_no_event(
    RE: RunEngine, tmp_path: Path, documents: Any
) -> None:
    instrument = fibsem(tmp_path)

    def plan() -> Any:
        nonlocal instrument
        instrument = fibsem(tmp_path, shape=(72, 64), failed_cuts=(1,))
        return slicing(instrument, n_slices=2)

    def outcome() -> tuple[Any, ...]:
        decided = [documents.column("decisions", key) for key in ("slice", "step", "spacing_nm")]
        return (
            repr(decided),
            documents.column("primary", "z_nm"),
            [event["seq_num"] for event in documents.events("decisions")],
            [event["seq_num"] for event in documents.events("primary")],
            [doc["indices"]["start"] for doc in documents.named("stream_datum")],
            int(instrument.mill.n_cuts.get()),
            instrument.z_nm,
            len(documents.events("result")),
            np.asarray(documents.run.frames).tobytes(),
        )

    n_messages = run_paused(RE, plan()).messages
    expected = outcome()
    assert expected[5] == 2  # one cut in vain, and one again
    assert steps(documents) == [(0, "refocus"), (1, "mill_again")]
    for first in paused_runs(RE, plan, n_messages):
        assert outcome() == expected, f"paused from message {first} on"


@pytest.mark.parametrize("mill_ahead", [0, 1, 2])
def test_a_run_that_was_killed_is_carried_on_at_the_depth_that_the_mill_reports(
    RE: RunEngine, tmp_path: Path, documents: Any, mill_ahead: int
) -> None:
    instrument = fibsem(tmp_path)
    RE(slicing(instrument, n_slices=3))
    killed = documents.run.from_documents([d for d in documents.all if d[0] != "stop"])
    assert killed.status == "unfinished"
    for number in range(mill_ahead):  # cuts of which nobody took an image
        instrument.mill.set((3 + number) * PITCH).wait(60.0)
    taken = RE(slicing(instrument, n_slices=6, resumes=killed)).plan_result
    (start,) = documents.named("start")
    assert start["slices"]["resumes"] == killed.uid
    expected = {0: [3, 4, 5], 1: [3, 4, 5], 2: [4, 5]}[mill_ahead]
    assert documents.column("primary", "slice") == expected
    assert taken.n_missing == (mill_ahead == 2)
    assert instrument.mill.n_cuts.get() == 5
    true_z = [view.z_nm for view in instrument.views()]
    np.testing.assert_allclose(documents.column("primary", "z_nm"), true_z, atol=18.0)
    inputs = slices_of(killed, documents.run)
    assert inputs.arrays["slice"].tolist() == [0, 1, 2, *expected]
    assert inputs.arrays["slices"].shape == (3 + len(expected), 112, 128)
    np.testing.assert_array_equal(inputs.arrays["slices"][3], documents.run.frames[0][0])


def test_the_start_document_carries_what_was_asked_for(
    RE: RunEngine, tmp_path: Path, documents: Any
) -> None:
    instrument = fibsem(tmp_path)
    plan = slicing(
        instrument,
        n_slices=np.int64(1),
        accelerating_voltage_kV=1.5,
        analyses=["align-slices"],
        md={"a": 1},
    )
    RE(plan)
    (start,) = documents.named("start")
    assert start["plan_name"] == "slice_and_view"
    assert start["a"] == 1
    assert start["analyses"] == [{"name": "align-slices", "params": {}}]
    assert start["conditions"]["accelerating_voltage_kV"] == 1.5
    assert start["slices"]["pitch_nm"] == PITCH
    assert start["slices"]["marks"] == instrument.marks.to_dict()  # type: ignore[union-attr]
    units = documents.descriptor("primary")["data_keys"]
    assert (units["z_nm"]["units"], units["sem_image"]["shape"]) == ("nm", [1, 112, 128])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_slices": 0}, "n_slices must be a whole number, 1 or more, got 0; try n_slices=100"),
        ({"n_slices": True}, "n_slices must be a whole number, 1 or more, got True"),
        ({"pitch_nm": -5.0, "focus_step_um": np.nan}, "(?s)pitch_nm .* -5.0 nm.*focus_step_um"),
        ({"staining": "", "max_retakes": -1}, "(?s)max_retakes must be.*staining must be a word"),
        ({"marks": None, "pitch_nm": 20.0}, "pitch_nm without marks must be 4 pixels at least"),
        ({"analyses": ["sgement"]}, "an analysis must be one of .* got 'sgement'"),
    ],
)
def test_what_cannot_work_is_refused_before_the_first_message(
    RE: RunEngine, tmp_path: Path, documents: Any, options: dict[str, Any], message: str
) -> None:
    instrument = fibsem(tmp_path)
    with pytest.raises(ValueError, match=message):
        RE(slicing(instrument, **options))
    assert documents.all == []
    assert instrument.mill.n_cuts.get() == 0


def test_a_run_of_another_plan_or_pitch_cannot_be_resumed(
    RE: RunEngine, tmp_path: Path, documents: Any
) -> None:
    instrument = fibsem(tmp_path)
    RE(slicing(instrument, n_slices=2))
    before = documents.run
    with pytest.raises(ValueError, match=r"(?s)pitch_nm must be that of .* 100 nm.*n_slices must"):
        RE(slicing(instrument, n_slices=2, pitch_nm=120.0, resumes=before))
    before.start["plan_name"] = "map_sample"
    with pytest.raises(ValueError, match="resumes must be a run of slice_and_view"):
        RE(slicing(instrument, n_slices=4, resumes=before))
