"""Faults of slicing: certain, impossible and as often as they are said to be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.electron.slice_faults import PRESETS, Cut, SliceFaults


def test_an_instrument_without_faults_cuts_as_it_is_asked() -> None:
    faultless = Cut(True, False, 0.0, (0.0, 0.0), 0.0, 0)
    assert all(SliceFaults.none().cut(number, 20.0) == faultless for number in range(1, 50))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"pitch_jitter": -0.1}, "pitch_jitter must be 0 or above and finite, got -0.1"),
        ({"drift_nm": np.inf}, "drift_nm must be 0 or above and finite, got inf"),
        ({"focus_drift_um": np.nan}, "focus_drift_um must be 0 or above and finite, got nan"),
        ({"seed": -1}, r"seed must be a whole number, 0 .*, got -1"),
        ({"failed": 1.5}, "failed must lie within 0 … 1, got 1.5"),
        ({"twice": -0.5}, "twice must lie within 0 … 1, got -0.5"),
        ({"lost": np.nan}, "lost must lie within 0 … 1, got nan"),
    ],
)
def test_faults_that_cannot_be_are_refused_with_their_value(
    values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        SliceFaults(**values)


def test_all_impossible_faults_are_named_at_once() -> None:
    with pytest.raises(ValueError, match=r"drift_nm must .*; failed must .*; lost must "):
        SliceFaults(drift_nm=-1.0, failed=2.0, lost=-2.0)


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(ValueError, match="none, usual, severe, got 'mild'; try usual"):
        SliceFaults.preset("mild")


def test_presets_grow_worse_in_their_order() -> None:
    faults = [SliceFaults.preset(name, seed=3) for name in PRESETS]
    for name in ("pitch_jitter", "drift_nm", "focus_drift_um", "failed", "twice", "lost"):
        none, usual, severe = (getattr(fault, name) for fault in faults)
        assert none == 0.0 < usual < severe
    assert [fault.seed for fault in faults] == [0, 3, 3]


@given(st.integers(0, 2**31), st.integers(1, 10**6), st.floats(1.0, 100.0))
def test_a_slice_is_never_thinner_than_a_tenth_of_the_pitch(
    seed: int, number: int, pitch_nm: float
) -> None:
    cut = SliceFaults(pitch_jitter=2.0, seed=seed).cut(number, pitch_nm)
    assert cut.offset_nm >= -0.9 * pitch_nm * (1 + 1e-12)


@given(st.integers(0, 2**31), st.permutations(range(1, 9)))
def test_a_cut_is_the_same_whenever_it_is_asked_for(seed: int, order: list[int]) -> None:
    one, other = SliceFaults(seed=seed), SliceFaults(seed=seed)
    in_order = {number: one.cut(number, 20.0) for number in range(1, 9)}
    assert {number: other.cut(number, 20.0) for number in order} == in_order


def test_seeds_and_numbers_draw_different_cuts() -> None:
    cuts = {SliceFaults(seed=seed).cut(number, 20.0) for seed in (0, 1) for number in (1, 2, 3)}
    assert len(cuts) == 6


def test_named_cuts_certainly_go_wrong_and_no_others() -> None:
    faults = SliceFaults(
        failed=0.0, twice=0.0, lost=0.0, failed_cuts=(2,), double_cuts=(3, 5), lost_images=(4,)
    )
    cuts = {number: faults.cut(number, 20.0) for number in range(1, 7)}
    assert [number for number, cut in cuts.items() if not cut.removes] == [2]
    assert [number for number, cut in cuts.items() if cut.twice] == [3, 5]
    assert [number for number, cut in cuts.items() if cut.blank_images] == [4]


def test_a_probability_of_one_makes_every_cut_go_wrong() -> None:
    cuts = [SliceFaults(failed=1.0, twice=1.0, lost=1.0).cut(n, 20.0) for n in range(1, 30)]
    assert not any(cut.removes for cut in cuts)
    assert all(cut.twice and cut.blank_images for cut in cuts)


def test_shares_and_strengths_are_those_that_were_asked_for() -> None:
    n = 2000
    faults = SliceFaults(0.2, 8.0, (3.0, -4.0), 0.4, failed=0.3, twice=0.2, lost=0.1)
    cuts = [faults.cut(number, 20.0) for number in range(1, n + 1)]
    shares = [
        np.mean([not cut.removes for cut in cuts]),
        np.mean([cut.twice for cut in cuts]),
        np.mean([cut.blank_images > 0 for cut in cuts]),
    ]
    np.testing.assert_allclose(shares, [0.3, 0.2, 0.1], atol=4 * 0.46 / np.sqrt(n))
    drifts = np.array([cut.drift_nm for cut in cuts])
    np.testing.assert_allclose(drifts.mean(axis=0), [3.0, -4.0], atol=4 * 8.0 / np.sqrt(n))
    np.testing.assert_allclose(drifts.std(axis=0), 8.0, rtol=0.07)
    assert np.std([cut.offset_nm for cut in cuts]) == pytest.approx(0.2 * 20.0, rel=0.07)
    assert np.std([cut.defocus_um for cut in cuts]) == pytest.approx(0.4, rel=0.07)
