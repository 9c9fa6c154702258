"""A map in its owner's form is read as what it is, in one line, or refused with what would help."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from bl_steer.cli import main
from simulators.film.recorded_map import RecordedMap

X, Y = np.meshgrid(5.0 * np.arange(7), 0.01 * np.arange(6))
VALUES = np.exp(-((X - 20) ** 2) / 90 - (Y - 0.02) ** 2 / 2e-4)
SPECTRA = VALUES[..., None] * [1.0, 3.0, 2.0]
COLUMNS = np.column_stack([X.ravel(), Y.ravel(), VALUES.ravel()])


def _table(path: Path, header: str, columns: np.ndarray, delimiter: str = ",") -> None:
    np.savetxt(path, columns, delimiter=delimiter, header=header, comments="", fmt="%.17g")


def _csv(folder: Path) -> Path:
    _table(folder / "m.csv", "No,x (um),y (mm),counts", np.column_stack([range(42), COLUMNS]))
    return folder / "m.csv"


def _tsv(folder: Path) -> Path:
    shuffled = np.random.default_rng(0).permutation(COLUMNS)
    _table(folder / "m.tsv", "x\ty\tvalue", shuffled, "\t")
    return folder / "m.tsv"


def _matrix(folder: Path) -> Path:
    rows = np.column_stack([Y[:, 0], VALUES])
    _table(folder / "m.csv", "," + ",".join(map(str, X[0])), rows)
    return folder / "m.csv"


def _spectra(folder: Path) -> Path:
    _table(
        folder / "m.txt",
        "x,y,5.1,5.2,5.3",
        np.column_stack([COLUMNS[:, :2], SPECTRA.reshape(42, 3)]),
    )
    return folder / "m.txt"


def _hdf5(folder: Path) -> Path:
    with h5py.File(folder / "m.h5", "w") as file:
        group = file.create_group("scan/map")
        group["x"], group["y"], group["map"] = X, Y, VALUES
        group["x"].attrs["units"], group["y"].attrs["units"] = "um", "mm"
    return folder / "m.h5"


def _nexus(folder: Path) -> Path:
    with h5py.File(folder / "m.nxs", "w") as file:
        group = file.create_group("entry/data")
        group.attrs["NX_class"] = "NXdata"
        group.attrs["signal"], group.attrs["axes"] = "I", ["sy", "sx", "en"]
        group["sx"], group["sy"], group["I"] = X[0], Y[:, 0], SPECTRA
        group["en"] = [5.1, 5.2, 5.3]
    return folder / "m.nxs"


def _npy(folder: Path) -> Path:
    for name, array in {"m": VALUES, "m_x": X[0], "m_y": Y[:, 0]}.items():
        np.save(folder / f"{name}.npy", array)
    return folder / "m.npy"


def _fields(folder: Path) -> Path:
    points = np.rec.fromarrays(COLUMNS.T, names="x,y,value")
    np.save(folder / "m.npy", points)
    return folder / "m.npy"


def _npz(folder: Path) -> Path:
    np.savez(folder / "m.npz", x=X, y=Y, map=VALUES, unit_xy="um")
    return folder / "m.npz"


FORMS = [_csv, _tsv, _matrix, _spectra, _hdf5, _nexus, _npy, _fields, _npz]


@pytest.mark.parametrize("write", FORMS)
def test_a_map_of_any_form_is_the_same_map(write: Callable[[Path], Path], tmp_path: Path) -> None:
    sample = RecordedMap.load(write(tmp_path))
    assert sample.grid_shape == (6, 7)
    np.testing.assert_allclose(sample.grid, [X.ravel(), Y.ravel()])
    rates = sample.rates(*sample.grid)
    expected = SPECTRA if rates.shape[-1] == 3 else VALUES
    np.testing.assert_allclose(rates.reshape(expected.shape), expected)


def test_what_was_understood_is_told_in_a_line(tmp_path: Path) -> None:
    assert str(RecordedMap.load(_csv(tmp_path))) == (
        "m: numbers, 7 x 6 grid, 42 points, x 0 to 30 um in steps of 5, y 0 to 0.05 mm in steps of "
        "0.01"
    )
    assert "spectra of 3 channels, 7 x 6 grid" in str(RecordedMap.load(_nexus(tmp_path)))


def test_cells_without_a_value_are_left_out_and_told(tmp_path: Path) -> None:
    values = VALUES.copy()
    values[0, 1] = values[3, 2] = np.nan
    np.savez(tmp_path / "holes.npz", x=X, y=Y, map=values)
    sample = RecordedMap.load(tmp_path / "holes.npz")
    assert len(sample.grid[0]) == 40
    assert "7 x 6 grid, 40 points, 2 empty cells left out" in str(sample)


@pytest.mark.parametrize("option", [[], ["--missing=-999"]])
def test_a_value_that_may_mark_what_was_not_measured_is_told_with_the_option_that_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: list[str]
) -> None:
    values = VALUES.copy()
    values[0, 1] = values[3, 2] = -999.0
    np.savez(tmp_path / "m.npz", x=X, y=Y, map=values)
    options = ["--agent", "random", "--seeds", "0", "--budget", "5", *option]
    assert main(["replay", str(tmp_path / "m.npz"), *options]) == 0
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert ("2 empty cells left out" in first) == bool(option)
    assert ("-999 stands 2 times among 42 values" in second) != bool(option)
    assert option or "--missing=-999" in second


def test_a_mark_that_no_value_is_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="got -999, which none of the 42 values of 'm' is"):
        RecordedMap.load(_npz(tmp_path), missing=[-999.0])


def test_replay_searches_a_table_and_says_what_it_took_it_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--agent", "bayesian", "--seeds", "0", "--budget", "20"]
    assert main(["replay", str(_csv(tmp_path)), *options]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("m: numbers, 7 x 6 grid, 42 points, x 0 to 30 um")
    assert told[0].endswith(", target map")
    assert "found by 1 of 1" in told[-1]


def _alone(folder: Path) -> Path:
    np.save(folder / "m.npy", VALUES)
    return folder / "m.npy"


def _unnamed(folder: Path) -> Path:
    _table(folder / "m.csv", "x,y,Si,Ge", np.column_stack([COLUMNS, COLUMNS[:, 2]]))
    return folder / "m.csv"


def _two_maps(folder: Path) -> Path:
    with h5py.File(folder / "m.h5", "w") as file:
        for name in ("a", "b"):
            group = file.create_group(name)
            group["x"], group["y"], group["map"] = X, Y, VALUES
    return folder / "m.h5"


def _no_hdf5(folder: Path) -> Path:
    (folder / "m.h5").write_text("x,y,map\n")
    return folder / "m.h5"


def _flat(folder: Path) -> Path:
    _table(folder / "m.csv", "x,y,value", COLUMNS * [1.0, 1.0, 0.0])
    return folder / "m.csv"


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (_alone, r"m.npy of shape (6, 7) without m_x.npy and m_y.npy; save these, or"),
        (_unnamed, "which column holds its values, got 'Si', 'Ge' beside x and y"),
        (_two_maps, "got '/a', '/b'"),
        (_no_hdf5, "must be whole HDF5"),
        (_flat, "must differ from place to place, got the same at all 42 points"),
    ],
)
def test_what_does_not_tell_is_refused_with_what_would(
    write: Callable[[Path], Path], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", str(write(tmp_path))]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1
