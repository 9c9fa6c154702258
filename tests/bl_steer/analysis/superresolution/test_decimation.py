from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bl_steer.analysis.superresolution.decimation import Decimation, LessonSampler, rows_at


def sampler(
    slices: NDArray[np.float32], decimation: Decimation, n_rows: int = 6, columns: int = 16
) -> LessonSampler:
    return LessonSampler(slices, decimation, n_rows=n_rows, n_columns=columns, batch=20, seed=3)


def slope(edge: int = 49) -> NDArray[np.float32]:
    """Return planes whose grey rises with y and x alike: a row's grey tells its place."""
    y, x = np.indices((edge, edge))
    return np.repeat((y + x).astype(np.float32)[None, ..., None], 2, axis=0)


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_what_lies_between_is_halfway_between_the_rows_of_the_stage(stage: int) -> None:
    lessons = sampler(slope(), Decimation(pitch_px=8))(stage, step=5)
    assert lessons.between.shape == (20, 1, 5 * 2**stage, 16)
    places = np.arange(6)
    halfway = (np.arange(5 * 2**stage) + 0.5) / 2**stage
    for measured, between in zip(lessons.measured, lessons.between, strict=True):
        expected = np.interp(halfway, places, measured[0, :, 0])
        np.testing.assert_allclose(between[0, :, 0], expected, atol=1e-4)


def test_measured_rows_are_a_pitch_apart_and_thin() -> None:
    noise = np.random.default_rng(0).normal(size=(3, 60, 50, 1)).astype(np.float32)
    lessons = sampler(noise, Decimation(pitch_px=8))(0, step=0)
    known = {float(value) for value in noise.ravel()}
    assert {float(value) for value in lessons.measured.ravel()} <= known
    assert {float(value) for value in lessons.between.ravel()} <= known


def test_a_pitch_of_any_length_will_do() -> None:
    lessons = sampler(slope(), Decimation(pitch_px=7.3))(1, step=0)
    steps = np.abs(np.diff(lessons.measured[:, 0, :, 0], axis=1))
    np.testing.assert_allclose(steps, 7.3, atol=1e-3)


def test_jitter_varies_the_pitch_by_what_it_says() -> None:
    lessons = sampler(slope(199), Decimation(pitch_px=8, pitch_jitter=0.2))(0, step=0)
    steps = np.abs(np.diff(lessons.measured[:, 0, :, 0], axis=1))
    assert steps.mean() == pytest.approx(8, rel=0.1)
    assert steps.std() == pytest.approx(1.6, rel=0.3)


def test_a_thick_slice_averages_over_its_profile() -> None:
    rng = np.random.default_rng(1)
    plane = rng.normal(size=(200, 40)).astype(np.float32)
    thick = rows_at(plane, np.arange(10.0, 190.0), profile_px=6)
    assert thick.std() < 0.6 * plane.std()
    np.testing.assert_allclose(rows_at(plane, np.array([3.0, 4.5])), [plane[3], plane[4:6].mean(0)])


def test_both_axes_of_the_plane_are_taught() -> None:
    y = np.indices((40, 40))[0].astype(np.float32)
    lessons = sampler(y[None, ..., None], Decimation(pitch_px=4))(0, step=0)
    along_rows = np.ptp(lessons.measured[:, 0, :, 0], axis=1) > 0
    assert 4 < along_rows.sum() < 16


def test_a_field_of_view_of_two_pitches_is_refused() -> None:
    with pytest.raises(ValueError, match=r"at least 3 pitches .* got 20×20 px at a pitch of 8 px"):
        sampler(slope(20), Decimation(pitch_px=8))
