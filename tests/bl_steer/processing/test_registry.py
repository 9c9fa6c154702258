"""Analyses are found by name, by entry point and by place."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bl_steer.analysis import analysis_names, find_analysis, make_params
from bl_steer.analysis.components.analysis import ComponentParams, MapComponents


def test_our_own_are_known_by_name() -> None:
    assert {"components", "segment"} <= set(analysis_names())
    assert isinstance(find_analysis("components"), MapComponents)


def test_one_of_an_installed_package_is_found_by_its_entry_point(
    own_analyses: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "their_package-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: their-package\nVersion: 1.0\n"
    )
    (installed / "entry_points.txt").write_text(
        f"[bl_steer.analyses]\nsum = {own_analyses('SumCounts')}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "sum" in analysis_names()
    assert find_analysis("sum").name == "sum"


def test_any_importable_class_is_found_by_its_place(own_analyses: Callable[[str], str]) -> None:
    assert find_analysis(own_analyses("SumCounts")).version == "1"


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"must be one of .*components.*segment.* got 'segmnt'"):
        find_analysis("segmnt")


@pytest.mark.parametrize("place", ["small_analyses:Nowhere", "no_such_module:Any"])
def test_a_place_that_cannot_be_imported_is_named(
    place: str, own_analyses: Callable[[str], str]
) -> None:
    with pytest.raises(ImportError, match=f"must be importable from {place}, got"):
        find_analysis(place)


def test_parameters_are_checked_all_at_once() -> None:
    made = make_params(MapComponents(), {"n_components": "3"})
    assert made == ComponentParams(n_components=3)
    with pytest.raises(ValueError, match=r"k is not known; n_components=0 .*; seed='a'"):
        make_params(MapComponents(), {"n_components": 0, "seed": "a", "k": 1})


def test_nothing_heavy_is_imported_for_a_name() -> None:
    code = (
        "import sys, bl_steer.analysis as a; a.analysis_names(); a.find_analysis('components');"
        "print({'torch', 'sklearn', 'matplotlib', 'h5py', 'dask'} & sys.modules.keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True
    )
    assert done.stdout.strip() == "set()"
