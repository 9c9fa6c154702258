"""Cards and tables of a report: what is better is named, whichever it is."""

from __future__ import annotations

import numpy as np

from bl_steer.analysis.reconstruction.measures import against_truth
from bl_steer.analysis.reconstruction.report_cards import cards_of
from bl_steer.analysis.reconstruction.report_tables import compared, rows_of
from bl_steer.protocols import AnalysisResult


def test_cards_name_what_is_better_and_the_worst_error() -> None:
    methods = np.repeat(["conventional", "super-resolved", "truth"], 3)
    result = AnalysisResult(
        {}, {"slices": np.zeros((4, 2, 2), np.uint8)}, {"resolution_nm": float("nan")}
    )
    cards = cards_of(
        result,
        {
            "scores": {},
            "table_1": {
                "method": methods,
                "ratio_to_truth": np.array([1.01, 0.98, 1.0, 1.0, 0.95, 1.02, 1, 1, 1]),
            },
            "table_2": {
                "method": methods,
                "ratio_to_truth": np.array([1.3, 1.2, 0.6, 0.97, 1.04, 1.17, 1, 1, 1]),
            },
            "leave_out": {
                "method": np.array(["super-resolved", "nearest", "signed distance"]),
                "miou": np.array([0.730, 0.586, 0.734]),
            },
            "slices": {"plane": np.array([0, 1, -1, 2, 3])},
        },
    )
    assert [(card["value"], card["text"]) for card in cards] == [
        (
            "5.0 %",
            "largest error of a volume, super-resolved against the truth; conventional 2.0 %",
        ),
        (
            "4.0 %",
            "median error of the contact areas, 17.0 % the worst; conventional 30.0 % and 40.0 %",
        ),
        (
            "0.730",
            "mean IoU of slices that were left out and predicted; signed distance 0.734 (better), "
            "nearest 0.586",
        ),
        ("4 of 5", "slices recorded; 1 missing"),
    ]


def test_shape_is_compared_with_the_truth_where_there_is_some() -> None:
    table = {
        "method": np.array(["super-resolved", "super-resolved", "truth", "truth"]),
        "phase": np.array(["carbon", "void", "carbon", "void"]),
        "n_parts": np.array([3, 4, 2, 0]),
    }
    found = rows_of(against_truth(table, "n_parts"))
    assert found["head"] == ["method", "phase", "parts (number)", "off the truth"]
    assert found["words"] == [True, True, False, False]
    assert [row[-1] for row in found["rows"]] == ["+50.0 %", "–", "–", "–"]


def test_numbers_of_a_table_have_their_decimal_points_below_each_other() -> None:
    methods = ["conventional", "super-resolved", "truth"]
    found = compared(
        {
            "quantity": np.repeat(["oxide", "carbon"], 3),
            "method": np.array(methods * 2),
            "volume_um3": np.array([12.3, 12.0, 12.25, 0.4, 0.457, 0.5]),
            "volume_low_um3": np.array([11.0, 11.5, 12.0, np.nan, 0.4, 0.45]),
            "volume_high_um3": np.array([13.0, 12.5, 12.5, np.nan, 0.5, 0.55]),
            "ratio_to_conventional": np.array([1, 0.976, 0.996, 1, 1.143, 1.25]),
            "ratio_to_truth": np.array([1.004, 0.98, 1.0, 0.8, 0.914, 1.0]),
        }
    )
    cells = [row[method] for row in found["rows"].values() for method in methods]
    assert [cell["value"] for cell in cells] == [
        "12.300", "12.000", "12.250", "0.400", "0.457", "0.500"
    ]  # fmt: skip
    assert [cell["interval"] for cell in cells[2:5]] == ["12.000 … 12.500", "", "0.400 … 0.500"]
    assert [cell["off"] for cell in cells] == ["+0.4 %", "−2.0 %", "", "−20.0 %", "−8.6 %", ""]
    assert found["ratios"] == {"oxide": "0.976", "carbon": "1.143"}
