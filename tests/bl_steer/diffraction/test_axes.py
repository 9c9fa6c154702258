"""Where the pixels of a frame lie, and files that do not say so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bl_steer.diffraction import FrameAxes, SummedFrames


def test_the_mesh_runs_row_by_row() -> None:
    axes = FrameAxes(np.array([1.0, 2.0, 3.0]), np.array([10.0, 20.0]))
    qx, qz = axes.mesh()
    assert axes.shape == (2, 3)
    assert qx.tolist() == [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]
    assert qz.tolist() == [10.0, 10.0, 10.0, 20.0, 20.0, 20.0]


def test_axes_are_read_from_a_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "axes.npz", qx=[2.24, 2.25], qz=[2.3])
    axes = FrameAxes.load(tmp_path / "axes.npz")
    assert axes.qx.tolist() == [2.24, 2.25]
    assert (axes.shape, axes.unit) == ((1, 2), "1/Å")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"the axes must exist, got '.*no\.npz'"):
        FrameAxes.load(tmp_path / "no.npz")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"qx": [1.0, 2.0]}, "qx and qz of an .npz file"),
        ({"qx": [1.0, np.nan], "qz": [1.0]}, r"qx must be a list of finite numbers .* \(2,\)"),
        ({"qx": [1.0], "qz": [[1.0, 2.0]]}, r"qz must be a list of finite numbers .* \(1, 2\)"),
        ({"qx": [1.0], "qz": []}, r"qz must be a list of finite numbers .* \(0,\)"),
        ({"qx": ["a"], "qz": [1.0]}, "qx and qz of an .npz file"),
        ({"qx": np.array([{}], object), "qz": [1.0]}, "qx and qz of an .npz file"),
    ],
    ids=["no qz", "not finite", "a table", "empty", "words", "pickles"],
)
def test_files_without_two_lists_of_numbers_are_refused(
    content: dict[str, Any], message: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "axes.npz", **content)
    with pytest.raises(ValueError, match=message):
        FrameAxes.load(tmp_path / "axes.npz")


@pytest.mark.parametrize("content", [b"", b"qx,qz\n1,2\n", b"PK\x03\x04 and nothing"])
def test_files_that_are_no_npz_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "axes.npz").write_bytes(content)
    with pytest.raises(ValueError, match="save them with numpy"):
        FrameAxes.load(tmp_path / "axes.npz")


FRAMES = arrays(np.float64, (3, 2, 4), elements=st.integers(0, 10**6).map(float))


@given(FRAMES, st.floats(0.1, 1e6), st.floats(0.1, 1e6))
def test_a_pattern_is_the_sum_of_its_frames_at_the_nominal_beam(
    frames: np.ndarray, monitor: float, nominal: float
) -> None:
    summed = SummedFrames(FrameAxes.channels((2, 4)))
    ones = np.ones(3)
    plain = summed.reduce(frames, scales=ones)
    np.testing.assert_array_equal(plain, sum(frames).ravel())
    scaled = summed.reduce(frames, scales=ones * (nominal / monitor))
    np.testing.assert_allclose(scaled * monitor, plain * nominal)


def test_frames_are_scaled_each_by_its_own_beam() -> None:
    frames = np.array([[[1.0, 2.0]], [[3.0, 4.0]]])
    summed = SummedFrames(FrameAxes.channels((1, 2)))
    pattern = summed.reduce(frames, scales=np.array([2.0, 0.5]))
    np.testing.assert_array_equal(pattern, [3.5, 6.0])


def test_frames_of_another_shape_than_the_axes_are_refused() -> None:
    summed = SummedFrames(FrameAxes.channels((1, 2)))
    with pytest.raises(ValueError, match=r"shape \(1, 2\) of the axes"):
        summed.reduce(np.ones((1, 2, 1)), scales=np.ones(1))
