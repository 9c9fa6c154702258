"""The time and the path of a replay are those of the stage, in whatever unit the axes are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bl_steer.trials import replay

PER_UM = {"um": 1.0, "mm": 1e-3, "µm": 1.0, "nm": 1e3, "px": 1.0}


def _record(folder: Path, unit_x: str, unit_y: str) -> dict[str, Any]:
    x, y = np.meshgrid(np.arange(0.0, 150.0, 30.0), np.arange(0.0, 60.0, 20.0))
    value = 100.0 - np.hypot(x - 90.0, y - 20.0)
    columns = [x.ravel() * PER_UM[unit_x], y.ravel() * PER_UM[unit_y], value.ravel()]
    path = folder / "m.csv"
    header = f"x ({unit_x}),y ({unit_y}),value"
    np.savetxt(
        path, np.column_stack(columns), delimiter=",", header=header, comments="", encoding="utf-8"
    )
    (record,) = replay(
        str(path),
        agents=["raster"],
        seeds=range(1),
        target=None,
        budget=9,
        clip=None,
        stride=1,
        exposure_s=1.0,
        on_trial=lambda *_, **__: None,
    )
    return record


@pytest.fixture(scope="module")
def in_um(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return _record(tmp_path_factory.mktemp("um"), "um", "um")


@pytest.mark.parametrize("units", [("mm", "mm"), ("mm", "µm"), ("um", "nm"), ("µm", "um")])
def test_time_and_path_do_not_depend_on_the_unit(
    tmp_path: Path, in_um: dict[str, Any], units: tuple[str, str]
) -> None:
    record = _record(tmp_path, *units)
    assert record["beam_time_s"] == pytest.approx(in_um["beam_time_s"], rel=1e-6)
    assert record["path_unit"] == units[0]
    assert record["path"] == pytest.approx(in_um["path"] * PER_UM[units[0]])


def test_a_path_over_pixels_and_lengths_is_none(tmp_path: Path) -> None:
    assert _record(tmp_path, "px", "mm")["path"] is None
