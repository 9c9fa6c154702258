"""HDF5 reads zeros where nothing was written, and numbers as stored: neither is the map."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from bl_steer.files.maps.any_map import read_any_map
from simulators.film.recorded_map import RecordedMap

X, Y = np.arange(4.0), np.arange(3.0)
VALUES = 10.0 + np.add.outer(10.0 * Y, X)
HOLES = VALUES.copy()
HOLES[2] = np.nan


def _map(path: Path, write: Callable[[h5py.Group], None]) -> Path:
    with h5py.File(path, "w") as file:
        file["x"], file["y"] = X, Y
        write(file)
    return path


def _chunks(group: h5py.Group) -> None:
    group.create_dataset("map", VALUES.shape, "f8", chunks=(1, 2))[:2] = VALUES[:2]


def _compressed_counts(group: h5py.Group) -> None:
    data = group.create_dataset("map", VALUES.shape, "u2", chunks=(1, 4), compression="gzip")
    data[:2] = VALUES[:2]


def _fill_value(group: h5py.Group) -> None:
    group.create_dataset("map", VALUES.shape, "f8", fillvalue=-5.0)[:2] = VALUES[:2]


def _attribute(key: str) -> Callable[[h5py.Group], None]:
    def write(group: h5py.Group) -> None:
        group["map"] = np.nan_to_num(HOLES, nan=1e20).astype("f4")
        group["map"].attrs[key] = np.float32(1e20)

    return write


def _valid_range(group: h5py.Group) -> None:
    group["map"] = np.nan_to_num(HOLES, nan=-3.0)
    group["map"].attrs["valid_min"] = 0.0


def _virtual(group: h5py.Group) -> None:
    folder = Path(group.file.filename).parent
    layout = h5py.VirtualLayout(VALUES.shape, "f8")
    for row in range(3):
        name = f"row_{row}.h5"
        layout[row] = h5py.VirtualSource(name, "data", (4,))
        if row < 2:
            with h5py.File(folder / name, "w") as source:
                source["data"] = VALUES[row]
    group.create_virtual_dataset("map", layout)


@pytest.mark.parametrize(
    "write",
    [
        _chunks,
        _compressed_counts,
        _fill_value,
        _attribute("_FillValue"),
        _attribute("missing_value"),
        _valid_range,
        _virtual,
    ],
)
def test_what_was_never_written_was_not_measured(
    tmp_path: Path, write: Callable[[h5py.Group], None]
) -> None:
    recorded = read_any_map(_map(tmp_path / "m.h5", write))
    np.testing.assert_array_equal(recorded.values, HOLES)
    assert "count" in recorded.notes[0]
    assert "as not measured" in recorded.notes[0]


def test_a_chunk_that_holds_zeros_was_measured(tmp_path: Path) -> None:
    def write(group: h5py.Group) -> None:
        group.create_dataset("map", data=np.zeros(VALUES.shape), chunks=(1, 2))

    recorded = read_any_map(_map(tmp_path / "m.h5", write))
    assert not recorded.values.any()
    assert not recorded.notes


def test_a_scan_that_was_cut_short_is_replayed_as_far_as_it_went(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "m.h5", "w") as file:
        places = np.meshgrid(X, Y)
        for key, array in {"x": places[0], "y": places[1], "map": VALUES}.items():
            data = file.create_dataset(key, (12,), "f8", chunks=(4,))
            data[:8] = array.ravel()[:8]
    sample = RecordedMap.load(tmp_path / "m.h5")
    assert len(sample.grid[0]) == 8
    assert sample.n_empty == 4
    assert "map: 33.3 % was never written and counts as not measured" in sample.notes


def test_frames_that_a_chunk_holds_empty_are_told(tmp_path: Path) -> None:
    def write(group: h5py.Group) -> None:
        data = group.create_dataset("patterns", (3, 4, 2, 2), "u2", chunks=(2, 2, 2, 2))
        data[0] = VALUES[0][:, None, None]

    sample = RecordedMap.load(_map(tmp_path / "m.h5", write))
    assert sample.n_empty == 4
    assert "4 of 12 places hold 0 in all their cells: where they were not measured" in str(
        sample.notes
    )


def test_a_map_that_was_never_written_is_refused(tmp_path: Path) -> None:
    def write(group: h5py.Group) -> None:
        group.create_dataset("map", VALUES.shape, "f8")

    with pytest.raises(ValueError, match="got 12 places without any in 'm'; it may never have"):
        RecordedMap.load(_map(tmp_path / "m.h5", write))


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"scaling_factor": 0.5}, 0.5 * VALUES),
        ({"scaling_factor": 0.5, "offset": 3}, 0.5 * (VALUES + 3)),
        ({"scale_factor": 0.5, "add_offset": 3}, 0.5 * VALUES + 3),
        ({"scale_factor": np.array([0.5])}, 0.5 * VALUES),
    ],
)
def test_stored_numbers_are_brought_to_their_unit(
    tmp_path: Path, attributes: dict[str, float], expected: np.ndarray
) -> None:
    def write(group: h5py.Group) -> None:
        group["map"] = VALUES.astype("u2")
        group["map"].attrs.update(attributes)

    recorded = read_any_map(_map(tmp_path / "m.h5", write))
    np.testing.assert_allclose(recorded.values, expected)
    assert recorded.notes[0].startswith("map: read as ")


@pytest.mark.parametrize("prefix", ["I_", ""])
def test_scale_and_offset_beside_a_field_of_nexus_are_heeded(tmp_path: Path, prefix: str) -> None:
    with h5py.File(tmp_path / "m.nxs", "w") as file:
        group = file.create_group("entry/data")
        group.attrs["signal"], group.attrs["axes"] = "I", ["sy", "sx"]
        group["sx"], group["sy"], group["I"] = X.astype(int), Y, VALUES.astype(int)
        group[f"{prefix}scaling_factor"], group[f"{prefix}offset"] = 0.01, 100
        group["sx_scaling_factor"] = 0.2
    recorded = read_any_map(tmp_path / "m.nxs")
    np.testing.assert_allclose(recorded.values, 0.01 * (VALUES + 100))
    np.testing.assert_allclose(recorded.x[0], 0.2 * X)


def test_fill_values_are_told_from_scaled_ones(tmp_path: Path) -> None:
    def write(group: h5py.Group) -> None:
        group["map"] = np.nan_to_num(HOLES, nan=-1.0).astype("i2")
        group["map"].attrs.update({"_FillValue": np.int16(-1), "scale_factor": 0.1})

    recorded = read_any_map(_map(tmp_path / "m.nc", write))
    np.testing.assert_allclose(recorded.values, 0.1 * HOLES, rtol=1e-6)
