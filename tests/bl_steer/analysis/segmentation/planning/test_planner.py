"""The planner's designs beat chance, and its learning curve foretells scores it has not seen."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bl_steer.analysis.segmentation.planning import (
    LearningCurve,
    design_acquisition,
    next_to_label,
    plot_learning_curve,
)

FACTORS = {
    "pixel_size_nm": (5.0, 10.0, 20.0),
    "accelerating_voltage_kV": (1.0, 2.0, 5.0),
    "etching_s": (0.0, 60.0),
    "staining": ("none", "osmium", "ruthenium"),
}


@pytest.mark.parametrize("k", [2, 3])
def test_two_levels_give_the_full_factorial_which_is_optimal(k: int) -> None:
    design = design_acquisition({f"x{i}": (0, 1) for i in range(k)}, 2**k, model="interactions")
    assert design.efficiency == pytest.approx(1.0)
    assert len({tuple(row.values()) for row in design.rows}) == 2**k


def test_a_half_fraction_is_orthogonal_for_main_effects() -> None:
    design = design_acquisition({f"x{i}": (-1, 1) for i in range(3)}, 4, model="main")
    rows = np.array([list(row.values()) for row in design.rows])
    np.testing.assert_allclose(rows.T @ rows, 4 * np.eye(3))


def test_words_are_taken_equally_often() -> None:
    design = design_acquisition({"staining": ("none", "osmium", "ruthenium")}, 9)
    counts = np.unique([row["staining"] for row in design.rows], return_counts=True)[1]
    assert counts.tolist() == [3, 3, 3]
    assert design.efficiency == pytest.approx(1.0)


@pytest.mark.parametrize("n", [10, 16])
@pytest.mark.parametrize("seed", [0, 1])
def test_designs_beat_random_conditions(n: int, seed: int) -> None:
    design = design_acquisition(FACTORS, n, seed=seed)
    assert len(design.rows) == n
    assert design.efficiency > 1.2 * design.random_efficiency
    assert design == design_acquisition(FACTORS, n, seed=seed)


def test_a_design_fills_what_the_micrographs_at_hand_leave_open() -> None:
    acquired = [{"etching_s": 0.0, "staining": "none"}] * 4
    factors = {"etching_s": (0.0, 60.0), "staining": ("none", "osmium")}
    rows = design_acquisition(factors, 3, acquired=acquired, model="interactions").rows
    assert {tuple(row.values()) for row in rows} == {
        (0.0, "osmium"), (60.0, "none"), (60.0, "osmium")
    }  # fmt: skip


def test_wrong_factors_are_reported_together() -> None:
    with pytest.raises(
        ValueError, match=r"etching_s must have two.*n must be positive.*micrograph 0 mu"
    ):
        design_acquisition({"etching_s": [5]}, 0, acquired=[{}])


CURVES = [(0.92, 0.5, 0.6), (0.9, 0.3, 0.4), (0.85, 0.6, 1.0), (0.95, 0.4, 0.3), (0.88, 0.25, 0.5)]


def score(curve: tuple[float, float, float], n: float) -> float:
    ceiling, amplitude, exponent = curve
    return ceiling - amplitude * n**-exponent


def fitted(curve: tuple[float, float, float], sizes: list[int], seed: int = 0) -> LearningCurve:
    noise = np.random.default_rng(seed).normal(0.0, 0.005, len(sizes))
    scores = np.array([score(curve, n) for n in sizes]) + noise
    return LearningCurve.fit(sizes, scores, [0.005] * len(sizes))


@pytest.mark.parametrize("curve", CURVES)
def test_a_doubling_is_foretold_within_two_hundredths(curve: tuple[float, float, float]) -> None:
    fits = [fitted(curve, [2, 4, 8], seed) for seed in range(3)]
    errors = [fit.predict(16)[0] - score(curve, 16) for fit in fits]
    assert np.abs(errors).max() < 0.02
    fits = [fitted(curve, [2, 4, 8, 16], seed) for seed in range(3)]
    errors = [fit.predict(32)[0] - score(curve, 32) for fit in fits]
    assert np.abs(errors).max() < 0.02


@pytest.mark.parametrize("curve", CURVES)
def test_the_interval_covers_the_truth_far_out(curve: tuple[float, float, float]) -> None:
    covered = []
    for seed in range(5):
        _, low, high = fitted(curve, [2, 4, 8], seed).predict(64)
        covered.append(low <= score(curve, 64) <= high)
    assert np.mean(covered) >= 0.8


def test_known_errors_narrow_the_interval() -> None:
    wide, narrow = (
        LearningCurve.fit([4, 8, 16], [0.7, 0.77, 0.81], [sd] * 3).predict(32)
        for sd in (0.05, 0.005)
    )
    assert narrow[2] - narrow[1] < wide[2] - wide[1]


@settings(deadline=None, max_examples=10)
@given(
    scores=st.lists(st.floats(0.3, 0.95), min_size=2, max_size=5),
    n=st.integers(1, 500),
    more=st.integers(1, 500),
)
def test_predictions_rise_with_more_pairs_and_stay_below_one(
    scores: list[float], n: int, more: int
) -> None:
    curve = LearningCurve.fit([2 ** (i + 1) for i in range(len(scores))], sorted(scores))
    mean, low, high = curve.gain(n, more)
    assert 0 <= low <= high
    assert mean >= 0
    assert curve.predict(n)[0] <= curve.predict(n + more)[0] <= 1


def test_two_sizes_suffice_and_advice_names_the_pairs() -> None:
    curve = LearningCurve.fit([4, 8], [0.70, 0.78])
    assert re.search(r"^Label more: doubling 8 pairs .* up to about \d+ pairs", curve.advice(8))
    assert curve.advice(8, worth=0.3).startswith("Stop: doubling 8 pairs")


@pytest.mark.parametrize(
    ("sizes", "scores", "message"),
    [([4], [0.5], "two different ones"), ([4, 4], [0.5, 0.6], "two different ones"),
     ([0, 4], [0.5, 0.6], "1 or more"), ([2, 4], [0.5, 60.0], "0 to 1"),
     ([2, 4], [0.5, float("nan")], "0 to 1")],
)  # fmt: skip
def test_wrong_scores_are_refused(sizes: list[int], scores: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LearningCurve.fit(sizes, scores)


def test_the_uncertain_are_painted_first_and_duplicates_last() -> None:
    maps = [np.full((4, 4), u) for u in (0.1, 0.5, 0.49, 0.4)]
    features = np.array([[0, 0], [1, 1], [1, 1], [3, 0]])
    assert next_to_label(maps, n=3) == [1, 2, 3]
    assert next_to_label(maps, features=features, n=2) == [1, 3]
    assert sorted(next_to_label(maps, features=features, n=4)) == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="n must be 1 to the 4"):
        next_to_label(maps, n=5)


def test_the_figure_shows_points_curve_and_band_with_units() -> None:
    ax = plot_learning_curve(LearningCurve.fit([4, 8, 16], [0.7, 0.77, 0.81], [0.01] * 3))
    assert "pairs" in ax.get_xlabel()
    assert "IoU" in ax.get_ylabel()
    assert ax.lines
    assert ax.collections
