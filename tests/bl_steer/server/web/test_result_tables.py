"""Tables as people read them, and as spreadsheets open them: names, units, digits, intervals."""

from __future__ import annotations

import csv
import io
from typing import Any

import openpyxl
import pytest

from bl_steer.server.errors import Refused
from bl_steer.server.jobs.fields import named_fields
from bl_steer.server.web.plots import CurvePlot, IntervalPlot, plot_of
from bl_steer.server.web.rendering import static_files
from bl_steer.server.web.result_tables import StoredTable, shown_table, spreadsheet_of
from bl_steer.server.web.spreadsheets import MOST_CELLS, write_xlsx
from tests.bl_steer.server.segmented import GREY, png

FRACTIONS = StoredTable(
    ["field", "phase", "fraction", "fraction_low", "fraction_high"],
    [
        ["field_000", "oxide", "0.22413", "0.207", "0.241"],
        ["field_000", "void", "0.1", "0.02", "0.31"],
        ["field_001", "oxide", "0.3", "nan", "nan"],
    ],
)
TITLES = {"field_000": "=Film 7", "field_001": "断面.png"}


def shown(table: StoredTable, name: str = "fractions.csv", language: str = "en") -> Any:
    return shown_table(table, name, "-", language=language, titles=TITLES)


def test_an_interval_stands_in_one_cell_with_its_value_and_only_the_digits_that_it_allows() -> None:
    table = shown(FRACTIONS)
    assert [column.label for column in table.columns] == ["Image", "Phase", "Fraction"]
    assert [*map(list, table.rows)] == [
        ["=Film 7", "oxide", "22.4 ± 1.7 %"],
        ["=Film 7", "void", "10 (2 – 31) %"],
        ["断面.png", "oxide", "30.0 %"],
    ]
    assert table.intervals == "some"
    assert [column.label for column in shown(FRACTIONS, language="ja").columns] == [
        "視野",
        "相",
        "割合",
    ]


def test_where_no_interval_can_be_given_none_is_spoken_of() -> None:
    table = shown(StoredTable(FRACTIONS.names, FRACTIONS.rows[2:]))
    assert table.intervals == "none"
    assert shown(StoredTable(["fraction"], [["0.5"]])).intervals == ""


@pytest.mark.parametrize(
    ("name", "heading"),
    [
        ("volume_um3", "Volume (µm³)"),
        ("area_per_volume_1_um", "Area per volume (1/µm)"),
        ("my_own_nm", "My own (nm)"),
        ("y_mm", "y (mm)"),
        ("R2", "R2"),
        ("dx", "dx"),
        ("whole_chords", "Whole chords"),
        ("c12", "Component 12"),
        ("c12 (cps)", "Component 12 (cps)"),
        ("x (um)", "x (µm)"),
        ("y (mm)", "y (mm)"),
        ("sd (arb. units)", "Standard deviation (arb. units)"),
        ("tilt_deg_error", "Tilt (°), error"),
        ("peak_keV", "Peak (keV)"),
    ],
)
def test_a_heading_has_its_unit_whoever_made_the_column(name: str, heading: str) -> None:
    (column,) = shown(StoredTable([name], [["1"]])).columns
    assert column.label == heading


def test_truth_values_are_words_in_the_readers_language() -> None:
    table = StoredTable(["is_reference", "unexplained"], [["True", "0.25"], ["False", "0.5"]])
    assert [*map(list, shown(table).rows)] == [["yes", "25.0 %"], ["no", "50.0 %"]]
    japanese = shown(table, language="ja")
    assert [row[0] for row in japanese.rows] == ["はい", "いいえ"]
    assert [column.label for column in japanese.columns] == ["参照と一致", "説明できない割合"]


def test_warnings_call_images_as_people_do() -> None:
    said = "field_000: 断面 7.png and field_001 hold the grey level 7, unlike field_0001"
    assert named_fields(said, TITLES) == (
        "=Film 7 and 断面.png hold the grey level 7, unlike field_0001"
    )
    assert named_fields(said, {}) == said


