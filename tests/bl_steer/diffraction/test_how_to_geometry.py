"""The page on geometry runs as it stands, but for what needs a beamline."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bl_steer.diffraction import PRESETS, Circle

PAGE = (Path(__file__).resolve().parents[3] / "docs/how-to/diffraction_geometry.md").read_text()


def test_the_snippets_run_and_give_what_they_say(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    code = "".join(block for block in blocks if not block.startswith("# at the "))
    names: dict[str, Any] = {}
    exec(compile(code, "diffraction_geometry.md", "exec"), names)
    assert names["q"].shape == (128, 128, 3)
    assert names["point"].mean.shape == (33, 33)
    assert np.nanmean(names["point"].mean) == pytest.approx(2.0, abs=0.02)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("of 8 orientations, only rows along z- and columns along x+ fit")
    assert re.fullmatch(r"-0\.05\d ± 0\.00\d°", printed[1])
    assert {c.name for c in names["surface"].arm if c.zero_deg} == {"delta"}


@pytest.mark.parametrize("preset", PRESETS)
def test_the_table_of_presets_is_that_of_the_code(preset: str) -> None:
    row = re.search(rf"^\| `{re.escape(preset)}`[^|]*\|(.*)\|(.*)\|(.*)\|$", PAGE, re.MULTILINE)
    assert row is not None

    def listed(circles: tuple[Circle, ...]) -> str:
        return ", ".join(f"{circle.name} {circle.axis}" for circle in circles)

    settings = PRESETS[preset]
    assert [cell.strip() for cell in row.groups()] == [
        listed(settings["sample"]),
        listed(settings["arm"]),
        settings["rocked"],
    ]
