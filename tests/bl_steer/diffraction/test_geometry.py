"""q of any pixel at any angles, with xrayutilities as the judge."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bl_steer.diffraction import (
    PRESETS,
    Circle,
    Detector,
    Goniometer,
    goniometer,
    peak_position,
)

PSIC_AT_SILICON_022 = {"eta": 2.0, "chi": 90.0, "nu": 24.88, "delta": 24.16, "mu": 0.0, "phi": 0.0}
SURFACE_AT_SILICON_022 = {**PSIC_AT_SILICON_022, "mu": 2.0, "eta": 0.0, "chi": 0.0}
POINT = Detector()


def linear(direction: str) -> Detector:
    return Detector((96,), (direction,), (0.05,), 350.0, (40.25,))


def area(*directions: str) -> Detector:
    return Detector((24, 33), directions, (0.172, 0.055), 600.0, (10.75, 17.5))


AREAS = [area(*directions) for directions in area("z-", "x+").orientations()]
DETECTORS = [POINT, *map(linear, ("z+", "z-", "x+", "x-")), *AREAS]


def random_angles(circles: Goniometer, n: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.uniform(-180.0, 180.0, n) for name in circles.circles}


def judged_by_xrayutilities(g: Goniometer, angles: Mapping[str, Any]) -> np.ndarray:
    """Return q as xrayutilities has it, in the shape of `Goniometer.q`."""
    xu = pytest.importorskip("xrayutilities", reason="it is in the extra dev")
    beam = {"y+": [0, 1, 0], "x+": [1, 0, 0]}[str(g.beam)]
    conversion = xu.QConversion(
        [circle.axis for circle in g.sample],
        [circle.axis for circle in g.arm],
        beam,
        en=1e3 * g.energy_kev,
    )
    args = [np.atleast_1d(angles[name]) for name in g.circles]
    d = g.detector
    if d.kind == "point":
        return np.stack(conversion.point(*args), axis=-1)
    if d.kind == "linear":
        conversion.init_linear(
            *(d.directions[0], d.beam_centre[0], d.shape[0]),
            distance=d.distance_mm,
            pixelwidth=d.pixel_size_mm[0],
        )
        return np.stack(conversion.linear(*args), axis=-1)
    conversion.init_area(
        *(*d.directions, *d.beam_centre, *d.shape),
        distance=d.distance_mm,
        pwidth1=d.pixel_size_mm[0],
        pwidth2=d.pixel_size_mm[1],
    )
    return np.stack(conversion.area(*args), axis=-1)


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda d: "".join((d.kind, *d.directions)))
@pytest.mark.parametrize("preset", PRESETS)
def test_q_is_that_of_xrayutilities(preset: str, detector: Detector) -> None:
    g = goniometer(preset, detector=detector, energy_kev=11.219)
    angles = random_angles(g, 7)
    q = g.q(angles)
    assert q.shape == (7, *detector.shape, 3)
    np.testing.assert_allclose(q, judged_by_xrayutilities(g, angles), rtol=0, atol=2e-11 * g.k)


@pytest.mark.parametrize("seed", range(5))
def test_q_of_circles_of_any_axes_and_signs_is_that_of_xrayutilities(seed: int) -> None:
    rng = np.random.default_rng(seed)
    axes = [axis + sign for axis in "xyz" for sign in "+-"]
    sample = [Circle(f"s{i}", str(rng.choice(axes))) for i in range(4)]
    arm = [Circle(f"a{i}", str(rng.choice(axes))) for i in range(2)]
    detector = area("y-", "z+")
    g = Goniometer(tuple(sample), tuple(arm), 9.5, detector=detector, beam="x+")
    angles = random_angles(g, 5, seed)
    np.testing.assert_allclose(
        g.q(angles), judged_by_xrayutilities(g, angles), rtol=0, atol=2e-11 * g.k
    )


@pytest.mark.parametrize(
    ("preset", "angles"), [("4S+2D", SURFACE_AT_SILICON_022), ("psic", PSIC_AT_SILICON_022)]
)
def test_silicon_022_at_11_kev_and_2_degrees_incidence(
    preset: str, angles: dict[str, float]
) -> None:
    g = goniometer(preset)
    along, across, normal = g.facing(angles).components(g.q(angles, g.detector.beam_centre))
    np.testing.assert_allclose([along, across, normal], [2.31381, 0, 2.31381], atol=3e-4)
    np.testing.assert_allclose(peak_position(0.0, 1.0), [along, normal], atol=3e-4)


def test_a_turn_about_the_normal_leaves_q_along_and_across_the_surface_as_they_are() -> None:
    g = goniometer("4S+2D")
    phi = np.linspace(-30.0, 200.0, 9)
    along, across, normal = g.components(g.q({**SURFACE_AT_SILICON_022, "phi": phi}))
    radius = np.hypot(along, across)
    assert np.ptp(normal, axis=0).max() < 4e-15
    assert np.ptp(radius, axis=0).max() < 4e-15


def test_a_rock_in_the_scattering_plane_turns_q_in_it() -> None:
    lab = goniometer("omega-2theta")
    omega = np.array([30.0, 30.5])
    _, q_y, q_z = lab.q({"omega": omega, "two_theta": 60.0}).T
    assert np.degrees(np.arctan2(q_y, q_z)) == pytest.approx([0.0, 0.5])


def test_the_sign_of_the_incidence_and_the_order_of_the_arm_matter_and_keep_the_length_of_q() -> (
    None
):
    g = goniometer("4S+2D")
    centre = g.detector.beam_centre
    q = g.q(SURFACE_AT_SILICON_022, centre)
    wrong_mu = replace(g, sample=(Circle("mu", "x-"), *g.sample[1:]))
    wrong_order = replace(g, arm=g.arm[::-1])
    for wrong, distance in ((wrong_mu, 0.16), (wrong_order, 0.13)):
        other = wrong.q(SURFACE_AT_SILICON_022, centre)
        assert np.linalg.norm(other - q) > distance
    assert np.linalg.norm(wrong_mu.q(SURFACE_AT_SILICON_022, centre)) == pytest.approx(
        np.linalg.norm(q)
    )


def test_a_circle_is_read_from_its_zero() -> None:
    g = goniometer("omega-2theta")
    moved = replace(g, sample=(Circle("omega", "x+", zero_deg=0.25),))
    angles = {"omega": 20.0, "two_theta": 40.0}
    np.testing.assert_allclose(moved.q({**angles, "omega": 20.25}), g.q(angles))


def test_pixels_between_others_have_a_q_of_their_own() -> None:
    g = goniometer("four-circle")
    angles = {"omega": 15.0, "chi": 1.0, "phi": 2.0, "two_theta": 33.0}
    rows, columns = np.array([0, 511]), np.array([3, 200])
    every = g.q(angles)
    np.testing.assert_allclose(g.q(angles, (rows, columns)), every[rows, columns])
    between = g.q(angles, (0.5, 3.0))
    np.testing.assert_allclose(between, every[:2, 3].mean(axis=0), atol=1e-7)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_goniometer_comes_back_from_its_json(preset: str) -> None:
    g = replace(goniometer(preset), in_plane=(1.0, 1.0, 1.0))
    back = Goniometer.from_dict(json.loads(json.dumps(g.to_dict())))
    assert back == g
    assert back.digest == g.digest
    assert len(g.digest) == 64
    assert replace(g, energy_kev=g.energy_kev + 1e-6).digest != g.digest


def test_whoever_did_not_prove_the_orientation_is_told() -> None:
    g = goniometer("4S+2D")
    assert ["left and right" in note for note in g.notes] == [True]
    proven = replace(g, detector=replace(g.detector, proven="spots at nu 20 and 21"))
    assert proven.notes == ()
    assert goniometer("omega-2theta").notes == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"energy_kev": 0.0}, "energy_kev must be positive, got 0.0 keV"),
        ({"energy_kev": float("nan")}, "energy_kev must be positive, got nan keV"),
        ({"rocked": "gamma"}, "rocked must be one of the circles mu, eta, .* got 'gamma'"),
        ({"beam": "y"}, "the beam must be an axis such as .* got 'y'"),
        ({"beam": "x+"}, r"pixels must run at right angles to the beam 'x\+', got \['x\+'\]"),
        ({"in_plane": "z-"}, r"in_plane must not be along the normal 'z\+', got 'z-'"),
        ({"normal": (0, 0, 0)}, "the normal must be an axis .* got"),
        ({"sample": ()}, "the sample one at least"),
        ({"arm": (Circle("mu", "x+"),)}, "circles must have names of their own"),
    ],
)
def test_a_goniometer_that_cannot_be_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        goniometer("4S+2D", **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"directions": ("z-", "z+")}, "rows and columns must run at right angles"),
        ({"directions": ("z-",)}, "must each have a value for every axis"),
        ({"distance_mm": -600.0}, "must be positive, got .* -600"),
        ({"pixel_size_mm": 0.055}, "pixel_size_mm of the detector must be a list .* got 0.055"),
        ({"beam_centre": (1.0, float("inf"))}, "beam_centre must be finite"),
        ({"directions": ("up", "x+")}, "a direction of pixels must be an axis .* got 'up'"),
    ],
)
def test_a_detector_that_cannot_be_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(area("z-", "x+"), **change)


@pytest.mark.parametrize(
    ("angles", "message"),
    [
        ({"omega": 1.0}, "angles must be given for the circles omega, two_theta, got omega;"),
        ({"omega": 1.0, "two_theta": 2.0, "chi": 0.0}, "got omega, two_theta, chi;"),
        ({"omega": [1.0, 2.0], "two_theta": [1.0, 2.0, 3.0]}, r"omega \(2,\), two_theta \(3,\)"),
        ({"omega": [1.0, float("nan")], "two_theta": 2.0}, r"finite, got \[1.0, nan\] of omega"),
    ],
)
def test_angles_that_do_not_fit_are_refused(angles: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        goniometer("omega-2theta").q(angles)


def test_json_of_something_else_is_refused() -> None:
    data = goniometer("omega-2theta").to_dict()
    with pytest.raises(ValueError, match=r"keys among sample, arm, .* got \['energy'\]"):
        Goniometer.from_dict({**data, "energy": 8.0})
    with pytest.raises(ValueError, match=r"a circle must be a mapping .* got str"):
        Goniometer.from_dict({**data, "arm": ["two_theta"]})
    with pytest.raises(ValueError, match=r"preset must be one of 4S\+2D, .* got 'kappa'"):
        goniometer("kappa")
