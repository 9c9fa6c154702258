"""Tables as Excel and LibreOffice write them: encodings, workbooks, cells that are too long."""

from __future__ import annotations

import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import pytest
from openpyxl import Workbook

from bl_steer.cli import main
from bl_steer.files.maps.any_map import read_any_map
from bl_steer.files.maps.points import point_inputs
from bl_steer.files.maps.tables import read_columns
from bl_steer.server.errors import Refused
from bl_steer.server.jobs.inputs import read_inputs
from bl_steer.server.packages.inputs import package_inputs
from bl_steer.server.uploads.file_types import inspect_file

ROWS = [[0, 0, 5], [1, 0, 7.5], [0, 2, 8], [1, 2, 6.5]]
TEXT = "".join(f"{x},{y},{value}\n" for x, y, value in ROWS)


def table(folder: Path, names: str, encoding: str) -> Path:
    path = folder / "map.csv"
    rows = [f"x,y,value,{names}", *(f"{row},1,2" for row in TEXT.splitlines())]
    path.write_bytes("\n".join(rows).encode(encoding))
    return path


@pytest.mark.parametrize(
    ("encoding", "names"),
    [
        ("utf-8", "試料,두께"),
        ("utf-8-sig", "試料,두께"),
        ("utf-16", "試料,두께"),
        ("cp932", "試料,温度"),
        ("cp932", "表示,能力"),
        ("cp932", "ﾌﾟﾗｽﾞﾏ,ｻﾝﾌﾟﾙ"),
        ("euc_jp", "試料,厚さ"),
        ("euc_jp", "Ｘ座標,膜厚"),
        ("cp949", "온도,두께"),
        ("cp949", "시료 번호,측정 값"),
        ("cp1252", "Größe,Stärke"),
        ("cp1252", "Température,1/Å²"),
        ("cp1252", "Überlauf,°C"),
    ],
)
def test_names_are_read_in_the_encoding_that_they_were_written_in(
    tmp_path: Path, encoding: str, names: str
) -> None:
    path = table(tmp_path, names, encoding)
    read = read_columns(path)
    assert [*read.by_name] == ["x", "y", "value", *names.split(",")]
    assert any("is read as" in note for note in read.notes) == (encoding in ("euc_jp", "cp949"))
    assert inspect_file(path, path.name).kind == "text"


@pytest.mark.parametrize(
    ("encoding", "names", "readings"),
    [
        ("cp949", "쇳물,뱃전", "EUC-JP.*or CP949"),
        ("euc_jp", "位置,位", "EUC-JP.*or CP949"),
        ("euc_jp", "温度,温", "CP932.*or EUC-JP"),
    ],
)
def test_names_that_may_be_either_are_refused_with_both_readings(
    tmp_path: Path, encoding: str, names: str, readings: str
) -> None:
    with pytest.raises(ValueError, match=f"got map.csv, which may be {readings}.*UTF-8"):
        read_columns(table(tmp_path, names, encoding))


