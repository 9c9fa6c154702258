"""Even planes from uneven slices, and the progress of a chain."""

from __future__ import annotations

import numpy as np
import pytest

from bl_steer.analysis import find_analysis, make_params
from bl_steer.analysis.reconstruction.depths import EvenDepths
from bl_steer.protocols import Inputs


def test_even_slices_are_divided_evenly() -> None:
    depths = EvenDepths.of([0.0, 100.0, 200.0], 4)
    np.testing.assert_allclose(depths.z_nm, np.arange(0.0, 201.0, 25.0))
    np.testing.assert_array_equal(depths.nearest_inserted(), np.arange(9))
    np.testing.assert_array_equal(depths.nearest_slice(), [0, 0, 0, 1, 1, 1, 1, 2, 2])
    assert (depths.jitter, list(depths.gaps)) == (0.0, [])


def test_uneven_slices_keep_their_measured_depths() -> None:
    z = np.array([0.0, 120.0, 200.0, 300.0, 410.0])
    depths = EvenDepths.of(z, 8)
    places = np.interp(np.arange(33) / 8, np.arange(5), z)
    found = places[depths.nearest_inserted()]
    assert np.abs(found - depths.z_nm).max() <= np.diff(places).max() / 2 + 1e-9
    assert 0.0 < depths.jitter < 0.3


def test_a_missing_slice_is_a_gap_and_no_jitter() -> None:
    depths = EvenDepths.of([0.0, 100.0, 200.0, 400.0, 500.0, 600.0], 2)
    assert list(depths.gaps) == [2]
    assert depths.jitter == 0.0
    assert (depths.pitch_nm, depths.step_nm, len(depths.z_nm)) == (100.0, 50.0, 13)


def test_planes_may_be_as_far_apart_as_pixels() -> None:
    depths = EvenDepths.of([0.0, 100.0, 200.0], 16, step_nm=10.0)
    assert (depths.step_nm, len(depths.z_nm)) == (10.0, 21)


def test_finer_planes_have_as_many_inserted_and_none_is_taken_twice() -> None:
    depths = EvenDepths.of([0.0, 100.0, 200.0, 300.0], 8, step_nm=10.0)
    assert depths.factor == 10
    np.testing.assert_array_equal(depths.nearest_inserted(), np.arange(31))
    assert EvenDepths.of([0.0, 100.0, 200.0], 8, step_nm=2.0).factor == 16


@pytest.mark.parametrize("z", [[5.0], [0.0, 100.0, 100.0], [0.0, 100.0, 90.0]])
def test_slices_that_do_not_go_deeper_are_refused(z: list[float]) -> None:
    with pytest.raises(ValueError, match=r"deeper and deeper.*leave out those"):
        EvenDepths.of(z, 8)


@pytest.mark.parametrize(
    ("pitch_nm", "asked"),
    [(0.06, r"were they meant in µm\? Else give"), (8.0, "8 nm; give the dis")],
)
def test_a_pitch_within_a_pixel_is_refused_before_anything_is_computed(
    pitch_nm: float, asked: str
) -> None:
    analysis = find_analysis("reconstruct")
    slices = np.random.default_rng(0).integers(0, 255, (6, 96, 96), dtype=np.uint8)
    params = make_params(analysis, {"pitch_nm": pitch_nm, "pixel_size_nm": 10.0})
    with pytest.raises(ValueError, match=rf"more than a pixel's 10 nm.* got .*{asked}"):
        analysis.run(Inputs({"slices": slices}), params, lambda *_: pytest.fail("it began"))
