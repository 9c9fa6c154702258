"""Micrographs: thresholds fail on them, the phases can still be told apart, conditions matter."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import binary_erosion
from skimage.filters import threshold_multiotsu

from bl_steer.protocols import Array
from simulators.electron.fibsem_sample import CARBON, FAMILIES, OXIDE, VOID, FibsemSpecimen
from simulators.electron.imaging import ImagingConditions
from simulators.electron.micrographs import field, micrograph

SHAPE = (384, 384)
CLEAN = ImagingConditions(noise=0, curtaining=0, charging=0, shading=0, drift=0, gain_spread=0)


@pytest.fixture(scope="module")
def labels() -> Any:
    return FibsemSpecimen("network", seed=5, shape=(1, 256, 256)).labels[0]


def mean_iou(predicted: Any, truth: Any) -> float:
    scores = [
        ((predicted == k) & (truth == k)).sum() / ((predicted == k) | (truth == k)).sum()
        for k in (OXIDE, CARBON, VOID)
    ]
    return float(np.mean(scores))


def otsu(image: Any) -> Any:
    return VOID - np.digitize(image, threshold_multiotsu(image, 3))


def phase_means(image: Any, labels: Any) -> Array:
    """Return the mean grey inside each phase, away from its edges."""
    inside = (binary_erosion(labels == k, iterations=3) for k in (OXIDE, CARBON, VOID))
    return np.array([image[part].mean() for part in inside]) / 255.0


@pytest.mark.parametrize("family", FAMILIES)
def test_three_level_otsu_fails(family: str) -> None:
    scores = [
        mean_iou(otsu(image), labels)
        for image, labels, _ in (field(family, seed, shape=SHAPE) for seed in range(100, 106))
    ]
    assert 0.5 < np.mean(scores) <= 0.8


@pytest.mark.parametrize("family", FAMILIES)
def test_without_faults_otsu_would_do(family: str) -> None:
    image, labels, _ = field(family, 100, shape=SHAPE, conditions=CLEAN)
    assert mean_iou(otsu(image), labels) > 0.9


@pytest.mark.parametrize("family", FAMILIES)
def test_no_fault_hides_a_phase_from_its_neighbour(family: str) -> None:
    """Inside windows of 1 µm the three greys keep their order and stand well above the noise."""
    image, labels, _ = field(family, 101, shape=SHAPE)
    seen = 0
    for row in range(0, SHAPE[0], 96):
        for column in range(0, SHAPE[1], 96):
            window = np.s_[row : row + 96, column : column + 96]
            counts = np.bincount(labels[window].ravel(), minlength=3)
            if counts.min() > 600:
                oxide, carbon, void = phase_means(image[window], labels[window])
                assert oxide > carbon + 0.08
                assert carbon > void + 0.08
                seen += 1
    assert seen >= 3


def test_edges_stay_where_the_truth_has_them_and_sharp() -> None:
    assert ImagingConditions().probe_nm / 10.0 < 0.8
    labels = np.full((64, 64), VOID, dtype=np.uint8)
    labels[:, 32:] = OXIDE
    image = micrograph(labels, replace(CLEAN, drift=1.0), seed=1) / 255.0
    crossings = [int(np.argmax(line > 0.45)) for line in image]
    assert set(crossings) <= {31, 32, 33}


@pytest.mark.parametrize("family", FAMILIES)
def test_same_seed_gives_the_same_image_and_the_truth_of_the_specimen(family: str) -> None:
    first, again, other = (field(family, s, shape=(64, 80)) for s in (7, 7, 8))
    np.testing.assert_array_equal(first.image, again.image)
    assert (first.image != other.image).mean() > 0.5
    specimen = FibsemSpecimen(family, seed=7, shape=(1, 64, 80))
    np.testing.assert_array_equal(first.labels, specimen.labels[0])


def test_same_section_imaged_again_differs_by_its_noise(labels: Any) -> None:
    first, second = (micrograph(labels, CLEAN, seed=s) for s in (1, 2))
    noisy = micrograph(labels, replace(CLEAN, noise=1.0), seed=1)
    assert np.abs(phase_means(first, labels) - phase_means(second, labels)).max() < 0.02
    assert np.std(noisy.astype(float) - first) > 8.0


def test_osmium_makes_carbon_brighter_and_nothing_else(labels: Any) -> None:
    plain = phase_means(micrograph(labels, CLEAN, seed=1), labels)
    stained = phase_means(micrograph(labels, replace(CLEAN, staining="osmium"), seed=1), labels)
    np.testing.assert_allclose(stained - plain, [0.0, 0.14, 0.0], atol=0.02)


def test_etching_darkens_pores_and_lets_edges_of_the_oxide_shine(labels: Any) -> None:
    plain = micrograph(labels, CLEAN, seed=1)
    etched = micrograph(labels, replace(CLEAN, etching_s=120.0), seed=1)
    assert phase_means(etched, labels)[VOID] < phase_means(plain, labels)[VOID] - 0.02
    oxide = labels == OXIDE
    rim = oxide & ~binary_erosion(oxide, iterations=2)
    core = binary_erosion(oxide, iterations=8)
    contrast = [image[rim].mean() - image[core].mean() for image in (plain, etched)]
    assert contrast[1] > contrast[0] + 5.0


def test_voltage_has_a_sharp_optimum_and_high_voltage_flattens_the_contrast(labels: Any) -> None:
    blur = {kV: ImagingConditions(accelerating_voltage_kV=kV).probe_nm for kV in (0.5, 2.0, 10.0)}
    assert blur[2.0] < blur[0.5] < blur[10.0]
    low, high = (
        phase_means(micrograph(labels, replace(CLEAN, accelerating_voltage_kV=kV), seed=1), labels)
        for kV in (2.0, 8.0)
    )
    assert high[OXIDE] - high[VOID] < low[OXIDE] - low[VOID] - 0.05


def test_noise_falls_with_the_root_of_the_dwell_time(labels: Any) -> None:
    def noise(dwell_us: float) -> float:
        quiet = micrograph(labels, CLEAN, seed=1).astype(float)
        noisy = micrograph(labels, replace(CLEAN, noise=1.0, dwell_us=dwell_us), seed=1)
        return float(np.std(noisy - quiet))

    assert noise(10.0) / noise(40.0) == pytest.approx(2.0, rel=0.1)


@pytest.mark.parametrize(
    "fault", ["noise", "curtaining", "charging", "shading", "drift", "gain_spread"]
)
def test_each_fault_changes_the_image(labels: Any, fault: str) -> None:
    clean = micrograph(labels, CLEAN, seed=3)
    assert (micrograph(labels, replace(CLEAN, **{fault: 1.0}), seed=3) != clean).mean() > 0.03


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (33, 2), (200, 17)])
def test_frames_of_any_shape_can_be_taken(shape: tuple[int, int]) -> None:
    assert field("network", 1, shape=shape).image.shape == shape


def test_what_no_microscope_does_is_refused_all_at_once() -> None:
    with pytest.raises(
        ValueError, match=r"(?s)accelerating_voltage_kV .* got 300 kV; .* got 'ink'; the defaults"
    ):
        ImagingConditions(accelerating_voltage_kV=300.0, staining="ink")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="labels must be a plane of 0, 1 and 2"):
        micrograph(np.full((4, 4), 7, dtype=np.uint8), seed=1)
