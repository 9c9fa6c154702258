"""What ``replay`` prints of its trials: when A was found, what counts as A, and the way there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import h5py
import numpy as np
import pytest

from bl_steer.cli import main


def save(path: Path, unit_x: str | None, unit_y: str | None) -> Path:
    x, y = np.meshgrid(np.arange(8.0), np.arange(6.0))
    with h5py.File(path, "w") as file:
        group = file.create_group("map")
        group["x"], group["y"] = x, y
        group["map"] = np.exp(-((x - 5.0) ** 2 + (y - 2.0) ** 2) / 2.0)
        for name, unit in (("x", unit_x), ("y", unit_y)):
            if unit is not None:
                group[name].attrs["units"] = unit
    return path


@pytest.mark.parametrize(
    ("units", "told", "path_unit"),
    [
        (("mm", "mm"), "y 0 to 5 mm", "mm"),
        (("mm", None), "the file gives no unit of y: mm stands for it", "mm"),
        ((None, "um"), "the file gives no unit of x: px stands for it", None),
        (("mm", "um"), "y 0 to 5 um", "mm"),
    ],
)
def test_what_is_printed_is_what_is_written(
    units: tuple[str | None, str | None],
    told: str,
    path_unit: str | None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file, out = save(tmp_path / "m.h5", *units), tmp_path / "r.json"
    arguments = ["--agent", "random", "--seeds", "0:1", "--budget", "12", "--json", str(out)]
    assert main(["replay", str(file), *arguments]) == 0
    shown = capsys.readouterr().out
    (record,) = json.loads(out.read_text())
    first = record["n_to_found"]
    assert told in shown
    assert ("the file gives no unit" in shown) == (None in units)
    assert re.search(rf"to A +{first or '> 12'}, to best", shown)
    assert f"found by {int(record['found'])} of 1" in shown
    assert "found: A measured and reported" in shown
    assert record["path_unit"] == path_unit
    if path_unit is None:
        assert record["path"] is None
    else:
        assert f"{record['path']:.4g} {path_unit}" in shown
