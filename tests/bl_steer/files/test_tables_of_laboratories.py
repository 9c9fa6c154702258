"""Tables as spreadsheets, Bluesky and instruments write them: read as they are meant, or told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bl_steer.files.maps.any_map import read_any_map
from bl_steer.files.maps.column_names import plain_name
from bl_steer.files.maps.points import map_inputs, point_inputs
from bl_steer.files.maps.tables import read_columns, read_table

GERMAN = str.maketrans({",": ";", ".": ","})
ROWS = "0,0,5\n1,0,7.5\n0,2,8\n1,2,6.5\n"
X, Y, VALUE = [0, 1, 0, 1], [0, 0, 2, 2], [5, 7.5, 8, 6.5]


def _csv(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "map.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("cell", ["", " ", "NaN", "N/A", "null", "--", "#DIV/0!"])
def test_a_cell_without_a_value_is_a_place_that_was_not_measured(tmp_path: Path, cell: str) -> None:
    path = _csv(tmp_path, f"x,y,value\n{ROWS}2,0,{cell}\n")
    assert np.isnan(point_inputs(path).arrays["value"][-1])
    assert np.isnan(read_any_map(path).values[-1])
    assert point_inputs(path).arrays["value"][:-1].tolist() == VALUE


FORMS = {
    "trailing commas": "x,y,value,\n" + ROWS.replace("\n", ",\n"),
    "a trailing comma below alone": "x,y,value\n" + ROWS.replace("\n", ",\n"),
    "a line of units": "x,y,value\num,um,counts\n" + ROWS,
    "units in the names": "x_um,y (um),counts [1/s]\n" + ROWS,
    "names in a remark": "# x (um),y (um),counts\n" + ROWS,
    "blank rows of a spreadsheet": "x,y,value\n" + ROWS + ",,\n,,\n",
    "decimal commas": "sep=;\nx;y;value\n" + ROWS.translate(GERMAN),
    "decimal commas in quotes": "x,y,value\n" + ROWS.replace("7.5", '"7,5"').replace("6.5", "6"),
    "setpoints": "seq_num,stage_x,stage_x_user_setpoint,stage_y,det_total,monitor_counts\n"
    + "".join(f"1,{x},9,{y},{v},3\n" for x, y, v in zip(X, Y, VALUE, strict=True)),
    "time stamps": ",time,samx,samy,det_total\n"
    + "".join(f"{i},2026-01-05 10:00:00.5,{X[i]},{Y[i]},{VALUE[i]}\n" for i in range(len(VALUE))),
    "german time stamps": "time;x;y;value\n"
    + "".join(f"05.01.2026 10:00;{row}\n" for row in ROWS.translate(GERMAN).split()),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_table_of_any_form_gives_its_points(tmp_path: Path, form: str) -> None:
    path = _csv(tmp_path, FORMS[form])
    if "samx" in FORMS[form]:
        path = _csv(tmp_path, FORMS[form].replace("samx", "sam_x").replace("samy", "sam_y"))
    arrays = point_inputs(path).arrays
    value = [5, 7.5, 8, 6] if "quotes" in form else VALUE
    for key, expected in (("x", X), ("y", Y), ("value", value)):
        assert arrays[key].tolist() == expected
    recorded = read_any_map(path)
    assert (recorded.x.tolist(), recorded.y.tolist()) == (X, Y)
    assert recorded.values.tolist() == value


@pytest.mark.parametrize(
    "text",
    [
        "Film 3\nx,y,value\n1,2,3\n2,2,4\n",
        "Film 3,,\n measured in May ,,\nx,y,value\num,um,counts\n1,2,3\n2,2,4\n",
        "Film 3; 7 mm/s\n\nx;y;value\n1,0;2;3\n2,0;2;4\n",
        "Film 3 again\nx y value\n1 2 3\n2 2 4\n",
    ],
)
def test_titles_above_the_names_are_left_out_and_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "map.csv").write_text(text)
    read = read_columns(tmp_path / "map.csv")
    assert [plain_name(name) for name in read.by_name] == ["x", "y", "value"]
    assert [column.tolist() for column in read.by_name.values()] == [[1, 2], [2, 2], [3, 4]]
    assert read.notes[0].startswith("lines above the names of the columns left out: 'Film 3")


@pytest.mark.parametrize("above", ["position,,intensity", "stage x,x,detector"])
def test_titles_of_groups_above_names_and_units_are_told(tmp_path: Path, above: str) -> None:
    read = read_columns(_csv(tmp_path, f"{above}\nx,y,i\nmm,um,cts\n0,1,2\n3,4,5\n"))
    assert {name: column.tolist() for name, column in read.by_name.items()} == {
        "x (mm)": [0, 3],
        "y (um)": [1, 4],
        "i (cts)": [2, 5],
    }
    titles = " ".join(cell for cell in above.split(",") if cell)
    assert read.notes == [f"lines above the names of the columns left out: {titles!r}"]


def test_words_of_data_that_are_names_of_columns_make_no_names(tmp_path: Path) -> None:
    read = read_columns(_csv(tmp_path, "x,kind,what\n1,map,counts\n2,y,x\n"))
    assert {name: column.tolist() for name, column in read.by_name.items()} == {"x": [1, 2]}


def test_names_above_units_or_words_are_no_titles(tmp_path: Path) -> None:
    for text, names in (
        ("A,B\nkeV,1/s\n1,2\n", ["A (keV)", "B (1/s)"]),
        ("x,A\na,b\n1,2\n", ["x (a)", "A (b)"]),
    ):
        (tmp_path / "map.csv").write_text(text)
        assert list(read_columns(tmp_path / "map.csv").by_name) == names
    (tmp_path / "map.csv").write_text("A\n1,2\n")
    with pytest.raises(ValueError, match="2 values instead of 1"):
        read_columns(tmp_path / "map.csv")


def test_units_are_those_of_the_line_below_the_names(tmp_path: Path) -> None:
    path = _csv(tmp_path, "stage_x,stage_y,det_total\nmm,um,\n" + ROWS)
    recorded = read_any_map(path)
    assert (recorded.unit, recorded.unit_y) == ("mm", "um")
    assert "columns taken: x from 'stage_x (mm)'" in recorded.notes[-1]
    assert point_inputs(path).notes == ["X is in mm, y in um."]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "cp1252", "cp932", "utf-8-sig"])
def test_what_excel_writes_is_read_with_its_unit(tmp_path: Path, encoding: str) -> None:
    unit = "縦" if encoding == "cp932" else "µm"
    text = f"x ({unit})\ty ({unit})\tvalue\n" + ROWS.replace(",", "\t")
    mark = "\ufeff" if encoding == "utf-16-le" else ""
    inputs = point_inputs(_csv(tmp_path, mark + text, encoding))
    assert inputs.metadata["unit"] == unit
    assert inputs.arrays["value"].tolist() == VALUE


@pytest.mark.parametrize("rows", ["1\t2\t1,234\n", '"1,500","2,000","3,000"\n'])
def test_commas_that_may_part_thousands_are_refused(tmp_path: Path, rows: str) -> None:
    mark = "\t" if "\t" in rows else ","
    with pytest.raises(ValueError, match="may as well be thousands"):
        read_table(_csv(tmp_path, mark.join(["x", "y", "value"]) + "\n" + rows))


def test_a_point_that_parts_thousands_beside_decimal_commas_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="got both in line 3"):
        read_table(_csv(tmp_path, "x;y;value\n1;2;3,5\n1;3;1.234\n"))


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ("x (um),x (mm),value", "one column for x, got 'x .um.', 'x .mm.'"),
        ("stage_x,stage_y,det_total,roi_total", "which column holds its values"),
    ],
)
def test_columns_that_could_be_either_are_refused(tmp_path: Path, names: str, told: str) -> None:
    rows = "1,2,3,4\n5,6,7,8\n" if names.count(",") == 3 else "1,2,3\n5,6,7\n"
    with pytest.raises(ValueError, match=told):
        read_any_map(_csv(tmp_path, f"{names}\n{rows}"))


def test_an_error_of_the_position_is_not_the_position(tmp_path: Path) -> None:
    recorded = read_any_map(_csv(tmp_path, "x_error,x,y,value\n9,1,2,3\n9,4,5,6\n"))
    assert recorded.x.tolist() == [1, 4]


@pytest.mark.parametrize("corner", ["", "y / x", "y (um)", "x"])
def test_a_matrix_with_gaps_is_a_map_with_gaps(tmp_path: Path, corner: str) -> None:
    recorded = read_any_map(_csv(tmp_path, f"{corner},0,1,2\n0,5,,7\n3,8,9,\n"))
    first = recorded.x if corner == "x" else recorded.y
    assert first.tolist() == [[0, 0, 0], [3, 3, 3]]
    np.testing.assert_array_equal(recorded.values, [[5, np.nan, 7], [8, 9, np.nan]])


def test_columns_of_words_are_left_out_and_told(tmp_path: Path) -> None:
    path = _csv(tmp_path, "x,y,label,1.5,2.5,time\n0,0,a,1,2,100\n1,0,b,3,,101\n")
    assert read_columns(path).notes == ["columns without numbers left out: 'label'"]
    inputs = map_inputs(path)
    np.testing.assert_array_equal(inputs.arrays["patterns"], [[1, 2], [3, np.nan]])
    assert inputs.notes == [
        "Columns without numbers left out: 'label'.",
        "Columns that are no channels left out: 'time'.",
        "1 of 4 cells have no value.",
    ]


@pytest.mark.parametrize(
    ("header", "axis", "unit"),
    [
        ("6.38,6.39,6.41", [6.38, 6.39, 6.41], "no unit"),
        ("6.41 keV,6.39 keV,6.38 keV", [6.41, 6.39, 6.38], "keV"),
        ("5 (eV),6 (eV),7 (eV)", [5, 6, 7], "eV"),
        ("0,1,2", None, None),
        ("1,2,3", None, None),
        ("6.38,6.30,6.41", None, None),
        ("a,b,c", None, None),
        ("6.38 keV,6390 eV,6.41 keV", None, None),
    ],
)
def test_names_of_channels_that_are_numbers_are_the_axis_of_the_patterns(
    tmp_path: Path, header: str, axis: list[float] | None, unit: str | None
) -> None:
    inputs = map_inputs(_csv(tmp_path, f"x,y,{header}\n0,0,1,2,3\n1,0,3,4,5\n"))
    assert inputs.metadata.get("axis_unit") == unit
    found = inputs.arrays.get("qx")
    assert (found if found is None else found.tolist()) == axis


@pytest.mark.parametrize("mark", [-999, -1, 65535, 1e20])
def test_a_value_that_may_mark_what_was_not_measured_is_told(tmp_path: Path, mark: float) -> None:
    path = _csv(tmp_path, "x,y,value\n" + ROWS + f"2,0,{mark}\n2,2,{mark}\n")
    (note,) = point_inputs(path).notes
    assert note.startswith(f"{mark:.10g} stands 2 times among 6 values")
    assert note.endswith("leave these cells empty or write nan.")
