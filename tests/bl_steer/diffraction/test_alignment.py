"""The zero of the angles from the substrate's peak, and how well it is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bl_steer.diffraction import (
    FrameAxes,
    GriddedFrames,
    QGrid,
    align_on_peak,
    goniometer,
    peak_position,
)

AXES = FrameAxes(np.linspace(2.24, 2.345, 33), np.linspace(2.24, 2.345, 33))
SILICON = tuple(float(q) for q in peak_position(0.0, 1.0))


def substrate(
    tilt_deg: float = 0.0, scale: float = 1.0, *, sigma: float = 0.004, height: float = 50.0
) -> np.ndarray:
    """Return the mean counts of the cells of a map whose substrate peak lies off."""
    q_par, q_perp = (scale * float(q) for q in peak_position(0.0, 1.0, tilt_deg))
    qx, qz = AXES.mesh()
    shape = np.exp(-0.5 * ((qx - q_par) ** 2 + (qz - q_perp) ** 2) / sigma**2)
    film = np.exp(-0.5 * ((qx - 2.27) ** 2 + (qz - 2.258) ** 2) / 0.006**2)
    return np.asarray(height * (shape + 0.5 * film) + 0.3)


@pytest.mark.parametrize("tilt_deg", [-0.2, -0.013, 0.0, 0.17])
@pytest.mark.parametrize("scale", [0.997, 1.0, 1.002])
def test_a_turned_and_stretched_map_comes_back(tilt_deg: float, scale: float) -> None:
    alignment = align_on_peak(substrate(tilt_deg, scale), AXES, SILICON)
    assert alignment.rotation_deg == pytest.approx(-tilt_deg, abs=0.003)
    assert alignment.scale == pytest.approx(1.0 / scale, abs=5e-5)
    wrong = np.array(peak_position(0.3, 0.9, tilt_deg + 0.1)) * scale
    np.testing.assert_allclose(
        alignment.apply(*wrong), peak_position(0.3, 0.9, 0.1), atol=3e-4, rtol=0
    )


@pytest.mark.parametrize("height", [10.0, 100.0, 3000.0])
def test_the_errors_are_those_of_repeated_measurements(height: float) -> None:
    rng = np.random.default_rng(2)
    pulls = []
    for _ in range(200):
        tilt = rng.uniform(-0.05, 0.05)
        counts = rng.poisson(substrate(tilt, height=height)).astype(float)
        alignment = align_on_peak(counts, AXES, SILICON, variance=np.maximum(counts, 0.3))
        pulls.append(
            [
                (alignment.rotation_deg + tilt) / alignment.rotation_error_deg,
                (alignment.scale - 1.0) / alignment.scale_error,
            ]
        )
    inside = (np.abs(pulls) < 1.96).mean(axis=0)
    assert (inside > 0.9).all()
    assert (np.std(pulls, axis=0) > 0.6).all()


def test_a_peak_narrower_than_a_cell_is_known_no_better_than_its_cell() -> None:
    step = 0.105 / 32
    errors, stated = [], []
    for tilt in np.linspace(-0.1, 0.1, 41):
        alignment = align_on_peak(substrate(tilt, sigma=0.1 * step, height=1e5), AXES, SILICON)
        errors.append(alignment.rotation_deg + tilt)
        stated.append(alignment.rotation_error_deg)
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.mean(stated), rel=0.5)


def test_each_point_is_aligned_by_its_own_peak() -> None:
    tilts = np.array([-0.1, 0.0, 0.05])
    patterns = np.stack([substrate(tilt) for tilt in tilts])
    points = [align_on_peak(pattern, AXES, SILICON) for pattern in patterns]
    np.testing.assert_allclose([p.rotation_deg for p in points], -tilts, atol=0.003)


def test_scaled_data_have_the_same_error_by_the_cells_around_the_peak() -> None:
    rng = np.random.default_rng(3)
    noisy = substrate() + rng.normal(0.0, 0.5, 1089)
    one, other = (align_on_peak(noisy * factor, AXES, SILICON) for factor in (1.0, 1e-6))
    assert one.rotation_error_deg == pytest.approx(other.rotation_error_deg)
    assert one.rotation_error_deg > 0


def test_cells_in_which_nothing_fell_are_left_out() -> None:
    pattern = substrate(0.05).reshape(33, 33)
    pattern[:12] = np.nan
    pattern[:, :5] = np.nan
    assert align_on_peak(pattern, AXES, SILICON).rotation_deg == pytest.approx(-0.05, abs=0.003)


@pytest.mark.parametrize("arm", [None, "delta"])
def test_the_zeros_of_a_goniometer_are_found_again(arm: str | None) -> None:
    """A scan is read with wrong zeros; the corrected goniometer puts the peak in its place."""
    truth = goniometer("4S+2D")
    middle = {"mu": 2.0, "eta": 0.0, "chi": 0.0, "phi": 0.0, "nu": 24.88, "delta": 24.16}
    zeros = {"mu": 0.037, "delta": 0.0 if arm is None else -0.021}
    energy = truth.energy_kev * (1.0004 if arm is None else 1.0)
    turned = replace(
        truth,
        sample=tuple(replace(c, zero_deg=zeros.get(c.name, 0.0)) for c in truth.sample),
        arm=tuple(replace(c, zero_deg=zeros.get(c.name, 0.0)) for c in truth.arm),
        energy_kev=energy,
    )
    mu = 2.0 + np.linspace(-0.8, 0.8, 33)
    along, across, normal = turned.components(turned.q({**middle, "mu": mu}))
    q_par, q_perp = np.hypot(along, across), normal
    centre = turned.components(turned.q(middle, truth.detector.beam_centre))
    peak = (float(np.hypot(*centre[:2])), float(centre[2]))
    frames = 1e4 * np.exp(-0.5 * ((q_par - peak[0]) ** 2 + (q_perp - peak[1]) ** 2) / 0.004**2)
    grid = QGrid((peak[0] - 0.03, peak[0] + 0.03, 41), (peak[1] - 0.03, peak[1] + 0.03, 41))
    fixed = {name: value for name, value in middle.items() if name != "mu"}
    pattern = GriddedFrames(truth, grid, angles=fixed).reduce(frames, scales=np.ones(33), angles=mu)
    alignment = align_on_peak(pattern, grid.axes, peak)
    corrected = alignment.corrected(truth, middle, arm=arm)
    moved = {c.name: c.zero_deg for c in (*corrected.sample, *corrected.arm) if c.zero_deg}
    assert moved == pytest.approx({n: z for n, z in zeros.items() if z}, abs=0.002)
    assert corrected.energy_kev == pytest.approx(energy, rel=3e-5)
    again = GriddedFrames(corrected, grid, angles=fixed)
    after = align_on_peak(again.reduce(frames, scales=np.ones(33), angles=mu), grid.axes, peak)
    assert abs(after.rotation_deg) < 0.002
    assert after.scale == pytest.approx(1.0, abs=3e-5)


def test_a_circle_that_leaves_the_map_as_it_is_cannot_be_corrected() -> None:
    g = goniometer("4S+2D", rocked="phi")
    middle = {"mu": 2.0, "eta": 0.0, "chi": 0.0, "phi": 0.0, "nu": 24.88, "delta": 24.16}
    alignment = align_on_peak(substrate(0.05), AXES, SILICON)
    with pytest.raises(ValueError, match="circles phi and the energy must move q apart"):
        alignment.corrected(g, middle)
    with pytest.raises(ValueError, match=r"arm must be a circle that turns the detector, .* 'mu'"):
        alignment.corrected(replace(g, rocked="mu"), middle, arm="mu")


def test_a_map_without_the_peak_is_refused() -> None:
    rng = np.random.default_rng(0)
    noise = rng.poisson(2.0, 1089).astype(float)
    with pytest.raises(ValueError, match=r"the peak must stand out by 5 .* got .* ±"):
        align_on_peak(noise, AXES, SILICON, variance=noise)
    with pytest.raises(ValueError, match=r"the map must reach the peak at 4\.0000, 4.0000"):
        align_on_peak(noise, AXES, (4.0, 4.0))
