"""Headers of NRRD as other programs write them: units beyond ASCII, of world axes, unknown ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bl_steer.analysis.structure.from_files import inputs_from_file
from bl_steer.files.stacks import open_stack
from bl_steer.processing.registry import find_analysis, make_params

PLANES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4) % 2
SPACE = "space dimension: 3\nspace directions: {}\nspace units: {}"


def written(path: Path, fields: str, encoding: str = "utf-8", sizes: str = "4 3 2") -> Path:
    head = f"NRRD0004\ntype: uint8\ndimension: {len(sizes.split())}\nsizes: {sizes}\nencoding: raw"
    path.write_bytes(f"{head}\n{fields}\n\n".encode(encoding) + PLANES.tobytes())
    return path


@pytest.mark.parametrize("unit", ["\u00b5m", "\u03bcm"])
@pytest.mark.parametrize(
    "fields",
    ['spacings: .01 .01 .1\nunits: "{0}" "{0}" "{0}"',
     SPACE.format("(.01,0,0) (0,.01,0) (0,0,.1)", '"{0}" "{0}" "{0}"')],
)  # fmt: skip
def test_units_beyond_ascii_are_read(tmp_path: Path, unit: str, fields: str) -> None:
    stored = open_stack(written(tmp_path / "a.nrrd", fields.format(unit)))
    assert stored.known["voxel_size_nm"] == [100.0, 10.0, 10.0]
    np.testing.assert_array_equal(stored.array, PLANES)


@pytest.mark.parametrize(("unit", "edges"), [("\u00b5m", [5e4, 1e4, 1e4]), ("\u00c5", [5, 1, 1])])
def test_units_in_latin_1_are_read(tmp_path: Path, unit: str, edges: list[float]) -> None:
    fields = f'spacings: 10 10 50\nunits: "{unit}" "{unit}" "{unit}"'
    stored = open_stack(written(tmp_path / "a.nrrd", fields, "latin-1"))
    assert stored.known["voxel_size_nm"] == edges


def test_units_of_space_belong_to_its_axes_and_not_to_those_of_the_data(tmp_path: Path) -> None:
    fields = SPACE.format("(0,10,0) (0.01,0,0) (0,0,100)", '"um" "nm" "nm"')
    stored = open_stack(written(tmp_path / "a.nrrd", fields))
    assert stored.known["voxel_size_nm"] == [100.0, 10.0, 10.0]


def test_an_axis_of_one_channel_is_no_turned_one(tmp_path: Path) -> None:
    fields = SPACE.format("none (10,0,0) (0,10,0) (0,0,50)", '"nm" "nm" "nm"')
    stored = open_stack(written(tmp_path / "a.nrrd", fields, sizes="1 4 3 2"))
    assert stored.known["voxel_size_nm"] == [50.0, 10.0, 10.0]
    np.testing.assert_array_equal(stored.array, PLANES)


@pytest.mark.parametrize(
    ("fields", "message"),
    [("spacings: 10 20 50", "a.nrrd states edges of 50, 20, 10 along z, y, x, without a unit;"),
     ('spacings: 10 20 50\nunits: "nm" "vx" "vx"', "in a unit that is not known, vx; give")],
)  # fmt: skip
def test_what_a_file_says_without_a_known_unit_is_named(
    tmp_path: Path, fields: str, message: str
) -> None:
    structure = find_analysis("structure")
    inputs = inputs_from_file(written(tmp_path / "a.nrrd", fields))
    with pytest.raises(ValueError, match=message):
        structure.run(inputs, make_params(structure, {}))


def test_a_voxel_of_centimetres_is_doubted(tmp_path: Path) -> None:
    for unit, doubted in (("cm", True), ("mm", False)):
        fields = f'spacings: 1 1 1\nunits: "{unit}" "{unit}" "{unit}"'
        notes = open_stack(written(tmp_path / "a.nrrd", fields)).notes
        assert any("a voxel of 10 × 10 × 10 mm" in note for note in notes) == doubted
