from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from bl_steer.analysis.superresolution.phase_choice import PhaseChoice, offsets_for

FACTOR = 8


def structure(seed: int) -> NDArray[np.uint8]:
    """Return three phases in rough grains, the third rare and thin, (N, H, W)."""
    noise = np.random.default_rng(seed).standard_normal((3, 65, 64, 24))
    smooth = np.stack([gaussian_filter(one, 4.0, mode="wrap") for one in noise])
    smooth /= smooth.std(axis=(1, 2, 3), keepdims=True)
    smooth[2] = 1.1 - 3 * np.abs(smooth[2])
    return smooth.argmax(axis=0).astype(np.uint8)


def vague(labels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return shares that know less and less with the distance from a slice."""
    sharp = np.eye(3, dtype=np.float32)[labels].transpose(3, 0, 1, 2)
    beyond = np.arange(len(labels)) % FACTOR
    distance = np.minimum(beyond, FACTOR - beyond)
    blurred = [np.stack([gaussian_filter(one, 0.35 * s) for one in sharp]) for s in range(5)]
    out = np.empty_like(sharp)
    for plane, d in enumerate(distance):
        out[:, plane] = blurred[d][:, plane]
    return out


def boundary(labels: NDArray[np.uint8]) -> float:
    return float((labels[:, 1:] != labels[:, :-1]).mean())


def fractions(labels: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.bincount(labels.ravel(), minlength=3) / labels.size


def of_intervals(slices: NDArray[np.uint8]) -> NDArray[np.float64]:
    planes = np.stack([fractions(one) for one in slices])
    return 0.5 * (planes[1:] + planes[:-1]).mean(axis=0)


def distance(d: int, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return labels[np.arange(len(labels)) % FACTOR == d]


# The structure is small: all of its planes stand for the slices, which are alike only on the whole.


def test_each_distance_gets_the_fractions_of_the_slices() -> None:
    labels = structure(0)
    shares = vague(labels)
    free = PhaseChoice.free(FACTOR, 3)(shares)
    choice = PhaseChoice.fitted(shares, labels, FACTOR)
    target = of_intervals(labels)
    for d in range(1, FACTOR // 2 + 1):
        both = np.concatenate([distance(d, choice(shares)), distance(FACTOR - d, choice(shares))])
        # Next to a slice all is too certain to be moved the whole way.
        np.testing.assert_allclose(fractions(both), target, atol=0.007 if d == 1 else 0.002)
    far = distance(FACTOR // 2, free)
    assert np.abs(fractions(far) - target).max() > 0.02


def test_the_outer_slices_count_half() -> None:
    labels = structure(0)
    slices = labels[::2].copy()
    slices[0], slices[-1] = 0, 0
    assert np.abs(of_intervals(slices) - fractions(slices)).max() > 0.01
    shares = vague(labels)
    found = PhaseChoice.fitted(shares, slices, FACTOR)(shares)
    inserted = found[np.arange(len(found)) % FACTOR != 0]
    np.testing.assert_allclose(fractions(inserted), of_intervals(slices), atol=0.004)


def test_boundaries_of_known_sharpness_are_found_again() -> None:
    shares = vague(structure(1))
    offsets = np.tile([-0.1, 0.0, 0.1], (FACTOR // 2, 1))
    made = PhaseChoice(FACTOR, offsets, sharpening=0.3)(shares)
    inserted = made[np.arange(len(made)) % FACTOR != 0]
    found = PhaseChoice.fitted(shares, inserted, FACTOR)
    assert found.sharpening == pytest.approx(0.3, abs=0.05)
    assert (found(shares) == made).mean() > 0.98
    assert boundary(PhaseChoice.free(FACTOR, 3)(shares)) < 0.99 * boundary(made)


def test_boundaries_too_smooth_get_longer() -> None:
    labels = structure(1)
    shares = vague(labels)
    choice = PhaseChoice.fitted(shares, labels, FACTOR)
    smooth, sharp = boundary(PhaseChoice(FACTOR, choice.offsets)(shares)), boundary(choice(shares))
    assert smooth < sharp < 1.02 * boundary(labels)


def test_long_boundaries_are_not_sharpened() -> None:
    labels = structure(2)
    shares = vague(labels)
    smooth = np.zeros_like(labels)
    assert PhaseChoice.fitted(shares, smooth, FACTOR).sharpening == 0


def films(seed: int) -> NDArray[np.uint8]:
    """Return two phases that a film of the third parts, (N, H, W)."""
    smooth = gaussian_filter(np.random.default_rng(seed).standard_normal((65, 64, 24)), 5.0)
    smooth /= smooth.std()
    return np.where(np.abs(smooth) < 0.2, 1, np.where(smooth > 0.0, 2, 0)).astype(np.uint8)


def touching(labels: NDArray[np.uint8]) -> float:
    """Return the share of neighbours that are 0 and 2."""
    return float((labels[:, 1:].astype(int) - labels[:, :-1] == 2).mean()) + float(
        (labels[:, :-1].astype(int) - labels[:, 1:] == 2).mean()
    )


def test_a_film_that_parts_two_phases_gets_no_holes() -> None:
    labels = films(0)
    shares = vague(labels)
    free = PhaseChoice.free(FACTOR, 3)(shares)
    choice = PhaseChoice.fitted(shares, labels, FACTOR)
    assert choice.costs is not None
    np.testing.assert_array_equal(choice.costs, [[0, 1, 2], [1, 0, 1], [2, 1, 0]])
    assert touching(labels) < 1.5 * touching(choice(shares)) < 0.2 * touching(free)
    far = distance(FACTOR // 2, choice(shares))
    np.testing.assert_allclose(fractions(far), of_intervals(labels), atol=0.01)
    again = PhaseChoice.from_dict(json.loads(json.dumps(choice.to_dict())))
    np.testing.assert_array_equal(again(shares), choice(shares))


def test_two_phases_have_nothing_between_them() -> None:
    labels = films(1) // 2
    shares = vague(labels)[:2]
    assert PhaseChoice.fitted(shares, labels, FACTOR).costs is None


def test_sections_do_not_see_each_other() -> None:
    shares = vague(structure(3))
    choice = PhaseChoice(FACTOR, np.zeros((FACTOR // 2, 3)), sharpening=0.4)
    np.testing.assert_array_equal(choice(shares)[..., 3:5], choice(shares[..., 3:5]))


def test_offsets_bring_the_fractions_to_the_target() -> None:
    logits = np.random.default_rng(0).normal((1.0, 0.0, 0.0), size=(20_000, 3)).T
    logarithms = np.log(np.exp(logits) / np.exp(logits).sum(axis=0)).astype(np.float32)
    target = np.array([0.3, 0.5, 0.2])
    found = (logarithms + offsets_for(logarithms, target)[:, None]).argmax(axis=0)
    np.testing.assert_allclose(np.bincount(found) / found.size, target, atol=2e-3)
