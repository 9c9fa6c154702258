from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, jaccard_score

from bl_steer.analysis.segmentation import UNLABELLED, confusion, iou, score

LABELS = arrays(np.uint8, (8, 9), elements=st.integers(0, 2))


@given(LABELS, LABELS)
def test_confusion_is_that_of_scikit_learn(
    truth: NDArray[np.uint8], predicted: NDArray[np.uint8]
) -> None:
    expected = confusion_matrix(truth.ravel(), predicted.ravel(), labels=[0, 1, 2])
    np.testing.assert_array_equal(confusion(truth, predicted, 3), expected)


@given(LABELS, LABELS)
def test_iou_is_the_jaccard_score_of_scikit_learn(
    truth: NDArray[np.uint8], predicted: NDArray[np.uint8]
) -> None:
    measured = iou(confusion(truth, predicted, 3))
    expected = jaccard_score(
        truth.ravel(), predicted.ravel(), labels=[0, 1, 2], average=None, zero_division=0
    )
    np.testing.assert_allclose(np.nan_to_num(measured), expected)


def test_unlabelled_pixels_count_nowhere() -> None:
    truth = np.array([[0, 1, UNLABELLED]], np.uint8)
    assert confusion(truth, np.array([[0, 1, 1]], np.uint8), 2).sum() == 2


def test_maps_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one shape, got \(2, 2\) and \(2, 3\)"):
        confusion(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8), 2)


def test_perfect_labels_score_one_with_a_closed_interval() -> None:
    truth = np.random.default_rng(0).integers(0, 3, (128, 128)).astype(np.uint8)
    result = score([truth, truth.T.copy()], [truth, truth.T.copy()], 3)
    assert (result.miou_low, result.miou, result.miou_high) == (1.0, 1.0, 1.0)
    assert result.accuracy == 1.0
    assert not result.fraction_bias.any()


def test_the_interval_holds_what_other_images_of_the_same_kind_score() -> None:
    rng = np.random.default_rng(4)

    def image() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        truth = np.kron(rng.integers(0, 3, (16, 16)), np.ones((16, 16))).astype(np.uint8)
        wrong = np.kron(rng.random((16, 16)) < 0.1, np.ones((16, 16))).astype(bool)
        return truth, np.where(wrong, (truth + 1) % 3, truth).astype(np.uint8)

    inside = 0
    population = score(*map(list, zip(*(image() for _ in range(60)), strict=True)), 3).miou
    for trial in range(20):
        truths, predicted = map(list, zip(*(image() for _ in range(4)), strict=True))
        result = score(truths, predicted, 3, seed=trial)
        inside += result.miou_low <= population <= result.miou_high
    assert inside >= 17


def test_a_phase_that_never_occurs_does_not_spoil_the_mean() -> None:
    truth = np.zeros((64, 64), np.uint8)
    truth[:32] = 1
    assert score([truth], [truth], 3).miou == 1.0


def test_few_pixels_have_no_interval() -> None:
    truth = np.random.default_rng(0).integers(0, 2, (128, 128)).astype(np.uint8)
    labels = np.where(np.random.default_rng(1).random(truth.shape) < 0.2, 1 - truth, truth)
    whole = score([truth], [labels.astype(np.uint8)], 2)
    assert whole.miou_low < whole.miou < whole.miou_high
    truth[:64] = UNLABELLED  # two blocks of four are left
    half = score([truth], [labels.astype(np.uint8)], 2)
    assert 0 < half.miou < 1
    assert np.isnan([half.miou_low, half.miou_high, *half.iou_low, *half.iou_high]).all()


def test_blocks_that_nobody_labelled_are_not_drawn() -> None:
    truth = np.full((64, 64 * 40), UNLABELLED, np.uint8)
    truth[:, : 64 * 4] = np.random.default_rng(0).integers(0, 2, (64, 64 * 4))
    labels = np.where(truth == 1, 1, 0).astype(np.uint8)
    labels[:4] = 0
    whole = score([truth], [labels], 2)
    cut = score([truth[:, : 64 * 4]], [labels[:, : 64 * 4]], 2)
    assert (whole.miou_low, whole.miou_high) == (cut.miou_low, cut.miou_high)


def test_no_images_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one image, got none"):
        score([], [], 3)
