"""Libraries that end the process where memory runs out, in place of raising."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from openpyxl import Workbook

from bl_steer.server.sandbox.bubblewrap import JOB
from bl_steer.server.sandbox.limits import Limits
from bl_steer.server.sandbox.run import run_in_sandbox, sandbox_problem

pytestmark = pytest.mark.skipif(bool(sandbox_problem()), reason=sandbox_problem() or "-")


def test_a_workbook_with_a_cell_in_its_last_corner_is_told_as_too_large(tmp_path: Path) -> None:
    """Its reader, in Rust, asks for all cells between at once; users read of memory, not of a
    status that says nothing."""
    book = Workbook()
    for row, column in ((1, 1), (1_048_576, 16_384)):
        book.active.cell(row, column, 1.0)
    book.save(tmp_path / "far.xlsx")
    (tmp_path / "out").mkdir()
    code = (
        "import sys, pathlib; from bl_steer.files.maps.spreadsheets import lines_of_book; "
        "lines_of_book(pathlib.Path(sys.argv[1]))"
    )
    outcome = run_in_sandbox(
        [sys.executable, "-c", code, str(JOB / "far.xlsx")],
        readable={JOB / "far.xlsx": tmp_path / "far.xlsx"},
        writable=tmp_path / "out",
        limits=Limits(),
    )
    assert outcome.cause == "memory", outcome
