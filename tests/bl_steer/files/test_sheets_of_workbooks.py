"""Which sheet of a workbook is read, and what its formulas without results are."""

from __future__ import annotations

from pathlib import Path

import pytest
from openpyxl import Workbook

from bl_steer.cli import main
from bl_steer.files.maps.points import point_inputs
from bl_steer.files.maps.tables import read_columns

TABLE = [["x", "y", "value"], [0, 0, 5], [1, 0, 7.5]]
COVER = [["Measured on Monday"]]


def written(folder: Path, **sheets: list[list[object]]) -> Path:
    book = Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(folder / "map.xlsx")
    return folder / "map.xlsx"


def test_the_only_sheet_with_a_table_is_read_behind_a_cover(tmp_path: Path) -> None:
    read = read_columns(written(tmp_path, Cover=COVER, Data=TABLE))
    assert read.by_name["value"].tolist() == [5, 7.5]
    assert read.notes == ["sheet 'Data' is read; left out: 'Cover'"]


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
