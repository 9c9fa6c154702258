"""What is refused as a stack, and what the user is told of its super-resolution."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from sklearn.metrics import accuracy_score, jaccard_score

from bl_steer.analysis.superresolution.checks import (
    absent_labels,
    anisotropy_warnings,
    blank_slices,
    check_count,
    check_dtype,
    check_extent,
    check_labels,
    check_lessons,
    check_slices,
    doubled_slices,
    like_labels,
    limit_of,
    voxel_warnings,
)
from bl_steer.analysis.superresolution.decimation import Decimation
from bl_steer.analysis.superresolution.numbering import numbered
from bl_steer.analysis.superresolution.resolution import ring_resolution
from bl_steer.analysis.superresolution.training import TrainingSettings
from bl_steer.analysis.superresolution.validation import label_scores, leave_out
from bl_steer.analysis.superresolution.verdict import NETWORKS, is_gain, verdict
from bl_steer.protocols import Table

RNG = np.random.default_rng(4)


@pytest.mark.parametrize("shape", [(4, 4), (0, 4, 4), (2, 4, 4, 3)])
def test_what_is_no_stack_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="must have the axes z, y, x, got shape"):
        check_slices(np.zeros(shape), None)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_grey_levels_that_are_not_finite_are_refused(value: float) -> None:
    slices = np.zeros((2, 3, 3))
    slices[1, 2, 2] = value
    with pytest.raises(ValueError, match="must be finite, got some that are not; fill them first"):
        check_slices(slices, None)


@pytest.mark.parametrize(
    ("dtype", "n_phases", "message"),
    [
        ("f4", 2, "labels must be whole numbers 0 … 1, got float32"),
        ("u1", 1, "and give the number of phases"),
        ("c8", None, "grey levels must be real numbers, got complex64"),
        ("O", None, "grey levels must be real numbers, got object"),
    ],
)
def test_other_types_are_refused(dtype: str, n_phases: int | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_dtype(np.dtype(dtype), n_phases)


@given(st.integers(-3, 6), st.integers(2, 5))
def test_labels_are_those_below_the_number_of_phases(label: int, n_phases: int) -> None:
    labels = np.array([0, label], np.int16)
    if 0 <= label < n_phases:
        check_labels(labels, n_phases)
    else:
        with pytest.raises(ValueError, match=f"got int16 from {min(0, label)} up to"):
            check_labels(labels, n_phases)


def test_one_slice_and_one_value_teach_nothing() -> None:
    with pytest.raises(ValueError, match="two slices at least, got 1; give the whole stack"):
        check_lessons(np.arange(9.0).reshape(1, 3, 3))
    with pytest.raises(ValueError, match="got 7 in every pixel; check the stack"):
        check_lessons(np.full((3, 4, 4), 7))
    check_lessons(np.eye(3)[None].repeat(2, 0))
    with pytest.raises(ValueError, match="two slices at least, got 1; take more"):
        check_count(1)


@pytest.mark.parametrize(
    ("shape", "voxel", "message"),
    [
        ((9, 40, 40), (0.0, 10.0, 10.0), "positive edges, equal along y and x"),
        ((9, 40, 40), (40.0, 10.0, 11.0), r"got \(40.0, 10.0, 11.0\) nm; resample"),
        ((2, 40, 40), (40.0, 10.0, 10.0), r"three slices of three pitches .* \(2, 40, 40\)"),
        ((9, 15, 40), (40.0, 10.0, 10.0), "at a pitch of 4 px; take more"),
    ],
)
def test_a_depth_that_cannot_be_compared_is_refused(
    shape: tuple[int, ...], voxel: tuple[float, float, float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        check_extent(shape, voxel)
    check_extent((3, 16, 16), (40.0, 10.0, 10.0))


def test_labels_that_do_not_occur_are_named() -> None:
    slices = np.array([[[0, 2]]], np.uint8)
    (warning,) = absent_labels(slices, 4)
    assert warning.startswith("of labels 0 … 3, 1, 3 do not occur")
    assert "n_phases=4, right?" in warning
    (many,) = absent_labels(slices, 20)
    assert "1, 3, 4, 5, 6, … do not occur" in many
    assert not list(absent_labels(slices, None))
    assert not list(absent_labels(np.arange(4).reshape(1, 2, 2), 4))


@pytest.mark.parametrize(
    ("values", "dtype", "remedy"),
    [
        ([0, 1, 2], "u1", "if they are labels, train with n_phases=3"),
        ([0, 1, 2], "f4", "if they are labels, train with n_phases=3"),
        ([0, 255], "u1", "if they are labels, train with n_phases=2"),
        ([0, 9], "u1", "number them from 0 as uint8, and train with n_phases=2"),
    ],
)
def test_a_few_whole_numbers_look_like_labels(values: list[int], dtype: str, remedy: str) -> None:
    slices = np.array(values, dtype)[None, None].repeat(3, 0)
    (warning,) = like_labels(slices, None)
    assert ", ".join(map(str, values)) in warning
    assert remedy in warning
    assert not list(like_labels(slices, 3))


@pytest.mark.parametrize("slices", [np.arange(9.0)[None, None], np.array([[[0.5, 1.0]]])])
def test_grey_levels_do_not_look_like_labels(slices: NDArray[Any]) -> None:
    assert not list(like_labels(slices, None))


def test_slices_that_show_nothing_are_named() -> None:
    slices = RNG.integers(0, 256, (9, 8, 8), dtype=np.uint8)
    assert not list(blank_slices(slices, None))
    slices[[2, 7]] = 0
    (warning,) = blank_slices(slices, None)
    assert warning.startswith("of slices 0 … 8, 2, 7 hold one grey level in every pixel")
    assert not list(blank_slices(slices, 256))  # a plane may lie in one phase


@pytest.mark.parametrize(
    ("voxel", "learnt", "sentence"),
    [
        ((40.0, 10.0, 10.0), (40.0, 10.0, 10.0), None),
        ((41.0, 10.0, 10.0), (40.0, 10.0, 10.0), None),
        ((80.0, 10.0, 10.0), None, "learnt a pitch of 4 px and the stack has 8; train another"),
        ((80.0, 20.0, 20.0), (40.0, 10.0, 10.0), "voxels of 40 × 10 × 10 nm and .* 80 × 20 × 20"),
        ((80.0, 20.0, 20.0), None, None),
    ],
)
def test_a_stack_of_other_voxels_than_the_models_is_told(
    voxel: tuple[float, float, float], learnt: Any, sentence: str | None
) -> None:
    warnings = list(voxel_warnings(voxel, learnt_pitch_px=4.0, learnt_voxel_nm=learnt))
    assert len(warnings) == (sentence is not None)
    for warning in warnings:
        assert np.char.count(warning, "the model learnt") == 1
        with pytest.raises(ValueError, match=sentence):
            raise ValueError(warning)


def correlation(along: list[float], plane: list[float], sd: float) -> Table:
    n = len(along)
    return {
        "lag_nm": 40.0 * np.arange(1, n + 1),
        "along_z": np.array(along),
        "in_plane": np.array(plane),
        "difference_sd": np.full(n, sd),
    }


def chords(ratio: list[float], sd: float, phases: list[Any]) -> Table:
    return {"phase": np.array(phases), "ratio": np.array(ratio), "ratio_sd": np.full(2, sd)}


ALIKE = correlation([0.5, 0.2], [0.5, 0.2], 0.01)


@pytest.mark.parametrize(
    ("difference", "sd", "told"), [(0.3, 0.01, True), (0.3, 0.1, False), (0.09, 0.01, False)]
)
def test_a_difference_is_told_when_it_is_both_significant_and_large(
    difference: float, sd: float, told: bool
) -> None:
    table = correlation([0.5, 0.2 + difference], [0.5, 0.2], sd)
    warnings = list(anisotropy_warnings(table, chords([1.0, 1.0], 0.01, [0, 1])))
    assert len(warnings) == told
    assert all("at 80 nm is" in warning for warning in warnings)


@pytest.mark.parametrize(("phases", "name"), [([0, 1], "phase 1"), (["void", "oxide"], "oxide")])
def test_the_phase_whose_chords_differ_most_is_named(phases: list[Any], name: str) -> None:
    (warning,) = anisotropy_warnings(ALIKE, chords([1.2, 0.5], 0.01, phases))
    assert warning.startswith(f"chords of {name} are 0.50 times as long along z")
    assert not list(anisotropy_warnings(ALIKE, chords([1.2, 0.5], 1.0, phases)))


@pytest.mark.parametrize(
    ("networks", "nearest", "other", "expected"),
    [
        (0.90, 0.80, 0.85, "better than signed distance (mean IoU 0.900 against 0.850)"),
        (0.85, 0.80, 0.85, "like signed distance (mean IoU 0.850 against 0.850)"),
        (0.70, 0.80, 0.75, "not better than nearest (mean IoU 0.700 against 0.800)"),
    ],
)
def test_labels_are_judged_by_the_best_simple_method(
    networks: float, nearest: float, other: float, expected: str
) -> None:
    scores: Table = {
        "method": np.array([NETWORKS, "nearest", "signed distance"]),
        "miou": np.array([networks, nearest, other]),
    }
    assert verdict(scores).startswith(expected)
    assert verdict(scores).endswith("do not use it") == (not expected.startswith("better"))


@pytest.mark.parametrize(
    ("networks", "expected"), [(4.0, "better than linear"), (5.0, "like"), (6.0, "not better than")]
)
def test_grey_levels_are_judged_by_the_smallest_error(networks: float, expected: str) -> None:
    scores: Table = {
        "method": np.array(["nearest", "linear", NETWORKS]),
        "rms_error": np.array([7.0, 5.0, networks]),
    }
    assert verdict(scores).startswith(expected)
    assert "rms error" in verdict(scores)


def test_the_limit_names_the_pitch() -> None:
    assert "thinner than the pitch of 37.5 nm may lie between two slices" in limit_of(37.5)


def test_scores_of_labels_are_those_of_scikit_learn() -> None:
    truth, other = RNG.integers(0, 3, (2, 4, 9, 9), dtype=np.uint8)
    table = label_scores({"other": other, "truth": truth}, truth, 3)
    expected = jaccard_score(truth.ravel(), other.ravel(), average="macro")
    np.testing.assert_allclose(table["miou"], [expected, 1.0])
    accuracy = accuracy_score(truth.ravel(), other.ravel())
    np.testing.assert_allclose(table["accuracy"], [accuracy, 1.0])


@pytest.fixture(scope="module")
def cube() -> NDArray[np.float64]:
    field = gaussian_filter(np.random.default_rng(3).normal(size=(13, 48, 48)), (1, 4, 4))
    return np.asarray(field / field.std())


@pytest.mark.parametrize("noise", [0.0, 2.0])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_slice_that_was_stored_twice_is_named(
    cube: NDArray[np.float64], noise: float, dtype: Any
) -> None:
    slices = 128 + 30 * cube
    assert not list(doubled_slices(slices.clip(0, 255).astype(dtype), None))
    slices[7] = slices[6] + RNG.normal(0, noise, slices[6].shape)  # as another JPEG of it has
    (warning,) = doubled_slices(slices.clip(0, 255).astype(dtype), None)
    assert warning.startswith("of slices 0 … 12, 7 shows the same face as the slice before")


def test_labels_that_were_stored_twice_are_named(cube: NDArray[np.float64]) -> None:
    labels = np.digitize(cube, (-0.5, 0.5)).astype(np.uint8)
    assert not list(doubled_slices(labels, 3))
    labels[4] = labels[3]
    assert "4 shows the same face as the slice before" in next(doubled_slices(labels, 3))


def test_blank_slices_are_not_doubled_and_have_no_resolution(cube: NDArray[np.float64]) -> None:
    slices = cube.copy()
    slices[[5, 6]] = 0.0
    assert not list(doubled_slices(slices, None))
    other = cube + np.random.default_rng(5).normal(size=cube.shape)
    rest = np.delete(np.arange(len(cube)), [5, 6])
    assert ring_resolution(slices, other) == ring_resolution(slices[rest], other[rest])
    assert np.isnan(ring_resolution(0 * cube, cube))


def test_the_mean_is_a_method_to_be_beaten() -> None:
    noise = np.random.default_rng(0).normal(100.0, 10.0, (9, 32, 32))
    settings = TrainingSettings(
        decimation=Decimation(pitch_px=2.0), blocks=1, channels=4, steps=5, seed=0
    )
    scores = leave_out(noise, settings)
    assert "mean" in scores["method"].tolist()
    assert verdict(scores).startswith("no method predicts the slices better than mean")
    assert not is_gain(verdict(scores))


@pytest.mark.parametrize("kind", ["shaded", "brightness differs", "labels"])
def test_noise_is_never_predicted_better_than_what_needs_no_training(kind: str) -> None:
    rng = np.random.default_rng(1)
    noise = rng.normal(100.0, 10.0, (13, 48, 48))
    if kind == "shaded":
        noise += 20 * np.linspace(-1, 1, 48) ** 2
    elif kind == "brightness differs":
        noise += rng.normal(0, 10.0, (13, 1, 1))
    n_phases = 3 if kind == "labels" else None
    slices = rng.integers(0, 3, noise.shape).astype(np.uint8) if n_phases else noise
    settings = TrainingSettings(
        decimation=Decimation(pitch_px=3.0), blocks=1, channels=8, steps=60, seed=0
    )
    assert not is_gain(verdict(leave_out(slices, settings, n_phases=n_phases)))


@pytest.mark.parametrize("n_phases", [None, 2])
def test_black_slices_end_no_check(n_phases: int | None) -> None:
    slices = np.random.default_rng(2).integers(0, 2, (9, 40, 40)).astype(np.uint8)
    settings = TrainingSettings(
        decimation=Decimation(pitch_px=3.0), blocks=1, channels=4, steps=2, seed=0
    )
    for black in ([0], [1], [4], [3, 4, 5], [1, 3, 5, 7]):
        broken = slices.copy()
        broken[black] = 0
        scores = leave_out(broken, settings, n_phases=n_phases)
        assert np.isfinite(scores["miou" if n_phases else "rms_error"]).all()
        assert verdict(scores)


def test_two_phases_as_0_and_255_are_numbered_from_0() -> None:
    labels = np.random.default_rng(0).integers(0, 2, (3, 8, 8)).astype(np.uint8)
    slices, notes = numbered(labels * np.uint8(255), 2)
    assert np.array_equal(slices, labels)
    assert notes == ["labels 0 and 255 are read as the phases 0 and 1"]
    for same, n_phases in ((labels, 2), (labels * np.uint8(255), 3), (labels, None)):
        slices, notes = numbered(same, n_phases)
        assert slices is same
        assert not notes
    for saved in (labels.astype(bool), labels.astype(np.float32)):
        slices, notes = numbered(saved, 2)
        assert slices.dtype == np.uint8
        assert np.array_equal(slices, labels)
        assert not notes
    assert numbered(labels + 0.5, 2)[1] == []
