"""From peaks back to the film, and what they do not tell."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bl_steer.diffraction import (
    Reflection,
    film_of_peaks,
    null_directions,
    peak_position,
    positions,
)

FIRST, TURNED, QUARTER, SYMMETRIC = map(Reflection.parse, ("0,2,2", "0,-2,2", "2,0,2", "0,0,4@90"))
SMALL = 1e-5**2


def errors(n_maps: int, numbers: int = 2) -> np.ndarray:
    return np.broadcast_to(SMALL * np.eye(numbers), (1, n_maps, numbers, numbers))


def test_a_tilt_in_the_plane_moves_the_peak_as_the_lattice_rule_says() -> None:
    state = np.array([[0.45, 1.04, 0.3, 0.0, 0.0]])
    q = positions(state, [FIRST, TURNED])[0]
    np.testing.assert_allclose(q[0, :2], peak_position(0.45, 1.04, 0.3), rtol=1e-12)
    np.testing.assert_allclose(q[1, :2], peak_position(0.45, 1.04, -0.3), rtol=1e-12)
    np.testing.assert_allclose(q[:, 2], 0.0, atol=1e-12)


def test_one_reflection_leaves_one_direction_of_x_r_and_tilt_open() -> None:
    state = np.array([0.4, 0.9, 0.0, 0.0, 0.0])
    mixed, across, twist = null_directions([FIRST], state=state)
    per_r = mixed * 0.1 / mixed[1]
    np.testing.assert_allclose(per_r[[0, 1, 2]], [-0.0047, 0.1, 0.078], rtol=0.02)
    np.testing.assert_allclose(across, [0, 0, 0, 1, 0])
    np.testing.assert_allclose(twist, [0, 0, 0, 0, 1])


def test_out_of_plane_the_tilt_and_the_twist_move_the_peak_alike() -> None:
    directions = null_directions([FIRST], numbers=3)
    assert len(directions) == 2  # 3 numbers for 5 unknowns
    assert directions[1][3] == 1.0
    assert directions[1][4] == pytest.approx(-1.0, abs=0.02)
    assert len(null_directions([FIRST, TURNED], numbers=3)) == 0


@settings(deadline=None, max_examples=40)
@given(
    st.floats(0.02, 0.98),
    st.floats(-0.1, 1.2),
    st.floats(-1, 1),
    st.floats(-1, 1),
    st.floats(-1, 1),
)
def test_two_azimuths_with_all_numbers_give_every_unknown_back(
    x: float, relaxation: float, tilt: float, across: float, twist: float
) -> None:
    state = np.array([[x, relaxation, tilt, across, twist]])
    q = positions(state, [FIRST, TURNED])
    solved = film_of_peaks(q, errors(2, 3), [FIRST, TURNED], {})
    np.testing.assert_allclose(solved.values, state, atol=1e-5)
    assert solved.free == 1


@pytest.mark.parametrize("others", [[TURNED], [SYMMETRIC, TURNED], [TURNED, QUARTER]])
def test_more_maps_tell_x_r_and_tilt(others: list[Reflection]) -> None:
    reflections = [FIRST, *others]
    state = np.array([[0.45, 1.06, -0.3, 0.0, 0.0]])
    q = positions(state, reflections)[:, :, :2]
    solved = film_of_peaks(q, errors(len(reflections)), reflections, {})
    np.testing.assert_allclose(solved.values, state, atol=1e-5)
    assert np.isnan(solved.covariance[0, 4, 4])
    assert np.isfinite(solved.covariance[0, 3, 3]) == (QUARTER in others)


def test_an_assumption_breaks_the_degeneracy_and_its_error_is_carried_on() -> None:
    q = positions(np.array([[0.4, 0.9, 0.3, 0.0, 0.0]]), [FIRST])[:, :, :2]
    solved = film_of_peaks(q, errors(1), [FIRST], {"R": (0.9, 0.1)})
    np.testing.assert_allclose(solved.values[0, :3], [0.4, 0.9, 0.3], atol=1e-6)
    sd = np.sqrt(np.diag(solved.covariance[0]))
    np.testing.assert_allclose(sd[:3], [0.0047, 0.1, 0.078], rtol=0.02)
    exact = film_of_peaks(q, errors(1), [FIRST], {"R": (0.9, 0.0)})
    assert exact.covariance[0, 1, 1] == 0.0
    assert np.sqrt(exact.covariance[0, 0, 0]) < 1e-4


def test_peaks_that_do_not_tell_the_film_are_refused() -> None:
    q = positions(np.array([[0.4, 0.9, 0.3, 0.0, 0.0]]), [FIRST])[:, :, :2]
    with pytest.raises(ValueError, match=r"got \(0 2 2\) with nothing assumed; assume one of them"):
        film_of_peaks(q, errors(1), [FIRST], {})
    quarter = positions(np.array([[0.4, 0.9, 0.3, 0.0, 0.0]]), [FIRST, QUARTER])[:, :, :2]
    with pytest.raises(ValueError, match=r"got \(0 2 2\), \(2 0 2\) with nothing assumed"):
        film_of_peaks(quarter, errors(2), [FIRST, QUARTER], {})


@pytest.mark.parametrize("text", ["", "0,2", "0,2,-2", "0,2,2@east", "0.5,2,2"])
def test_what_is_no_reflection_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a reflection must be h,k,l with l above 0, and may have"):
        Reflection.parse(text)
