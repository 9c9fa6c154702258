"""Triple lines against a ring, and what must hold for any volume."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bl_steer.analysis.structure import LabelVolume, volume
from bl_steer.analysis.structure.triple_lines import TripleLines, triple_line_lengths
from simulators.electron.phantoms import CUBE, Labels, grains, ring, voxel_positions

VOLUMES = arrays(np.uint8, st.tuples(*[st.integers(2, 6)] * 3), elements=st.integers(0, 3))


def measured(
    labels: Labels, voxel: tuple[float, float, float] = CUBE, *, fills_box: bool = False
) -> TripleLines:
    names = dict(enumerate("abcd"[: max(int(labels.max()) + 1, 3)]))
    counts = np.bincount(labels.ravel(), minlength=len(names))
    whole = LabelVolume(labels, voxel, names, counts)
    return triple_line_lengths(whole, fills_box=fills_box, n_draws=100)


@pytest.mark.parametrize(
    ("r", "voxel", "within"), [(12, CUBE, 0.03), (24, CUBE, 0.03), (30, (3.0, 1.0, 1.0), 0.05)]
)
def test_three_sectors_meet_in_a_ring_of_its_length(
    r: float, voxel: tuple[float, float, float], within: float
) -> None:
    found = [measured(ring(r, turn, voxel), voxel).length_nm[0] for turn in range(8)]
    assert np.mean(found) == pytest.approx(2 * np.pi * r, rel=within)


def test_straight_line_along_an_axis_is_seen_as_the_shares_say() -> None:
    q = voxel_positions((30, 30, 30), CUBE, (0.0, 0.2, 0.3))
    angle = np.arctan2(q[..., 1], q[..., 2])
    labels = ((angle + np.pi) // (2 * np.pi / 3)).astype(int) % 3
    # Blocks of the bulk alone: the ends of the box would count otherwise.
    long = measured(labels.astype(np.uint8)).length_nm[0]
    short = measured(labels[:10].astype(np.uint8)).length_nm[0]
    found = measured(labels.astype(np.uint8))
    seen = (long - short) / 20
    assert found.straight_least - 1e-9 < seen < found.straight_largest * 1.02


def test_two_phases_have_no_triple_line() -> None:
    two = (grains((12, 12, 12)) == 0).astype(np.uint8)
    assert measured(two).length_nm.tolist() == [0.0]
    assert len(triple_line_lengths(LabelVolume.of(two, CUBE)).length_nm) == 0


@settings(max_examples=40, deadline=None)
@given(labels=VOLUMES, order=st.permutations(range(3)), flips=st.sets(st.integers(0, 2)))
def test_lines_do_not_depend_on_how_the_axes_run(
    labels: Labels, order: list[int], flips: set[int]
) -> None:
    labels[0, 0, 0] = 3
    voxel = (3.0, 1.0, 1.5)
    turned = np.flip(labels.transpose(order), tuple(flips)).copy()
    a, b, c = (voxel[axis] for axis in order)
    for fills_box in (True, False):
        np.testing.assert_allclose(
            measured(turned, (a, b, c), fills_box=fills_box).length_nm,
            measured(labels, voxel, fills_box=fills_box).length_nm,
            rtol=1e-9,
        )


def test_slabs_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = grains((21, 17, 19), seed=5, n_phases=4)
    expected = measured(labels, (3, 1, 2), fills_box=True)
    for planes in (1, 2, 5):
        monkeypatch.setattr(volume, "SLAB_VOXELS", planes * 17 * 19)
        found = measured(labels, (3, 1, 2), fills_box=True)
        np.testing.assert_array_equal(found.length_nm, expected.length_nm)
        np.testing.assert_array_equal(found.high_nm, expected.high_nm)
