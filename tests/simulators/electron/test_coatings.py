"""Layered coatings: exact truth, and phases that grey levels do not tell apart."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt
from skimage.filters import threshold_multiotsu

from simulators.electron.coatings import COATING_PHASES, CRACK, OXIDE, coating_field

FIELDS = [coating_field(seed) for seed in range(6)]


def test_a_seed_is_a_specimen_of_its_own() -> None:
    again = coating_field(0)
    np.testing.assert_array_equal(again.image, FIELDS[0].image)
    np.testing.assert_array_equal(again.labels, FIELDS[0].labels)
    assert (FIELDS[0].labels != FIELDS[1].labels).any()
    assert COATING_PHASES.index("crack") == CRACK


@pytest.mark.parametrize("number", range(6))
def test_cracks_are_rare_and_thin_and_lie_in_the_oxide(number: int) -> None:
    labels = FIELDS[number].labels
    cracked = labels == CRACK
    assert 0.005 < cracked.mean() < 0.02
    depth = distance_transform_edt(cracked)
    assert np.percentile(depth[cracked], 99) < 3.0
    for column in range(0, labels.shape[1], 16):
        layer = np.flatnonzero(labels[:, column])
        assert len(layer) == layer[-1] - layer[0] + 1


def test_grey_levels_alone_do_not_tell_the_phases() -> None:
    image, labels = FIELDS[0]
    dark = image < threshold_multiotsu(image, 3)[0]
    cracked = labels == CRACK
    assert (dark & cracked).sum() / (dark | cracked).sum() < 0.2
    oxide = image[labels == OXIDE].mean()
    grey = (np.abs(image - oxide) < image[labels == OXIDE].std()) & (labels == 0)
    assert grey.sum() > (labels == OXIDE).sum()


@pytest.mark.parametrize("number", range(6))
def test_the_bond_coat_is_as_grey_as_the_oxide_within_the_noise(number: int) -> None:
    image, labels = FIELDS[number]
    oxide = labels == OXIDE
    below = np.roll(oxide, 20, axis=0) & (np.cumsum(oxide, axis=0) > 20) & (labels == 0)
    apart = np.median(image[below]) - np.median(image[oxide])
    assert 0 < apart < 1.5 * image[oxide].std()


def test_fissures_of_coating_and_bond_coat_are_as_dark_as_cracks() -> None:
    image, labels = FIELDS[0]
    darker = image < np.median(image[labels == CRACK])
    assert (darker & (labels == 0)).sum() > 2 * (darker & (labels == CRACK)).sum()


@pytest.mark.parametrize(("seed", "shape"), [(-1, (384, 512)), (0, (100, 512))])
def test_what_is_no_specimen_is_refused(seed: int, shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"try coating_field\(1, shape=\(384, 512\)\)"):
        coating_field(seed, shape=shape)
