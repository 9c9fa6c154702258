"""Light micrographs of steel: exact truth, three phases that differ as on a real section."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import binary_erosion
from scipy.ndimage import label as connected

from bl_steer.analysis.segmentation.phases import FIBSEM_PHASES, OPTICAL_PHASES
from simulators.electron.optical_sample import (
    BOUNDARY,
    FERRITE,
    PEARLITE,
    OpticalConditions,
    optical_field,
)

CLEAN = OpticalConditions(noise=0.0, illumination=0.0, scratches=0.0)
SHAPE = (256, 320)


def test_phases_are_in_the_house_s_order_and_can_be_stored() -> None:
    assert OPTICAL_PHASES.names == ("ferrite", "pearlite", "boundary")
    assert (FERRITE, PEARLITE, BOUNDARY) == (0, 1, 2)
    assert type(OPTICAL_PHASES).from_list(OPTICAL_PHASES.to_list()) == OPTICAL_PHASES
    assert OPTICAL_PHASES.names != FIBSEM_PHASES.names


@pytest.mark.parametrize("kind", [None, "deuteranomaly", "protanomaly", "tritanomaly"])
def test_colours_of_the_phases_differ_for_every_reader(kind: str | None) -> None:
    colorspacious: Any = pytest.importorskip("colorspacious")
    shown = np.array([phase.show for phase in OPTICAL_PHASES]) / 255.0
    if kind:
        space = {"name": "sRGB1+CVD", "cvd_type": kind, "severity": 100}
        shown = np.clip(colorspacious.cspace_convert(shown, space, "sRGB1"), 0.0, 1.0)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert colorspacious.deltaE(shown[i], shown[j], input_space="sRGB1") > 30.0


def test_same_seed_gives_the_same_micrograph_and_another_seed_another() -> None:
    first, again, other = (optical_field(s, shape=(64, 80)) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert (first.image != other.image).mean() > 0.5
    assert first.image.shape == (64, 80, 3)
    assert first.labels.shape == (64, 80)
    assert first.image.dtype == first.labels.dtype == np.uint8


def test_shares_of_the_phases_are_those_of_a_steel() -> None:
    shares = np.array(
        [np.bincount(optical_field(s, shape=SHAPE).labels.ravel(), minlength=3) for s in range(5)]
    )
    shares = shares / shares.sum(axis=1, keepdims=True)
    assert (shares[:, FERRITE] > 0.35).all()
    assert (shares[:, PEARLITE] > 0.03).all()
    assert ((shares[:, BOUNDARY] > 0.03) & (shares[:, BOUNDARY] < 0.2)).all()


def test_boundaries_separate_the_grains_of_ferrite_from_each_other() -> None:
    labels = optical_field(4, shape=SHAPE).labels
    grains, n = connected(labels == FERRITE)
    sizes = np.bincount(grains.ravel())[1:]
    assert n > 20
    assert sizes.max() < 0.15 * labels.size
    ferrite, pearlite = labels == FERRITE, labels == PEARLITE
    touching = (ferrite[:, 1:] & pearlite[:, :-1]) | (ferrite[:, :-1] & pearlite[:, 1:])
    assert touching.mean() < 0.002


def test_ferrite_is_bright_pearlite_dark_and_grooves_darker_than_the_grains_beside() -> None:
    image, labels, _ = optical_field(5, shape=SHAPE, conditions=CLEAN)
    grey = image.mean(axis=2)
    inside = [binary_erosion(labels == k, iterations=2) for k in (FERRITE, PEARLITE)]
    ferrite, pearlite = (grey[part].mean() for part in inside)
    assert ferrite > pearlite + 50.0
    assert grey[labels == BOUNDARY].mean() < ferrite - 30.0
    # Lamellae: from pixel to pixel, the grey swings far more than within a grain of ferrite.
    swing = np.abs(np.diff(grey, axis=1, prepend=0.0))
    assert swing[inside[1]].mean() > 4.0 * swing[inside[0]].mean()


def test_grains_of_ferrite_differ_by_orientation_the_more_the_longer_the_etch() -> None:
    spreads = []
    for etching_s in (1.0, 20.0):
        image, labels, _ = optical_field(
            6, shape=SHAPE, conditions=replace(CLEAN, etching_s=etching_s)
        )
        grains, n = connected(binary_erosion(labels == FERRITE, iterations=2))
        means = [image[grains == k].mean() for k in range(1, n + 1)]
        spreads.append(np.std(means))
    assert spreads[1] > 2.0 * spreads[0] > 0.0


@pytest.mark.parametrize("fault", ["noise", "illumination", "scratches"])
def test_each_fault_changes_the_image_and_never_the_truth(fault: str) -> None:
    clean = optical_field(7, shape=SHAPE, conditions=CLEAN)
    faulty = optical_field(7, shape=SHAPE, conditions=replace(CLEAN, **{fault: 1.0}))
    assert (clean.image != faulty.image).mean() > 0.005
    np.testing.assert_array_equal(clean.labels, faulty.labels)


def test_smaller_pixels_show_the_same_section() -> None:
    coarse = optical_field(8, shape=(40, 40), conditions=replace(CLEAN, pixel_size_nm=600.0))
    fine = optical_field(8, shape=(120, 120), conditions=replace(CLEAN, pixel_size_nm=200.0))
    assert (fine.labels[1::3, 1::3] == coarse.labels).mean() > 0.99


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"pixel_size_nm .* got 0 nm; etching_s .* got 999 s; the def"
    ):
        OpticalConditions(pixel_size_nm=0.0, etching_s=999.0)
    with pytest.raises(ValueError, match=r"seed must be a whole number, 0 .*, got -1"):
        optical_field(-1)
    with pytest.raises(ValueError, match=r"shape must be positive, got \(0, 5\)"):
        optical_field(1, shape=(0, 5))
