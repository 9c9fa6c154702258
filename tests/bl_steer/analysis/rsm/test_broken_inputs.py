"""Whatever is broken is told in one line of at most 300 characters, with value and remedy."""

from __future__ import annotations

import re
import tracemalloc
from pathlib import Path

import pytest

from bl_steer.cli import main
from tests.bl_steer.analysis.rsm.broken import MORE, Kinds
from tests.bl_steer.files.scans import test_broken_scans, test_written_scans

TABLES = (test_broken_scans.BROKEN, test_written_scans.BROKEN, MORE)
KINDS: Kinds = {kind: how for table in TABLES for kind, how in table.items()}
MOST_BYTES = 64 << 20


def test_no_kind_hides_another() -> None:
    assert len(KINDS) == sum(map(len, TABLES)) >= 90


@pytest.mark.parametrize("kind", KINDS)
def test_one_clear_line_says_what_is_broken(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write, told = KINDS[kind]
    path = tmp_path / ("scan_with_a_long_name_" * 8)
    write(path)
    tracemalloc.start()
    assert main(["rsm", str(path), "--figure", str(tmp_path / "map.png")]) == 2
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MOST_BYTES
    assert not (tmp_path / "map.png").exists()
    line = capsys.readouterr().err.removesuffix("\n").removeprefix("bl-steer: ")
    assert re.search(told, line), line
    assert "\n" not in line
    assert len(line) <= 300
    assert " must " in line
    assert "; " in line
