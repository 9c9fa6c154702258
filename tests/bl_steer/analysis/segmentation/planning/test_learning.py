from __future__ import annotations

import pytest

from bl_steer.analysis.segmentation import FIBSEM_PHASES
from bl_steer.analysis.segmentation.planning import curve_of, learning_sizes, measure_learning
from bl_steer.analysis.segmentation.training import (
    Labelled,
    LabelledField,
    TrainingSet,
    TrainingSettings,
)

SETTINGS = TrainingSettings(
    widths=(4, 6), learning_rate=0.02, steps=12, batch=2, patch_px=32, evaluate_every=4
)


@pytest.fixture
def data(pairs: list[Labelled]) -> TrainingSet:
    fields = [LabelledField(*pair, sample=str(i // 2)) for i, pair in enumerate(pairs)]
    return TrainingSet(FIBSEM_PHASES, fields[:3], fields[3:], ())


def test_sizes_are_halves_of_halves() -> None:
    assert learning_sizes(24) == (3, 6, 12, 24)
    assert learning_sizes(3) == (1, 3)


def test_each_size_is_trained_and_scored(data: TrainingSet) -> None:
    seen = []
    scores = measure_learning(
        data, SETTINGS, (2, 3), on_size=lambda size, score: seen.append((size, score.miou))
    )
    assert seen == [(2, scores[0].miou), (3, scores[1].miou)]
    assert scores[0].miou != scores[1].miou
    mean, low, high = curve_of((2, 3), scores).predict(6)
    assert low <= mean <= high


def test_the_first_pairs_come_from_different_samples(data: TrainingSet) -> None:
    from bl_steer.analysis.segmentation.planning.learning import _spread_over_samples

    assert [labelled.sample for labelled in _spread_over_samples(data.train)] == ["0", "1", "0"]


def test_more_pairs_than_there_are_cannot_be_measured(data: TrainingSet) -> None:
    with pytest.raises(ValueError, match=r"between 1 and the 3 pairs to train on, got \[2, 9\]"):
        measure_learning(data, SETTINGS, (2, 9))
