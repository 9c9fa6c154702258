"""The colours of the phases tell them apart for every reader."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from bl_steer.analysis.segmentation import phases

DEUTERANOPIA = {"name": "sRGB1+CVD", "cvd_type": "deuteranomaly", "severity": 100}
SETS = {n: s for n, s in vars(phases).items() if isinstance(s, phases.Phases)}


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("sight", ["normal", "deuteranopia"])
def test_phases_differ_by_20_in_cam02_ucs(name: str, sight: str) -> None:
    colorspacious = pytest.importorskip("colorspacious")
    space = "sRGB1" if sight == "normal" else DEUTERANOPIA
    colours = {phase.name: np.array(phase.show) / 255 for phase in SETS[name]}
    for one, other in combinations(colours, 2):
        seen = [
            np.clip(colorspacious.cspace_convert(colours[phase], space, "sRGB1"), 0, 1)
            for phase in (one, other)
        ]
        difference = colorspacious.deltaE(*seen, input_space="sRGB1", uniform_space="CAM02-UCS")
        assert difference >= 20, f"{one} and {other} differ by {difference:.0f} only"


@pytest.mark.parametrize("name", SETS)
def test_phases_come_back_from_json(name: str) -> None:
    assert phases.Phases.from_list(SETS[name].to_list()) == SETS[name]
