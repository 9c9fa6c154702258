from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bl_steer.analysis.advice.analysis import AdviceParams, SteeringAdvice
from bl_steer.analysis.components.analysis import ComponentParams, MapComponents
from bl_steer.files.maps.points import map_inputs, point_inputs
from bl_steer.files.maps.tables import MAX_COLUMNS, read_table

TEXT = "x (µm),y (µm),counts\n1,2,3\n4,5,nan\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp932"])
def test_a_table_is_read_in_every_encoding_of_a_laboratory(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "測定.csv"
    text = TEXT if encoding != "cp932" else TEXT.replace("µm", "強度")
    path.write_bytes(text.encode(encoding))
    inputs = point_inputs(path)
    assert inputs.arrays["x"].tolist() == [1.0, 4.0]
    assert inputs.arrays["value"][0] == 3.0
    assert inputs.metadata["unit"] == ("強度" if encoding == "cp932" else "µm")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_columns_may_be_parted_by_comma_semicolon_or_tab(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text("# by hand\r\n1,2,3\r\n\r\n4,5,6\r\n".replace(",", delimiter))
    assert point_inputs(path).arrays["y"].tolist() == [2.0, 5.0]


def test_columns_are_found_by_name_wherever_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("time,intensity,Y,X\n0,7,2,1\n0,8,4,3\n")
    arrays = point_inputs(path).arrays
    assert [arrays[key].tolist() for key in ("x", "y", "value")] == [[1, 3], [2, 4], [7, 8]]


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        ("番号,横位置,縦位置,強度", ["横位置", "縦位置", "強度"]),
        ("強度,縦（mm）,No.,横（mm）", ["横（mm）", "縦（mm）", "強度"]),
        ("index,a,b,c", ["a", "b", "c"]),
        ("counts,a,t_no,b", None),
        ("a,b,c,d", None),
        ("0,1,2,3", None),
    ],
)
def test_columns_are_taken_only_where_it_is_clear_which(
    tmp_path: Path, header: str, taken: list[str] | None
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(header + "\n1,2,3,4\n5,6,7,8\n", encoding="utf-8")
    if taken is None:
        with pytest.raises(ValueError, match="name the columns x, y and value"):
            point_inputs(path)
        return
    inputs = point_inputs(path)
    assert list(inputs.source["columns"].values()) == taken
    first = {name: n + 1 for n, name in enumerate(header.split(","))}
    assert [inputs.arrays[key][0] for key in ("x", "y", "value")] == [first[t] for t in taken]


def test_advice_says_which_columns_it_took(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("番号,横位置,縦位置,強度\n1,0,0,5\n2,1,0,6\n3,0,1,7\n", encoding="utf-8")
    result = SteeringAdvice().run(point_inputs(path), AdviceParams(method="sobol"))
    taken = {"x": "横位置", "y": "縦位置", "value": "強度"}
    assert result.provenance["source"]["columns"] == taken
    assert "x from '横位置', y from '縦位置', value from '強度'" in result.warnings[0]


def test_points_on_a_grid_are_flattened(tmp_path: Path) -> None:
    y, x = np.mgrid[:3, :4]
    np.savez(tmp_path / "m.npz", x=x, y=y, map=x + 10 * y, unit_xy="nm")
    inputs = point_inputs(tmp_path / "m.npz")
    arrays = inputs.arrays
    assert inputs.metadata["unit"] == "nm"
    assert arrays["value"].tolist() == (arrays["x"] + 10 * arrays["y"]).tolist()
    assert arrays["value"].shape == (12,)


def test_points_of_several_shapes_are_refused_with_these(tmp_path: Path) -> None:
    np.savez(tmp_path / "m.npz", x=np.zeros((3, 4)), y=np.zeros((3, 4)), map=np.zeros((4, 3)))
    with pytest.raises(ValueError, match=r"x \(3, 4\), y \(3, 4\), map \(4, 3\)"):
        point_inputs(tmp_path / "m.npz")


def test_a_map_has_all_other_columns_as_channels(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x,y,c0,c1,c2\n0,0,1,2,3\n0,1,4,5,6\n")
    inputs = map_inputs(path)
    assert inputs.arrays["patterns"].tolist() == [[1, 2, 3], [4, 5, 6]]
    assert inputs.metadata["frame_shape"] == [1, 3]


def test_a_map_from_an_archive_keeps_the_shape_of_its_frames(tmp_path: Path) -> None:
    frames = np.arange(24.0).reshape(2, 3, 4)
    np.savez(tmp_path / "m.npz", patterns=frames, x=[0, 1], y=[0, 0])
    inputs = map_inputs(tmp_path / "m.npz")
    assert inputs.metadata["frame_shape"] == [3, 4]
    assert np.array_equal(inputs.arrays["patterns"], frames.reshape(2, 12))


@pytest.mark.parametrize("as_axes", [False, True])
@pytest.mark.parametrize("n_x", [4, 3])
def test_a_map_on_a_grid_is_flattened_with_its_axis_and_units(
    tmp_path: Path, as_axes: bool, n_x: int
) -> None:
    y, x = np.mgrid[:3, :n_x]
    patterns = (x + 10 * y)[..., None] + np.arange(5) / 10
    places = {"x": x[0], "y": y[:, 0]} if as_axes else {"x": x, "y": y}
    axis = np.arange(5) * 2.0
    path = tmp_path / "m.npz"
    np.savez(path, patterns=patterns, axis=axis, unit_xy="nm", axis_unit="keV", **places)
    inputs = map_inputs(path)
    arrays = inputs.arrays
    assert arrays["patterns"].shape == (3 * n_x, 5)
    assert arrays["patterns"][:, 0].tolist() == (arrays["x"] + 10 * arrays["y"]).tolist()
    assert inputs.metadata == {"frame_shape": [1, 5], "unit": "nm", "axis_unit": "keV"}
    result = MapComponents().run(inputs, ComponentParams(n_components=1, n_bootstrap=100))
    assert result.tables["components"]["peak_keV"] == 8.0
    assert result.provenance["q_unit"] == "keV"


@pytest.mark.parametrize(
    ("n_x", "patterns", "message"),
    [
        (4, (3, 5, 6), r"got x \(4,\), y \(3,\) and patterns \(3, 5, 6\)"),
        (3, (3, 3, 6), "may be either"),
        (3, (3,), "must have a pattern"),
    ],
)
def test_a_map_of_unclear_shape_is_refused_with_its_shapes(
    tmp_path: Path, n_x: int, patterns: tuple[int, ...], message: str
) -> None:
    path = tmp_path / "m.npz"
    np.savez(path, patterns=np.zeros(patterns), x=np.arange(n_x), y=np.arange(3))
    with pytest.raises(ValueError, match=message):
        map_inputs(path)


def test_an_index_is_no_channel(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("番号,横位置,縦位置,c0\n1,0,0,5\n2,1,0,6\n", encoding="utf-8")
    assert map_inputs(path).arrays["patterns"].tolist() == [[5], [6]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must have rows"),
        (b"x,y,value\n", "a header alone"),
        (b"x,x,value\n1,2,3\n", "'x' twice"),
        (b"x,y,value\n1,2\n", "2 values instead of 3"),
        (b"x,y,value\n1,2,3\n1,two,3\n", "must hold numbers"),
        (b"x,y\n1,2\n", "columns x, y and value"),
        (b"\x89PNG\0\0", "must be text"),
        (b"1,2,3\n\x81\x20,1,2\n", "UTF-8 or CP932"),
        (b"1" + b",1" * MAX_COLUMNS, f"at most {MAX_COLUMNS} columns"),
    ],
)
def test_what_is_no_table_is_refused_in_one_line(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as refusal:
        point_inputs(path)
    assert "\n" not in str(refusal.value)


def test_an_archive_of_objects_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "m.npz", patterns=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="plain arrays"):
        map_inputs(tmp_path / "m.npz")


def test_columns_without_names_are_numbered(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("1,2\n")
    assert list(read_table(path)) == ["1", "2"]


@pytest.mark.parametrize("delimiter", [";", "\t"])
@pytest.mark.parametrize("header", ["x;y;value\n", "x (um);y (um);value\n", ""])
def test_decimals_may_have_commas_where_commas_part_no_columns(
    tmp_path: Path, delimiter: str, header: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_text((header + "0,5;1,25;-3,5e2\n1;2;3\n").replace(";", delimiter))
    arrays = point_inputs(path).arrays
    assert [arrays[key].tolist() for key in ("x", "y", "value")] == [[0.5, 1], [1.25, 2], [-350, 3]]


def test_marks_for_thousands_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x;y;value\n1;2;1.234,5\n")
    with pytest.raises(ValueError, match="decimal comma or a decimal point, got both"):
        point_inputs(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("# by hand\n\nx,y,value\n1,2,3\n1,abc,3\n", "got 'abc' in line 5, column 2 of a.csv"),
        ("1,2,3\n\n1,2\n", "got 2 values instead of 3 in line 3 of a.csv"),
        ("sep=;\nx;y;value\n1;2;x\n", "got 'x' in line 3, column 3 of a.csv"),
        ("x;y;value\n# 2\n1;2;1.234,5\n", "got both in line 3 of a.csv"),
    ],
)
def test_a_faulty_row_is_named_as_an_editor_counts_the_lines(
    tmp_path: Path, content: str, message: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        point_inputs(path)


@pytest.mark.parametrize("first", ["sep=;", "SEP=;", '"sep=;"', "\ufeffsep=;"])
def test_the_first_line_that_excel_takes_for_the_separator_is_heeded(
    tmp_path: Path, first: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{first}\nx;y;value\n0,5;2;3\n", encoding="utf-8")
    assert {name: column.tolist() for name, column in read_table(path).items()} == {
        "x": [0.5],
        "y": [2],
        "value": [3],
    }


def test_columns_that_are_not_used_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y,z,value,error\n1,2,0,5,1\n2,3,0,6,1\n3,4,9,7,1\n")
    notes = point_inputs(tmp_path / "a.csv").notes
    assert any("columns that are not used: 'z'" in note.lower() for note in notes)


@pytest.mark.parametrize(
    ("header", "axis", "told"),
    [
        ("6.39,6.40,6.41,total", [6.39, 6.40, 6.41], "no channels left out: 'total'"),
        ("6.41,6.39,6.40,6.42", None, "are no axis: they neither rise nor fall"),
        ("6.39 keV,6400 eV,6410 eV,6420 eV", None, "or their units differ"),
        ("0,1,2,3", None, ""),
    ],
)
def test_a_sum_beside_channels_is_none_and_names_that_are_no_axis_are_told(
    header: str, axis: list[float] | None, told: str, tmp_path: Path
) -> None:
    rows = ["1,2,5,1,2,8", "2,3,6,2,3,11", "3,4,7,1,2,10"]
    (tmp_path / "a.csv").write_text("\n".join([f"x,y,{header}", *rows]) + "\n")
    inputs = map_inputs(tmp_path / "a.csv")
    found = inputs.arrays.get("qx")
    assert (None if found is None else found.tolist()) == axis
    assert inputs.arrays["patterns"].shape == (3, 4 if axis is None else len(axis))
    assert any(told in note for note in inputs.notes) if told else not inputs.notes
