"""Slices against the simulator's truth: drift, spacing, focus, stripes, levels, the stack."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from bl_steer.analysis.slices.analysis import AlignParams, AlignSlices
from bl_steer.analysis.slices.levels import gain_and_offset, phase_levels
from bl_steer.analysis.slices.trajectory import smooth_trajectory, track
from bl_steer.protocols import Inputs
from bl_steer.slicing import (
    TrackingMarks,
    best_focus,
    blur_against,
    compare,
    displacement,
    log_sharpness,
    remove_stripes,
)
from simulators.electron.fibsem import SimulatedFibSem, View
from simulators.electron.fibsem_sample import FibsemSpecimen
from simulators.electron.imaging import ImagingConditions
from simulators.electron.micrographs import micrograph
from simulators.electron.slice_faults import SliceFaults
from simulators.electron.tracking_marks import NotchedCap

N = 7
PITCH = 100.0


@cache
def stack() -> tuple[list[Any], list[View], TrackingMarks]:
    """Return the images of a stack with all faults of imaging, their truth, and the marks."""
    faults = SliceFaults(failed=0.0, twice=0.0, lost=0.0, focus_drift_um=0.0, seed=2)
    fibsem = SimulatedFibSem("network", seed=6, shape=(256, 256), cap=NotchedCap(), faults=faults)
    assert fibsem.marks is not None
    images, views = [], []
    for number in range(N):
        fibsem.mill.set(PITCH * number).wait(5.0)
        fibsem.sem.trigger().wait(5.0)
        images.append(fibsem.sem.frames()[0].copy())
        views.append(fibsem.views()[-1])
    return images, views, fibsem.marks


def true_drift_px() -> Any:
    drift = np.array([view.displacement_nm for view in stack()[1]]) / 10.0
    return drift - drift[0]


def test_drift_is_recovered_from_marks_to_a_third_of_a_pixel() -> None:
    images, _, marks = stack()
    found = track(images, pixel_size_nm=10.0, marks=marks)
    true = true_drift_px()
    assert np.abs(true).max() > 2.0
    assert np.sqrt(((found.displacement_px - true) ** 2).mean(axis=0)).max() < 0.3
    assert found.by_marks


def test_pitch_is_measured_by_slanted_marks_to_a_few_nanometres() -> None:
    images, views, marks = stack()
    found = track(images, pixel_size_nm=10.0, marks=marks)
    true = np.diff([view.z_nm for view in views])
    assert np.ptp(true) > 20.0
    assert np.sqrt(((found.spacing_nm[1:] - true) ** 2).mean()) < 4.0
    assert np.isnan(found.spacing_nm[0])


def test_depth_is_told_over_missing_slices_that_are_known_of() -> None:
    images, views, marks = stack()
    ends = images[0], images[-1]
    true = views[-1].z_nm - views[0].z_nm
    known = compare(*ends, pixel_size_nm=10.0, marks=marks, missing_nm=(N - 2) * PITCH)
    assert known.spacing_nm == pytest.approx(true, abs=15.0)
    assert abs(compare(*ends, pixel_size_nm=10.0, marks=marks).spacing_nm - true) > 2 * PITCH
    numbers = np.array([0, N - 1])
    missing = PITCH * (np.diff(numbers, prepend=-1) - 1)
    found = track(ends, pixel_size_nm=10.0, marks=marks, missing_nm=missing)
    assert found.spacing_nm[1] == known.spacing_nm


def test_a_depth_beyond_the_marks_is_not_told() -> None:
    images, _, marks = stack()
    step = compare(*images[:2], pixel_size_nm=10.0, marks=marks, missing_nm=50 * PITCH)
    assert np.isnan(step.spacing_nm)


def test_spacing_by_correlation_tells_uncut_single_and_double_steps_apart() -> None:
    images, _, marks = stack()
    faces = [image[marks.specimen_from :] for image in images]
    single = [compare(a, b, pixel_size_nm=10.0).spacing_nm for a, b in pairwise(faces)]
    double = [
        compare(a, b, pixel_size_nm=10.0).spacing_nm for a, b in zip(faces, faces[2:], strict=False)
    ]
    noise = np.random.default_rng(1).normal(0.0, 10.0, faces[0].shape)
    uncut = compare(faces[0], faces[0] + noise, pixel_size_nm=10.0).spacing_nm
    assert uncut < 30.0
    assert 70.0 < np.median(single) < 140.0
    assert np.median(double) > 1.5 * np.median(single)


def test_displacement_of_an_image_shifted_by_fourier_is_found_to_a_twentieth_of_a_pixel() -> None:
    from scipy.ndimage import fourier_shift, gaussian_filter

    image = gaussian_filter(np.random.default_rng(3).normal(size=(96, 128)), 2.0, mode="wrap")
    moved = np.fft.ifft2(fourier_shift(np.fft.fft2(image), (1.30, -2.64))).real
    np.testing.assert_allclose(displacement(image, moved), [1.30, -2.64], atol=0.05)


def test_robust_trajectory_ignores_one_wrong_pair_and_follows_a_correction() -> None:
    n = 12
    jump = np.where(np.arange(n) >= 6, -20.0, 0.0)
    places = np.stack([0.5 * np.arange(n) + jump, np.zeros(n)], axis=1)
    pairs = np.array([(i, i + lag) for lag in (1, 2) for i in range(n - lag)])
    steps = places[pairs[:, 1]] - places[pairs[:, 0]]
    steps[3] += 15.0
    corrections = np.stack([jump, np.zeros(n)], axis=1)
    found = smooth_trajectory(pairs, steps, corrections, smoothness_px=0.5)
    np.testing.assert_allclose(found, places, atol=0.8)


def test_sharpness_gives_the_blur_and_the_focus() -> None:
    specimen = FibsemSpecimen("network", seed=2, shape=(1, 256, 256)).labels[0]
    defocus = np.array([-8.0, -4.0, 0.0, 4.0, 8.0])
    sharpness = np.array(
        [
            log_sharpness(micrograph(specimen, ImagingConditions(defocus_um=um), seed=5))
            for um in defocus
        ]
    )
    assert np.argmax(sharpness) == 2
    # 8 µm out of focus at a half angle of 5 mrad is a blur of 20 nm.
    assert blur_against(sharpness[4], sharpness[2]) == pytest.approx(2.0, abs=0.5)
    assert blur_against(sharpness[2], sharpness[4]) == 0.0
    assert abs(best_focus(defocus, sharpness)) < 1.0
    with pytest.raises(ValueError, match="focus must be judged by three images at least, got 1"):
        best_focus(defocus, np.array([np.nan, 1.0, np.nan, np.nan, np.nan]))


def test_fine_stripes_are_removed_and_no_fraction_moves() -> None:
    labels = FibsemSpecimen("network", seed=5, shape=(1, 256, 256)).labels[0]
    striped, clean = (
        micrograph(labels, ImagingConditions(curtaining=strength), seed=7).astype(float)
        for strength in (1.0, 0.0)
    )
    mended = remove_stripes(striped)
    oxide = labels == 0

    def fine_stripes(image: Any) -> float:
        """Return the power of stripes narrower than 16 px in the oxide."""
        excess = np.where(oxide, image - clean, 0.0)
        power = np.abs(np.fft.rfft2(excess - excess[oxide].mean() * oxide)) ** 2
        return float(power[:4, 256 // 16 :].sum())

    assert fine_stripes(mended) < 0.4 * fine_stripes(striped)
    threshold = 0.5 * (clean[oxide].mean() + clean[labels == 1].mean())
    from scipy.ndimage import gaussian_filter

    shares = [(gaussian_filter(image, 1.5) > threshold).mean() for image in (clean, mended)]
    assert abs(shares[1] - shares[0]) < 0.01
    assert mended.mean() == pytest.approx(striped.mean())


def test_image_without_stripes_is_hardly_changed() -> None:
    labels = FibsemSpecimen("grains", seed=5, shape=(1, 192, 200)).labels[0]
    image = micrograph(labels, ImagingConditions(curtaining=0.0), seed=7).astype(float)
    changed = remove_stripes(image) - image
    assert changed.shape == image.shape
    assert changed.std() < 0.1 * image.std()


def test_levels_do_not_depend_on_fractions_and_undo_gain_and_offset() -> None:
    rng = np.random.default_rng(2)
    grey = np.array([30.0, 100.0, 200.0])
    first, second = (
        grey[np.sort(rng.choice(3, size=(64, 64), p=p), axis=1)] + rng.normal(0, 5, (64, 64))
        for p in ([0.5, 0.2, 0.3], [0.2, 0.3, 0.5])
    )
    gain, offset = gain_and_offset(phase_levels(0.8 * second + 12.0), phase_levels(first))
    assert gain == pytest.approx(1.0 / 0.8, rel=0.03)
    assert offset == pytest.approx(-15.0, abs=3.0)


def test_aligned_stack_shows_one_place_in_every_slice_and_keeps_gaps_and_depths() -> None:
    images, views, marks = stack()
    kept = [0, 1, 2, 4, 5, 6]
    z = np.array([views[k].z_nm for k in kept])
    inputs = Inputs(
        {"slices": np.stack([images[k] for k in kept]), "slice": np.array(kept), "z_nm": z},
        {"pixel_size_nm": 10.0, "pitch_nm": PITCH, "n_slices": 8, "marks": marks.to_dict()},
    )
    done: list[tuple[int, int]] = []
    result = AlignSlices().run(inputs, AlignParams(), lambda *step: done.append(step))
    table, aligned = result.tables["slices"], result.arrays["slices"]
    assert table["slice"].tolist() == list(range(8))
    assert table["plane"].tolist() == [0, 1, 2, -1, 3, 4, 5, -1]
    np.testing.assert_allclose(table["z_nm"][table["plane"] >= 0], z)
    assert result.warnings == ("slices are missing: 3, 7",)
    assert done[-1] == (12, 12)
    (top, bottom), (left, right) = result.provenance["window"]
    assert aligned.shape == (6, bottom - top, right - left)
    for plane, k in enumerate(kept):
        specimen = FibsemSpecimen(
            "network",
            seed=6,
            shape=(1, 256, 256),
            origin_um=(
                1e-3 * (views[k].z_nm - 5.0),
                *(-1e-3 * shift for shift in views[0].displacement_nm),
            ),
        ).labels[0][top:bottom, left:right]
        brightness = np.array([0.75, 0.40, 0.12])[specimen]
        assert np.corrcoef(aligned[plane].ravel(), brightness.ravel())[0, 1] > 0.85


def test_stack_without_marks_says_what_cannot_be_told() -> None:
    images, _, marks = stack()
    faces = np.stack([image[marks.specimen_from :] for image in images[:3]])
    inputs = Inputs({"slices": faces}, {"pixel_size_nm": 10.0, "pitch_nm": PITCH})
    result = AlignSlices().run(inputs, AlignParams(level=False, destripe=False))
    assert "drift cannot be told from features of the specimen" in result.warnings[0]


@pytest.mark.parametrize(
    ("marks", "message"),
    [
        ({"rows": (0, 8), "straight": (0, 40)}, r"rows must be an interval of 16 px .* \(0, 8\)"),
        ({"rows": (0, 40), "straight": (0, 40), "slanted": (40, 80)}, "slope of slanted marks"),
    ],
)
def test_marks_that_cannot_be_registered_are_refused(marks: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrackingMarks(**marks)
    with pytest.raises(ValueError, match="marks must lie within the images"):
        TrackingMarks((0, 40), (0, 80)).check((64, 64))