def test_an_interval_is_found_with_its_unit_and_a_column_without_its_ends_stays() -> None:
    table = shown(
        StoredTable(
            ["volume_um3", "volume_low_um3", "volume_high_um3", "age_low"],
            [["202", "177", "227", "3"]],
        )
    )
    assert [column.name for column in table.columns] == ["volume_um3", "age_low"]
    assert [*table.rows[0]] == ["202 ± 25", "3"]


def test_no_amount_is_shown_below_nothing_or_beyond_all_and_zero_has_no_sign() -> None:
    names = ["area_um2", "area_low_um2", "area_high_um2"]
    rows = [["7e-05", "0.0", "1.5e-4"], ["7e-05", "-4e-10", "2.1e-4"], ["-0.0", "nan", "nan"]]
    assert [row[0] for row in shown(StoredTable(names, rows)).rows] == [
        "0.000070 (0.000000 – 0.000150)",  # ± 0.000075 would reach below 0
        "0.00007 (0.00000 – 0.00021)",
        "0",
    ]
    full = ["fraction", "fraction_low", "fraction_high"]
    assert shown(StoredTable(full, [["0.99", "0.979", "1.0"]])).rows[0] == ["99.0 (97.9 – 100.0) %"]
    _, cells = spreadsheet_of(StoredTable(["a"], [["-0.0"]]), language="en", titles={})
    assert str(cells[0][0]) == "0.0"


def test_an_interval_as_narrow_as_rounding_is_none() -> None:
    names = ["fraction", "fraction_low", "fraction_high", "length", "length_low", "length_high"]
    noisy = [repr(float(x)) for x in (0.224, 0.22399999999999995, 0.22400000000000003)]
    table = shown(StoredTable(names, [[*noisy, "5.0", "4.999999999999999", "5.000000000000001"]]))
    assert [*table.rows[0]] == ["22.4 %", "5"]
    assert table.intervals == "none"


def test_a_page_gives_places_as_they_are_and_what_was_measured() -> None:
    names = ["x (um)", "y_mm", "value", "expected"]
    rows = [
        ["12353.166666666666", "-12.34567", "1234.5", "1235494.1239550833"],
        ["12349.0", "-12.345", "0.00025", "1235026.6083414848"],
        ["12349.75", "19.333333333333332", "123456.75", "1235494.4839550833"],
    ]
    assert [*map(list, shown(StoredTable(names, rows)).rows)] == [
        ["12353.167", "-12.34567", "1234.5", "1235494"],
        ["12349", "-12.345", "0.00025", "1235027"],
        ["12349.75", "19.333333", "123456.75", "1235494"],
    ]


@pytest.mark.parametrize(
    ("name", "values", "shown_as"),
    [
        ("x (mm)", [0.0, 1 / 3, 2 / 3, 1.0], ["0", "0.3333", "0.6667", "1"]),
        ("x_mm", [10 / 3, 7.5, 1 / 7], ["3.333", "7.5", "0.143"]),
        ("y_um", [1 / 3], ["0.333"]),
        ("best_x_mm", [1 / 3], ["0.333333"]),
        ("x", [1 / 3, 1 / 3 + 2e-5], ["0.33333333", "0.33335333"]),
        ("z (mm)", [1 / 3, 1 / 3 + 1e-12, 4 / 3], ["0.333", "0.333", "1.333"]),
    ],
)
def test_places_have_the_digits_that_their_steps_allow_and_files_all_of_them(
    name: str, values: list[float], shown_as: list[str]
) -> None:
    table = StoredTable([name], [[repr(value)] for value in values])
    assert [row[0] for row in shown(table).rows] == shown_as
    _, cells = spreadsheet_of(table, language="en", titles={})
    assert [cell for (cell,) in cells] == pytest.approx(values, rel=1e-14)


