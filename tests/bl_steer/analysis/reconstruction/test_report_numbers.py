"""Cards and tables of a report: what is better is named, whichever it is."""

from __future__ import annotations

import numpy as np

from bl_steer.analysis.reconstruction.measures import against_truth
from bl_steer.analysis.reconstruction.report_cards import cards_of
from bl_steer.analysis.reconstruction.report_tables import rows_of
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
                "method": np.array(["srram", "nearest", "signed distance"]),
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
    assert found["head"] == ["method", "phase", "n parts", "off the truth"]
    assert [row[-1] for row in found["rows"]] == ["+50.0 %", "–", "+0.0 %", "–"]
