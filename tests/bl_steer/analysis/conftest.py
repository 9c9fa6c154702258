from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bl_steer.analysis import digest_of
from bl_steer.processing.result_files import read_exact
from bl_steer.protocols import AnalysisResult
from bl_steer.server.jobs.process import RESULT, Task, carry_out


@pytest.fixture
def served(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str, Sequence[Path], dict[str, Any]], AnalysisResult]:
    """Return what has files analysed by the process of a server's job."""

    def serve(name: str, paths: Sequence[Path], params: dict[str, Any]) -> AnalysisResult:
        out = tmp_path_factory.mktemp("served")
        report = carry_out(Task(name, list(map(str, paths)), params, str(out)), io.StringIO())
        assert report.ok, report.message
        result = read_exact(out / RESULT)
        assert report.digest == digest_of(result)
        return replace(result, warnings=report.warnings)

    return serve


@pytest.fixture
def expect_same() -> Callable[[AnalysisResult, AnalysisResult], None]:
    """Return what compares two results: digest, tables, arrays, and warnings."""

    def compare(first: AnalysisResult, second: AnalysisResult) -> None:
        assert digest_of(first) == digest_of(second)
        assert set(first.tables) == set(second.tables)
        for name, table in first.tables.items():
            assert _equal(table, second.tables[name]), name
        assert _equal(first.arrays, second.arrays)
        assert list(first.warnings) == list(second.warnings)

    return compare


def _equal(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    return set(first) == set(second) and all(
        np.array_equal(first[key], second[key], equal_nan=first[key].dtype.kind == "f")
        for key in first
    )
