"""Si-Ge lattices and peaks against closed forms and published constants."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bl_steer.diffraction import (
    elastic_constants,
    lattice_parameter,
    peak_position,
    strained_lattice,
)
from bl_steer.features import parse_reference

A_SI, A_GE = 5.43104, 5.65785
fractions = st.floats(0.0, 1.0)
tilts = st.floats(-5.0, 5.0)


def test_end_members_have_the_published_lattice_parameters():
    assert float(lattice_parameter(0.0)) == A_SI
    assert float(lattice_parameter(1.0)) == pytest.approx(A_GE, abs=3e-4)


@settings(deadline=None)
@given(st.floats(0.01, 0.99))
def test_bowing_lies_below_the_line_between_the_end_members(x):
    line = (1 - x) * lattice_parameter(0.0) + x * lattice_parameter(1.0)
    assert float(line - lattice_parameter(x)) == pytest.approx(0.027 * x * (1 - x), rel=1e-9)


def test_elastic_constants_are_those_of_silicon_and_germanium():
    assert [float(c) for c in elastic_constants(0.0)] == [165.77, 63.93]
    assert [float(c) for c in elastic_constants(1.0)] == pytest.approx([128.5, 48.3])


@settings(deadline=None)
@given(fractions)
def test_a_fully_relaxed_film_is_cubic(x):
    a_par, a_perp = strained_lattice(x, 1.0)
    assert float(a_par) == pytest.approx(float(lattice_parameter(x)), rel=1e-12)
    assert float(a_perp) == pytest.approx(float(a_par), rel=1e-12)


@settings(deadline=None)
@given(fractions)
def test_a_pseudomorphic_film_keeps_the_substrates_in_plane_lattice(x):
    assert float(strained_lattice(x, 0.0)[0]) == pytest.approx(A_SI, rel=1e-12)


@settings(deadline=None)
@given(fractions, fractions)
def test_no_stress_acts_across_the_surface(x, relaxation):
    a = lattice_parameter(x)
    a_par, a_perp = strained_lattice(x, relaxation)
    c11, c12 = elastic_constants(x)
    stress = 2 * c12 * (a_par / a - 1) + c11 * (a_perp / a - 1)
    assert float(stress) == pytest.approx(0.0, abs=1e-9)


@settings(deadline=None)
@given(fractions, fractions, tilts)
def test_a_tilt_turns_the_peak_and_keeps_its_length(x, relaxation, tilt):
    flat = np.array(peak_position(x, relaxation))
    turned = np.array(peak_position(x, relaxation, tilt))
    assert np.linalg.norm(turned) == pytest.approx(np.linalg.norm(flat), rel=1e-12)
    angle = np.degrees(np.arctan2(turned[0], turned[1]) - np.arctan2(flat[0], flat[1]))
    assert angle == pytest.approx(tilt, abs=1e-9)


@settings(deadline=None)
@given(fractions, fractions)
def test_untilted_peaks_follow_braggs_law_of_each_lattice_direction(x, relaxation):
    a_par, a_perp = strained_lattice(x, relaxation)
    q_par, q_perp = peak_position(x, relaxation, hkl=(2, 2, 4))
    assert float(q_par * a_par) == pytest.approx(2 * np.pi * np.sqrt(8), rel=1e-12)
    assert float(q_perp * a_perp) == pytest.approx(2 * np.pi * 4, rel=1e-12)


def test_silicon_022_has_the_spacing_of_the_tables():
    q = np.hypot(*peak_position(0.0, 1.0))
    assert 2 * np.pi / q == pytest.approx(1.92016, abs=1e-5)  # Å, d(022) = a / sqrt(8)


def test_more_germanium_moves_the_peak_to_smaller_q():
    q_par, q_perp = peak_position(np.linspace(0, 1, 11), 0.9)
    assert (np.diff(q_par) < 0).all()
    assert (np.diff(q_perp) < 0).all()


def test_arguments_broadcast():
    q_par, q_perp = peak_position(np.zeros((3, 1)), np.ones(4), 0.1)
    assert q_par.shape == q_perp.shape == (3, 4)


@pytest.mark.parametrize("x", [-0.01, 1.01, np.nan, 45])
def test_a_ge_fraction_outside_0_to_1_is_refused_with_its_value(x):
    with pytest.raises(ValueError, match=r"Ge fraction x must lie in 0 … 1, got .*; write it as"):
        lattice_parameter(x)


def test_a_relaxation_in_percent_is_refused():
    with pytest.raises(ValueError, match=r"relaxation R must lie in -0\.1 … 1\.2, got 90; "):
        strained_lattice(0.4, [0.9, 90.0])


def test_a_film_that_thermal_strain_made_longer_than_relaxed_has_a_peak() -> None:
    """Grown at 900 °C, x = .45: R = 1.08 by the expansion of Si and SiGe from there to 25 °C."""
    a_par, a_perp = strained_lattice(0.45, 1.08)
    assert a_par > lattice_parameter(0.45) > a_perp
    assert str(parse_reference("x=0.45,R=1.08")) == "x=0.45,R=1.08,tilt=0"
