"""A point that may part thousands is no decimal point unless the table tells."""

from __future__ import annotations

from pathlib import Path

import pytest
from openpyxl import Workbook

from bl_steer.cli import main
from bl_steer.files.maps.points import point_inputs
from bl_steer.files.maps.tables import read_columns
from bl_steer.server.errors import Refused
from bl_steer.server.jobs.inputs import read_inputs

GERMAN = "x;y;value\n0;0;800\n1;0;900\n0;1;1.010\n1;1;1.339\n2;1;1.100\n2;0;950\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "german.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize("mark", [";", "\t", " "])
def test_a_point_for_thousands_beside_whole_numbers_is_refused_at_every_door(
    tmp_path: Path, mark: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, GERMAN.replace(";", mark))
    told = r"got '1.010' beside '800' in column 'value' of german.csv, .* be 1010; write numbers"
    for read in (read_columns, point_inputs):
        with pytest.raises(ValueError, match=told):
            read(path)
    with pytest.raises((ValueError, Refused), match=told):
        read_inputs("advise", [path], tmp_path)
    assert main(["replay", str(path)]) == 2
    assert "may as well be 1010" in capsys.readouterr().err


def test_texts_of_a_workbook_with_a_point_for_thousands_are_refused(tmp_path: Path) -> None:
    book = Workbook()
    for row in (["x", "y", "value"], [0, 0, 800], [1, 0, "1.010"], [2, 0, "1.339"]):
        book.active.append(row)
    book.save(tmp_path / "german.xlsx")
    with pytest.raises(ValueError, match=r"got '1.010' beside '800' in column 'value'"):
        read_columns(tmp_path / "german.xlsx")


@pytest.mark.parametrize(
    ("text", "value", "is_noted"),
    [
        ("x;y;value\n0;0;1.000\n1;0;1.339\n", 1.339, True),
        ("x;y;value\n0;0;1.000\n1;0;99\n2;0;1.339\n", 1.339, True),
        ("x;y;value\n0;0.5;800\n1;0;1.339\n", 1.339, False),
        ("x;y;value\n0;0;800.0\n1;0;1.339\n", 1.339, False),
        ("x,y,value\n0,0,800\n1,0,1.339\n", 1.339, False),
    ],
)
def test_a_point_is_a_decimal_one_where_nothing_tells_otherwise(
    tmp_path: Path, text: str, value: float, is_noted: bool
) -> None:
    read = read_columns(written(tmp_path, text))
    assert read.by_name["value"][-1] == value
    note = [n for n in read.notes if "decimal points: 1." in n and ", not 1" in n]
    assert bool(note) == is_noted
