"""What is refused as a label volume, and what the user is told of its measures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bl_steer.analysis.structure import LabelVolume
from bl_steer.analysis.structure.checks import (
    MAX_PHASES,
    MAX_RATIO,
    check_labels,
    check_phases,
    check_voxel,
    interval_warnings,
    resolution_warnings,
    voxel_warnings,
)

CUBE = (10.0, 10.0, 10.0)
edges = st.floats(1e-3, 1e6)


@pytest.mark.parametrize("shape", [(4,), (0, 4, 4), (1, 4, 4, 4)])
def test_what_has_no_three_axes_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="must have the axes z, y, x, got shape"):
        check_labels(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("dtype", [np.float32, np.complex64, object])
def test_values_that_are_no_whole_numbers_are_refused(dtype: Any) -> None:
    with pytest.raises(ValueError, match="segment the grey values first"):
        check_labels(np.zeros((2, 2, 2), dtype))


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int64])
def test_whole_numbers_are_labels(dtype: Any) -> None:
    check_labels(np.zeros((2, 2, 2), dtype))


@pytest.mark.parametrize(
    ("voxel", "shown"),
    [
        (None, "nothing"),
        ((), "nothing"),
        ((10.0, 10.0), "10, 10"),
        ((10.0, 0.0, 10.0), "10, 0, 10"),
        ((10.0, -1.0, 10.0), "10, -1, 10"),
        ((10.0, float("nan"), 10.0), "10, nan, 10"),
        ((float("inf"), 1.0, 1.0), "inf, 1, 1"),
    ],
)
def test_what_is_no_voxel_is_refused(voxel: Any, shown: str) -> None:
    with pytest.raises(ValueError, match=f"three positive edges z, y, x in nm, got {shown}; give"):
        check_voxel(voxel)


@given(edges, edges, edges)
def test_a_voxel_is_taken_unless_its_edges_are_of_different_units(
    z: float, y: float, x: float
) -> None:
    if max(z, y, x) > MAX_RATIO * min(z, y, x):
        with pytest.raises(ValueError, match="differ by a factor of 1000 at most"):
            check_voxel((z, y, x))
    else:
        assert check_voxel([z, y, x]) == (z, y, x)


def test_grey_levels_are_refused_by_their_number() -> None:
    with pytest.raises(ValueError, match=r"got 17 different values 0 … 16, as grey levels have"):
        check_phases(range(MAX_PHASES + 1), {})


def test_labels_without_a_name_are_refused_beside_those_with_one() -> None:
    with pytest.raises(ValueError, match=r"\(0:void, 1:oxide\), got 2, 7 in the volume too"):
        check_phases([0, 1, 2, 7], {1: "oxide", 0: "void"})


@pytest.mark.parametrize(
    ("present", "names"),
    [([1], {0: "a", 1: "b"}), ([0, 1], {0: "a", 1: "a"}), ([0, 1], dict.fromkeys(range(17), "a"))],
    ids=["one phase", "one name twice", "too many names"],
)
def test_phases_that_cannot_be_compared_are_refused(
    present: list[int], names: dict[int, str]
) -> None:
    with pytest.raises(ValueError, match="two to 16 phases of different names"):
        check_phases(present, names)


def test_two_named_phases_pass() -> None:
    check_phases([0, 3], {0: "void", 3: "oxide", 5: "carbon"})


@pytest.mark.parametrize(
    ("voxel", "by_hand", "sentences"),
    [
        (CUBE, True, []),
        ((0.1, 0.01, 0.01), False, ["0.1 × 0.01 × 0.01 nm .* were they meant in µm"]),
        ((10.0, 100.0, 100.0), True, ["10 nm along z and 100 × 100 nm .* the order is Z,Y,X"]),
        ((10.0, 100.0, 100.0), False, []),
        ((96.0, 100.0, 100.0), True, []),
        ((0.1, 1.0, 1.0), True, ["meant in µm", "the order is Z,Y,X"]),
    ],
)
def test_voxels_of_another_unit_or_order_are_asked_about(
    voxel: tuple[float, float, float], by_hand: bool, sentences: list[str]
) -> None:
    warnings = list(voxel_warnings(voxel, by_hand=by_hand))
    assert len(warnings) == len(sentences)
    for warning, sentence in zip(warnings, sentences, strict=True):
        with pytest.raises(ValueError, match=sentence):
            raise ValueError(warning)


def test_too_few_blocks_make_no_intervals() -> None:
    (warning,) = interval_warnings((8, 40, 8), CUBE, np.ones((2, 3)), blocks=4)
    assert "there must be 8 blocks" in warning
    assert warning.endswith(
        "got 1 × 4 × 1 along z, y and x in the volume of 8 × 40 × 8 voxels; take a larger volume"
    )
    (warning,) = interval_warnings((8, 64, 8), CUBE, np.ones((2, 3)), blocks=4)
    assert warning.endswith("take more blocks than 4 along each axis")


def test_blocks_that_are_hardly_wider_than_a_feature_are_told() -> None:
    chords = np.array([[20.0, 20.0, 20.0], [20.0, 90.0, 20.0]])
    (warning,) = interval_warnings((64, 64, 64), CUBE, chords, blocks=4)
    assert "the 4 blocks along y are 160 nm wide, under twice the mean chord of 90 nm" in warning
    assert warning.endswith("take 3 blocks along each axis, or a larger volume")
    assert not list(interval_warnings((64, 64, 64), CUBE, chords, blocks=3))


def test_where_there_is_one_block_along_an_axis_only_a_larger_volume_helps() -> None:
    chords = np.full((2, 3), 100.0)
    fewer, warning = interval_warnings((15, 256, 256), CUBE, chords, blocks=4)
    assert "1 along z (15 voxels)" in fewer
    assert "the 1 block along z is 150 nm wide" in warning
    assert warning.endswith("; take a larger volume")


def test_fewer_blocks_than_asked_for_are_told_and_the_advice_counts_from_these() -> None:
    short = np.full((2, 3), 20.0)
    assert not list(interval_warnings((32, 64, 64), CUBE, short, blocks=4))
    (warning,) = interval_warnings((25, 64, 64), CUBE, short, blocks=4)
    assert "than the 4 along each axis that were asked for: 3 along z (25 voxels)" in warning
    assert warning.endswith("3 × 4 × 4 along z, y and x in all")
    chords = np.array([[60.0, 20.0, 20.0]])
    for blocks in (4, 3):  # the 3 that were used along z are too narrow however many were asked for
        *_, warning = interval_warnings((25, 64, 64), CUBE, chords, blocks=blocks)
        assert "the 3 blocks along z are 83.33 nm wide" in warning
        assert warning.endswith("; take 2 blocks along each axis, or a larger volume")
    assert not list(interval_warnings((25, 64, 64), CUBE, chords, blocks=2))
    # Nor does it advise what leaves no interval: two blocks along z alone.
    *_, warning = interval_warnings((16, 64, 64), CUBE, np.array([[90.0, 20.0, 20.0]]), blocks=4)
    assert warning.endswith("; take a larger volume")
    (warning,) = interval_warnings((1, 64, 64), CUBE, short, blocks=9)
    assert "along z (" not in warning
    assert "8 along y (64 voxels) and 8 along x (64 voxels)" in warning


def test_where_no_chord_ends_along_an_axis_every_block_is_too_narrow() -> None:
    chords = np.array([[np.nan, 20.0, 20.0], [np.nan, 20.0, 20.0]])
    (warning,) = interval_warnings((64, 64, 64), CUBE, chords, blocks=4)
    assert warning.startswith("intervals are too narrow: the 4 blocks along z are 160 nm wide")


@pytest.mark.parametrize(("directions", "voxels"), [(13, 4), (49, 8)])
def test_phases_of_a_few_voxels_are_named_with_their_thinnest_axis(
    directions: int, voxels: int
) -> None:
    limit = 10.0 * voxels
    chords = np.array([[limit, limit, limit], [limit, limit - 0.5, limit - 0.5]])
    warnings = list(resolution_warnings(["void", "oxide"], CUBE, chords, directions=directions))
    assert len(warnings) == 1
    assert warnings[0].startswith("oxide is barely resolved: its mean chord along y is")
    assert f"under {voxels} voxels" in warnings[0]


def test_what_has_no_label_is_refused_with_its_own_remedy() -> None:
    labels = np.ones((4, 4, 4), np.int16)
    labels[0] = -1
    with pytest.raises(ValueError, match=r"got -1 … 1; crop the volume to what is labelled, or"):
        LabelVolume.of(labels, (10.0, 10.0, 10.0))