def test_rows_that_differ_in_the_table_differ_on_the_page() -> None:
    values = ["1000.4123456789", "1000.4623456789", "1000.5223456789"]
    table = shown(StoredTable(["expected"], [[value] for value in values]))
    assert [row[0] for row in table.rows] == ["1000.412", "1000.462", "1000.522"]
    noise = shown(StoredTable(["area"], [["0.1"], ["0.30000000000000004"], ["2.1648232374144722"]]))
    assert [row[0] for row in noise.rows] == ["0.1", "0.3", "2.165"]


def test_what_a_package_calls_a_fraction_but_is_none_is_not_made_percent() -> None:
    table = shown(StoredTable(["fraction"], [["22.4"], ["0.5"]]))
    assert [row[0] for row in table.rows] == ["22.4", "0.5"]


def test_short_rows_words_and_holes_do_no_harm() -> None:
    table = StoredTable(
        ["phase", "fraction", "n"], [["oxide"], ["void", "", "4"], ["x", "0.5", "5", "6"]]
    )
    assert [*map(list, shown(table).rows)] == [
        ["oxide", "–", "–"],
        ["void", "–", "4"],
        ["x", "50.0 %", "5"],
    ]
    _, rows = spreadsheet_of(table, language="en", titles={})
    assert rows == [["oxide", "", ""], ["void", "", 4.0], ["x", 50.0, 5.0]]


def test_a_plot_shows_values_with_their_intervals_on_one_scale() -> None:
    plot = plot_of(shown(FRACTIONS))
    assert isinstance(plot, IntervalPlot)
    first, second, third = plot.marks
    assert first.low < first.x < first.high
    assert (second.high - plot.left) / (second.x - plot.left) == pytest.approx(3.1)
    assert third.low == third.high == third.x, "it has no interval"
    assert [label for _, label in plot.ticks][:2] == ["0 %", "10 %"]


def test_labels_of_a_plot_have_room_whatever_their_script() -> None:
    names = ["phase_a", "phase_b", "area_um2", "area_low_um2", "area_high_um2"]
    pairs = (
        ["酸化物イオン伝導体の相", "電子伝導体の相"],
        ["La0.6Sr0.4Co0.2Fe0.8O3", "Ce0.9Gd0.1O2"],
    )
    table = StoredTable(names, [[*pair, "2", "1", "3"] for pair in pairs])
    plot = plot_of(shown(table, "areas.csv"))
    assert isinstance(plot, IntervalPlot)
    assert [mark.label for mark in plot.marks] == [
        "酸化物イオ… · 電子伝導体…",
        "La0.6Sr… · Ce0.9Gd0…",
    ]


def test_rows_without_names_have_their_numbers_in_a_plot() -> None:
    table = StoredTable(
        ["component", "share", "share_low", "share_high", "is_reference"],
        [["0", "0.7", "0.6", "0.8", "True"], ["1", "0.3", "0.2", "0.4", "False"]],
    )
    plot = plot_of(shown(table, "components.csv"))
    assert isinstance(plot, IntervalPlot)
    assert [mark.label for mark in plot.marks] == ["0", "1"]


def test_chord_lengths_are_curves_of_each_phase_and_axis() -> None:
    rows = [[p, a, str(x), str(1 / x)] for p in ("a", "b") for a in "zyx" for x in (1, 2, 4)]
    table = StoredTable(["phase", "axis", "length_nm", "share"], rows)
    plot = plot_of(shown(table, "chord_lengths.csv"))
    assert isinstance(plot, CurvePlot)
    assert [curve.label for curve in plot.curves][:2] == ["a · z", "a · y"]
    assert plot.x_label == "Length (nm)"
    assert plot_of(shown(StoredTable(["phase"], [["a"]]), "chord_lengths.csv")) is None


