from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bl_steer.analysis.point_files import MAX_COLUMNS, map_inputs, point_inputs, read_table

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


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must have rows"),
        (b"x,y,value\n", "a header alone"),
        (b"x,x,value\n1,2,3\n", "'x' twice"),
        (b"x,y,value\n1,2\n", "as long as the first"),
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
