"""The axes of a map tell its grid, in every format alike, and names tell which of them is x."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from bl_steer.files import point_inputs
from simulators.film.recorded_map import RecordedMap

X = np.linspace(0.0, 200.0, 7)
PEAK = (150.0, 30.0)


def _y(n: int) -> np.ndarray:
    return np.linspace(0.0, 100.0, n)


def _values(n: int) -> np.ndarray:
    x, y = np.meshgrid(X, _y(n))
    return 50.0 + 9e2 * np.exp(-((x - PEAK[0]) ** 2 + (y - PEAK[1]) ** 2) / 900.0) + x


def _save(path: Path, **arrays: np.ndarray) -> Path:
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    elif path.suffix == ".npy":
        for name, array in arrays.items():
            np.save(path.with_name(f"m{'' if name == 'map' else '_' + name}.npy"), array)
    else:
        with h5py.File(path, "w") as file:
            file.update(arrays)
    return path


def _nexus(path: Path, axes: dict[str, np.ndarray], values: np.ndarray) -> RecordedMap:
    with h5py.File(path, "w") as file:
        group = file.create_group("entry/data")
        group.attrs["NX_class"] = "NXdata"
        group.attrs["signal"], group.attrs["axes"] = "counts", list(axes)
        group.update({**axes, "counts": values})
    return RecordedMap.load(path)


@pytest.mark.parametrize("ending", ["npz", "npy", "h5"])
@pytest.mark.parametrize("n_y", [7, 5])
@pytest.mark.parametrize("turned", [False, True])
def test_axes_make_a_grid_whose_order_is_told(
    tmp_path: Path, ending: str, n_y: int, turned: bool
) -> None:
    values = _values(n_y).T if turned else _values(n_y)
    sample = RecordedMap.load(_save(tmp_path / f"m.{ending}", x=X, y=_y(n_y), map=values))
    by_shape = turned and n_y != 7  # a square says nothing: its rows are y
    expected = values if not by_shape else values.T
    np.testing.assert_array_equal(sample.rates(*sample.grid).ravel(), expected.ravel())
    assert f"numbers, 7 x {n_y} grid, {7 * n_y} points" in str(sample)
    name = "m" if ending == "npy" else "map"
    assert str(sample).endswith(f"read as {name}[{'x, y' if by_shape else 'y, x'}]")


def test_falling_axes_are_axes(tmp_path: Path) -> None:
    sample = RecordedMap.load(_save(tmp_path / "m.npz", x=X[::-1], y=_y(7), map=_values(7)))
    assert "numbers, 7 x 7 grid" in str(sample)


@pytest.mark.parametrize("ending", ["npz", "h5"])
@pytest.mark.parametrize("repeats", [False, True])
def test_points_with_as_many_channels_are_told(tmp_path: Path, ending: str, repeats: bool) -> None:
    x = np.array([0.0, 5, 2, 7, 1, 9, 0 if repeats else 3])
    sample = RecordedMap.load(_save(tmp_path / f"m.{ending}", x=x, y=_y(7), map=_values(7)))
    assert "spectra of 7 channels, 7 scattered points" in str(sample)
    assert "x neither only rises nor only falls" in sample.notes[0]


@pytest.mark.parametrize("ending", ["npz", "h5"])
def test_what_is_named_patterns_or_has_an_axis_of_channels_is_spectra(
    tmp_path: Path, ending: str
) -> None:
    arrays = {"x": X, "y": _y(7)}
    for more in ({"patterns": _values(7)}, {"map": _values(7), "axis": np.arange(7)}):
        sample = RecordedMap.load(_save(tmp_path / f"m.{ending}", **arrays, **more))
        assert "spectra of 7 channels, 7 scattered points" in str(sample)
    cube = {"map": _values(7)[..., None] * [1.0, 3, 2], "axis": np.arange(3)}
    sample = RecordedMap.load(_save(tmp_path / f"n.{ending}", **arrays, **cube))
    assert "spectra of 3 channels, 7 x 7 grid" in str(sample)


@pytest.mark.parametrize("n_y", [7, 5])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("names", ["x y", "samx samz", "horizontal stage_y"])
def test_nexus_names_tell_x_and_its_axes_the_order(
    tmp_path: Path, n_y: int, turned: bool, names: str
) -> None:
    x, y = names.split()
    axes, values = {y: _y(n_y), x: X}, _values(n_y)
    if turned:
        axes, values = {x: X, y: _y(n_y)}, values.T
    sample = _nexus(tmp_path / "m.nxs", axes, values)
    np.testing.assert_array_equal(sample.rates(*sample.grid).ravel(), _values(n_y).ravel())
    assert str(sample).endswith(f"read as counts[{'x, y' if turned else 'y, x'}]")
    told = f"columns taken: x from '{x}', y from '{y}'"
    assert (told in sample.notes) == (names != "x y")


def test_names_that_tell_nothing_are_told(tmp_path: Path) -> None:
    sample = _nexus(tmp_path / "m.nxs", {"a": _y(5), "b": X}, _values(5))
    np.testing.assert_array_equal(sample.rates(*sample.grid).ravel(), _values(5).ravel())
    assert "columns taken: x from 'b', y from 'a'" in sample.notes


@pytest.mark.parametrize("spectral", [0, 2])
def test_channels_may_be_the_first_dimension_of_a_nexus_map(tmp_path: Path, spectral: int) -> None:
    cube = _values(7)[..., None] * [1.0, 3, 2]
    axes = [("y", _y(7)), ("x", X)]
    axes.insert(spectral, ("energy", np.arange(3.0)))
    sample = _nexus(tmp_path / "m.nxs", dict(axes), np.moveaxis(cube, -1, spectral))
    assert "spectra of 3 channels, 7 x 7 grid" in str(sample)
    np.testing.assert_array_equal(sample.rates(*sample.grid).ravel(), cube.ravel())


@pytest.mark.parametrize("n_y", [7, 5])
def test_points_of_an_analysis_may_have_axes(tmp_path: Path, n_y: int) -> None:
    path = _save(tmp_path / "m.npz", x=X, y=_y(n_y), map=_values(n_y))
    arrays = point_inputs(path).arrays
    x, y = np.meshgrid(X, _y(n_y))
    for key, expected in {"x": x, "y": y, "value": _values(n_y)}.items():
        np.testing.assert_array_equal(arrays[key], expected.ravel())