def finished(site: Any, browser: Any) -> str:
    sent = browser.upload(("a.png", png(GREY)), sample="=cmd()")
    upload_id = sent.headers["location"].partition("file=")[2]
    browser.post("/analyses/segment", {"file": upload_id, "p.pixel_size_nm": "10"})
    file = io.StringIO()
    csv.writer(file).writerows([FRACTIONS.names, *FRACTIONS.rows])
    return str(site.finish({"fractions.csv": file.getvalue().encode()}))


def test_one_click_gives_what_excel_opens_in_the_readers_language(site: Any) -> None:
    site.user()
    site.user("ben@example.org")
    browser = site.browser()
    job_id = finished(site, browser)
    path = f"/jobs/{job_id}/tables/fractions"
    page = browser.get(f"/jobs/{job_id}").text
    assert f'href="{path}.csv"' in page
    assert f'href="{path}.xlsx"' in page
    assert "22.4 ± 1.7 %" in page

    sent = browser.get(f"{path}.csv", headers={"Accept-Language": "ja"})
    assert sent.content.startswith(b"\xef\xbb\xbf")
    heading, first, *_ = csv.reader(io.StringIO(sent.content.decode("utf-8-sig")))
    assert heading == ["視野", "相", "割合 (%)", "割合（下限） (%)", "割合（上限） (%)"]
    assert [*map(float, first[2:])] == [22.413, 20.7, 24.1]

    sheet = openpyxl.load_workbook(io.BytesIO(browser.get(f"{path}.xlsx").content)).active
    assert [cell.value for cell in sheet[1]][:3] == ["Image", "Phase", "Fraction (%)"]
    assert sheet["C2"].value == 22.413

    assert site.browser("ben@example.org").get(f"{path}.csv").status_code == 404
    assert browser.get(f"{path}.ods").status_code == 404
    assert browser.get(f"/jobs/{job_id}/tables/none.csv").status_code == 404
    shared = browser.post(f"/jobs/{job_id}/shares", {"days": "3"})
    link = browser.get(shared.headers["location"]).text.partition("/s/")[2].partition('"')[0]
    guest = site.stranger().get(f"/s/{link}/tables/fractions.csv")
    assert guest.status_code == 200
    assert guest.headers["cache-control"] == "no-store"


def test_nothing_in_a_spreadsheet_is_a_formula_and_a_huge_one_is_refused() -> None:
    headings, rows = spreadsheet_of(FRACTIONS, language="en", titles=TITLES)
    book = write_xlsx("a/b[c]", headings, [*rows, ["=1+1", "\x07bell", 1.0, "", ""]])
    sheet = openpyxl.load_workbook(io.BytesIO(book)).active
    assert sheet["A2"].data_type == "s"
    assert sheet["A2"].value == "=Film 7"
    assert sheet["A5"].data_type == "s"
    assert sheet["B5"].value == "bell"
    with pytest.raises(Refused):
        write_xlsx("a", ["a"], [[1.0]] * MOST_CELLS)


@pytest.mark.parametrize("names", [("Image", "Phase", "Fraction"), ("視野", "相", "割合")])
def test_values_of_a_table_are_seen_on_a_telephone(chromium: Any, names: tuple[str, ...]) -> None:
    style = static_files()["style.css"][0].decode()
    heads = "".join(f"<th scope=col>{name}</th>" for name in names)
    row = (
        "<td>Film_7_annealed_at_1073_K_for_2_hours_in_air.tif</td><td>yttria-stabilised zirconia"
        "</td><td class=number>50.00 (48.10 – 51.90) %</td>"
    )
    page = chromium.new_page(viewport={"width": 390, "height": 844})
    page.set_content(
        f"<style>{style}</style><main class=wide><section class=table><div class=scroll>"
        f"<table class=data><thead><tr>{heads}</tr></thead><tbody><tr>{row}</tr></tbody></table>"
        "</div></section></main>"
    )
    edge = page.locator("td.number").evaluate("cell => cell.getBoundingClientRect().right")
    page.close()
    assert edge <= 390 - 14
