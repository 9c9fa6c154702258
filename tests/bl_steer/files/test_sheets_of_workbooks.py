"""Which sheet of a workbook is read, and what its formulas without results are."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest
from openpyxl import Workbook

from bl_steer.cli import main
from bl_steer.files.maps.points import point_inputs
from bl_steer.files.maps.tables import read_columns

TABLE = [["x", "y", "value"], [0, 0, 5], [1, 0, 7.5]]
COVER = [["Measured on Monday"]]


def written(folder: Path, hidden: str = "", **sheets: list[list[object]]) -> Path:
    book = Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        sheet.sheet_state = "hidden" if name == hidden else "visible"
        for row in rows:
            sheet.append(row)
    book.save(folder / "map.xlsx")
    return folder / "map.xlsx"


def test_the_only_sheet_with_a_table_is_read_behind_a_cover(tmp_path: Path) -> None:
    read = read_columns(written(tmp_path, Cover=COVER, Data=TABLE))
    assert read.by_name["value"].tolist() == [5, 7.5]
    assert read.notes == ["sheet 'Data' is read; left out: 'Cover'"]


def test_a_hidden_sheet_is_read_only_where_no_other_has_a_table(tmp_path: Path) -> None:
    old = [TABLE[0], [0, 0, 1], [1, 0, 2]]
    read = read_columns(written(tmp_path, hidden="Old", Old=old, Data=TABLE))
    assert read.by_name["value"].tolist() == [5, 7.5]
    assert read.notes == ["sheet 'Data' is read; left out: 'Old' (hidden)"]
    read = read_columns(written(tmp_path, hidden="Data", Cover=COVER, Data=TABLE))
    assert read.by_name["value"].tolist() == [5, 7.5]


@pytest.mark.parametrize(
    ("sheets", "told"),
    [
        ({"A": TABLE, "B": TABLE}, r"tables on 'A', 'B' among the others \('A', 'B'\) in map.xlsx"),
        ({"A": COVER}, "no rows of numbers among the others.*"),
    ],
)
def test_sheets_are_named_where_it_is_open_which_is_meant(
    tmp_path: Path, sheets: dict[str, list[list[object]]], told: str
) -> None:
    with pytest.raises(ValueError, match=f"got 'Cover' with less than two rows.*{told}; move"):
        read_columns(written(tmp_path, Cover=COVER, **sheets))


def test_formulas_without_results_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [TABLE[0], [0, 0, "=A2+1"], [1, 0, "=A3+1"]]
    path = written(tmp_path, Data=rows)
    told = "column 'value' must hold numbers, got empty cells alone in map.xlsx; formulas whose"
    with pytest.raises(ValueError, match=told):
        point_inputs(path)
    assert main(["replay", str(path)]) == 2
    assert "open the workbook in Excel" in capsys.readouterr().err
    rows = [["dose", "remark"], [1, "=A2"]]
    assert (
        "columns without a value: 'remark'; formulas"
        in read_columns(written(tmp_path, Data=rows)).notes[0]
    )
    rows = [["dose", "remark"], [1, None], [2, None]]
    assert read_columns(written(tmp_path, Data=rows)).notes == ["columns without a value: 'remark'"]


def test_one_formula_without_a_result_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, Data=[*TABLE, [2, 0, "=1+1"]])
    (note,) = read_columns(path).notes
    assert note.startswith("formulas whose results are not stored read as empty cells, or as 0")


@pytest.mark.parametrize(
    ("result", "by_excel", "told"),
    [("0", False, True), ("0", True, False), ("7", False, False), ("", True, True)],
)
def test_zeros_that_a_program_stores_for_results_are_named(
    tmp_path: Path, result: str, by_excel: bool, told: bool
) -> None:
    """As XlsxWriter does, which asks Excel to calculate when it opens the workbook."""
    plain, path = written(tmp_path, Data=[*TABLE, [2, 0, "=1+1"]]), tmp_path / "calculated.xlsx"
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            text = old.read(name).decode()
            if name.endswith("sheet1.xml"):
                text = re.sub(r"(</f>)<v\s*/>|(</f>)<v></v>", f"</f><v>{result}</v>", text)
                assert f"<v>{result}</v></c></row></sheetData>" in text
            new.writestr(name, text.replace('fullCalcOnLoad="1"', "") if by_excel else text)
    assert bool(read_columns(path).notes) is told


@pytest.mark.parametrize(
    ("rows", "left_out"),
    [
        ([[None, *row] for row in TABLE], "A"),
        ([[None] * 4, *([None, *row] for row in TABLE)], "A"),
        ([[None, *row, None, None, " "] for row in TABLE], "A, E, F, G"),
        ([[*row[:2], None, row[2]] for row in TABLE], "C"),
    ],
    ids=["leading", "below an empty row", "around", "between"],
)
def test_empty_columns_around_a_table_are_called_empty(
    tmp_path: Path, rows: list[list[object]], left_out: str
) -> None:
    path = written(tmp_path, Data=rows)
    read = read_columns(path)
    assert {name: column.tolist() for name, column in read.by_name.items()} == {
        "x": [0, 1],
        "y": [0, 0],
        "value": [5, 7.5],
    }
    assert read.notes == [f"empty columns without a name left out: {left_out}"]
    text = tmp_path / "map.csv"
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    text.write_text("".join(",".join(row) + "\n" for row in cells))
    by_number = ", ".join(str("ABCDEFG".index(letter) + 1) for letter in left_out.split(", "))
    assert read_columns(text).notes == [f"empty columns without a name left out: {by_number}"]
    assert read_columns(text).by_name["value"].tolist() == [5, 7.5]


@pytest.mark.parametrize("head", [b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"\x09\x08\x10\0"])
@pytest.mark.parametrize("name", ["map.xls", "map.xlsx"])
def test_a_workbook_of_old_excel_or_with_a_password_is_named_with_the_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], head: bytes, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(head + bytes(600))
    assert main(["replay", str(path)]) == 2
    assert "save it as Excel Workbook (.xlsx) without a password" in capsys.readouterr().err
    with pytest.raises(ValueError, match=rf"got {name}, which is of Excel before 2007"):
        point_inputs(path)
