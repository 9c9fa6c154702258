"""Headings of tables carry the units that files state, and none that they do not."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from bl_steer.analysis import find_analysis, make_params
from bl_steer.files import map_inputs, point_inputs
from bl_steer.processing.result_folder import write_result
from bl_steer.server.web.result_tables import StoredTable, spreadsheet_of

PLACES = [(x, y) for y in range(4) for x in range(4)]
COUNTS = np.random.default_rng(0).poisson(50.0, (16, 3)).tolist()


def headings(name: str, folder: Path, head: str, table: str, **params: object) -> list[str]:
    """What heads the columns of a table of results in its file."""
    n = head.count(",") - 1
    rows = [[x, y, *counts[:n]] for (x, y), counts in zip(PLACES, COUNTS, strict=True)]
    lines = [head, *(",".join(map(str, row)) for row in rows)]
    (folder / "in.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    read = map_inputs if name == "components" else point_inputs
    analysis = find_analysis(name)
    result = analysis.run(read(folder / "in.csv"), make_params(analysis, params))
    write_result(result, folder / "out")
    with (folder / "out" / f"{table}.csv").open(encoding="utf-8") as file:
        return next(csv.reader(file))


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("x (um),y (um),value", ["x (um)", "y (um)", "expected", "sd", "reason"]),
        ("x (mm),y (um),I (cps)", ["x (mm)", "y (um)", "expected (cps)", "sd (cps)", "reason"]),
        ("x,y,value", ["x", "y", "expected", "sd", "reason"]),
    ],
)
def test_an_advice_is_in_the_units_of_its_points(
    head: str, expected: list[str], tmp_path: Path
) -> None:
    found = headings("advise", tmp_path, head, "suggestions", method="sobol")
    assert found == expected
    shown, _ = spreadsheet_of(StoredTable(found, []), language="ja", titles={})
    assert [unit for unit in ("µm", "mm", "cps") if any(f"({unit})" in h for h in shown)] == [
        unit for unit in ("µm", "mm", "cps") if f"({unit.replace('µ', 'u')})" in head
    ]


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("x (mm),y (mm),a,b,c", ["x (mm)", "y (mm)", "c0", "unexplained"]),
        ("x,y,a (cps),b (cps),c (cps)", ["x", "y", "c0 (cps)", "unexplained"]),
    ],
)
def test_components_are_counts_only_where_a_file_says_so(
    head: str, expected: list[str], tmp_path: Path
) -> None:
    params = {"n_components": 1, "n_bootstrap": 100}
    assert headings("components", tmp_path, head, "points", **params) == expected