def test_half_a_character_of_utf_16_is_told(tmp_path: Path) -> None:
    path = tmp_path / "map.csv"
    path.write_bytes(f"x,y,value\n{TEXT}".encode("utf-16") + b"1")
    with pytest.raises(ValueError, match=r"half a character of UTF-16 at byte \d+; save it anew"):
        read_columns(path)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_its_mark_is_read_and_told(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "map.csv"
    path.write_bytes(f"x,y,強度\n{TEXT}".encode(encoding))
    read = read_columns(path)
    assert [*read.by_name] == ["x", "y", "強度"]
    assert read.notes == ["the text is read as UTF-16, whose mark is missing"]
    path.write_bytes(b"x,y,value\n1,2,3\0\n")
    with pytest.raises(ValueError, match=r"must be text, got map\.csv"):
        read_columns(path)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_cell_of_a_megabyte_is_named_by_line_and_column(
    tmp_path: Path, delimiter: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "long.csv"
    rows = [*TEXT.splitlines()[:2], f'2,0,"{"9" * 1_000_000}"', "3,0,1"]
    text = "\n".join(["x,y,value", *rows]).replace(",", delimiter)
    path.write_text(text)
    told = r"got 1,000,00\d in line 4, column 3 of long.csv; correct that line"
    with pytest.raises(ValueError, match=told):
        read_columns(path)
    with pytest.raises(ValueError, match=told):
        read_inputs("advise", [path], tmp_path)
    assert main(["replay", str(path)]) == 2
    assert "line 4, column 3 of long.csv" in capsys.readouterr().err


def xlsx(path: Path, sheets: dict[str, list[list[object]]]) -> Path:
    book = Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def ods(path: Path, sheets: dict[str, list[list[object]]]) -> Path:
    """Write a workbook as LibreOffice does, by OpenDocument 1.3, part 3."""

    def cell(value: object) -> str:
        if value is None:
            return "<table:table-cell/>"
        kind = "string" if isinstance(value, str) else "float"
        told = "" if kind == "string" else f' office:value="{value}"'
        text = f"<text:p>{escape(str(value))}</text:p>"
        return f'<table:table-cell office:value-type="{kind}"{told}>{text}</table:table-cell>'

    def row(cells: list[object]) -> str:
        return f"<table:table-row>{''.join(map(cell, cells))}</table:table-row>"

    urn = "urn:oasis:names:tc:opendocument:xmlns"
    spaces = " ".join(f'xmlns:{k}="{urn}:{k}:1.0"' for k in ("office", "table", "text"))
    tables = "".join(
        f'<table:table table:name="{name}">{"".join(map(row, rows))}</table:table>'
        for name, rows in sheets.items()
    )
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    entry = f'<m:file-entry m:full-path="/" m:media-type="{kind}"/>'
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", kind)
        archive.writestr(
            "content.xml",
            f'<?xml version="1.0"?><office:document-content {spaces} office:version="1.3">'
            f"<office:body><office:spreadsheet>{tables}</office:spreadsheet></office:body>"
            "</office:document-content>",
        )
        archive.writestr(
            "META-INF/manifest.xml",
            f'<?xml version="1.0"?><m:manifest xmlns:m="{urn}:manifest:1.0">{entry}</m:manifest>',
        )
    return path


BOOKS = {".xlsx": xlsx, ".ods": ods}


@pytest.mark.parametrize("ending", BOOKS)
def test_numbers_typed_as_text_into_a_workbook_are_read_or_refused_by_their_row(
    tmp_path: Path, ending: str
) -> None:
    rows = [["x", "y", "value"], [0.5, 0, "63,69"], [1.5, 0, "-0,123"]]
    read = read_columns(BOOKS[ending](tmp_path / f"map{ending}", {"Data": rows}))
    assert read.by_name["value"].tolist() == [63.69, -0.123]
    assert "decimal commas: 63,69 is read as 63.69" in read.notes
    rows.append([2.5, 0, "63,696"])
    told = f"the text '63,696' in row 4 of map{ending}, which may be 63696 or 63.696"
    with pytest.raises(ValueError, match=told):
        read_columns(BOOKS[ending](tmp_path / f"map{ending}", {"Data": rows}))


@pytest.mark.parametrize("ending", BOOKS)
def test_a_workbook_is_read_as_the_same_table_in_a_text_by_every_door(
    tmp_path: Path, ending: str
) -> None:
    rows = [["x", "y", "value", "remark"], ["µm", "µm", None, None]]
    rows += [[*row, "試料 A"] for row in ROWS] + [[2, 0, None, None], [2, 2, "N/A", None]]
    path = BOOKS[ending](tmp_path / f"map{ending}", {"Data": rows, "Other": [["z"], [1]]})
    text = tmp_path / "map.csv"
    text.write_text(
        "\n".join(",".join("" if cell is None else str(cell) for cell in row) for row in rows)
    )
    told = "heet 'Data' is read; left out: 'Other'"
    assert inspect_file(path, path.name).kind == "zip"
    for inputs, expected in (
        (point_inputs(path), point_inputs(text)),
        (read_inputs("advise", [path], tmp_path), read_inputs("advise", [text], tmp_path)),
        (package_inputs("table", [path]), package_inputs("table", [text])),
    ):
        assert [*inputs.arrays] == [*expected.arrays]
        for name, array in expected.arrays.items():
            np.testing.assert_array_equal(inputs.arrays[name], array)
        assert inputs.metadata == expected.metadata
        assert any(told in note for note in inputs.notes)
    recorded = read_any_map(path)
    assert (recorded.unit, recorded.values[:4].tolist()) == ("µm", [row[2] for row in ROWS])


@pytest.mark.parametrize("ending", BOOKS)
def test_a_wrong_cell_of_a_workbook_is_named_by_its_row(tmp_path: Path, ending: str) -> None:
    rows = [["x", "y", "value"], *ROWS[:2], [None, None, None], [0, 2, "wrong"], ROWS[3]]
    path = BOOKS[ending](tmp_path / f"map{ending}", {"S": rows})
    with pytest.raises(ValueError, match=rf"'wrong' in line 5, column 3 of map{ending}"):
        read_columns(path)


@pytest.mark.parametrize("ending", BOOKS)
def test_what_is_no_workbook_is_told_in_one_line(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"map{ending}"
    path.write_bytes(b"PK\3\4 nothing of the kind")
    with pytest.raises(ValueError, match=rf"a sound .xlsx or .ods, got map{ending}"):
        read_columns(path)
    with pytest.raises(Refused):
        inspect_file(path, path.name)
    empty = BOOKS[ending](tmp_path / f"empty{ending}", {"S": []})
    with pytest.raises(ValueError, match=rf"must have rows, got none in empty{ending}"):
        read_columns(empty)


def test_a_quoted_cell_may_go_on_over_several_lines(tmp_path: Path) -> None:
    """As Excel writes a heading of two lines (Alt+Enter), and a remark."""
    path = tmp_path / "map.csv"
    text = '"x\n(um)","y\n(um)",value,remark\n0,1,2,"bright\nspot, see ""log"""\n3,4,5,""\n'
    for ends in ("\n", "\r\n"):
        path.write_bytes(text.replace("\n", ends).encode())
        read = read_columns(path)
        assert {name: [*column] for name, column in read.by_name.items()} == {
            "x (um)": [0, 3],
            "y (um)": [1, 4],
            "value": [2, 5],
        }
        assert inspect_file(path, path.name).kind == "text"
    assert point_inputs(path).metadata["unit"] == "um"
    path.write_text('"x\n(um)",y,value\n0,1,2\n3,oops,5\n')
    with pytest.raises(ValueError, match="'oops' in line 4, column 2"):
        read_columns(path)
    path.write_text('x,y,4" wafer\n0,1,2\n')
    assert [*read_columns(path).by_name] == ["x", "y", '4" wafer']
