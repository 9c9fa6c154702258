"""Steering on maps in reciprocal space: a tilt to the left is told from one to the right."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from ophyd.sim import SynAxis

from bl_steer.diffraction import (
    Detector,
    Goniometer,
    GriddedFrames,
    QGrid,
    goniometer,
    peak_position,
)
from bl_steer.steering import differing_decisions
from plans import find_hotspot
from plans.stubs.per_point import rocking_scan

MIDDLE = {"mu": 2.0, "eta": 0.0, "chi": 0.0, "phi": 0.0, "nu": 24.88, "delta": 24.16}
SURFACE = goniometer(
    "4S+2D", detector=Detector((32, 32), ("z-", "x+"), (0.88, 0.88), 600.0, (15.5, 15.5))
).facing(MIDDLE)
GRID = QGrid((2.0, 2.375, 76), (2.0, 2.375, 76), in_plane="along")
LEFT, RIGHT = (np.array(peak_position(0.0, 1.0, tilt)) for tilt in (-0.5, 0.5))


class Camera:
    """A detector in memory: frames of a film whose domains tilt left at x = 20, right at 80.

    Between its two chips is a gap.
    """

    name, parent, hints = "camera", None, {"fields": []}

    def __init__(self, surface: Goniometer, x: SynAxis, mu: SynAxis) -> None:
        self._surface, self._x, self._mu = surface, x, mu
        self._rng = np.random.default_rng(0)

    def frames(self) -> np.ndarray:
        q = self._surface.q({**MIDDLE, "mu": self._mu.position})
        along, across, normal = self._surface.components(q)
        frame = np.zeros(along.shape)
        for (q_par, q_perp), x, height in ((LEFT, 20.0, 200.0), (RIGHT, 80.0, 600.0)):
            share = np.exp(-0.5 * ((self._x.position - x) / 12.0) ** 2)
            apart = (along - q_par) ** 2 + (normal - q_perp) ** 2 + across**2
            frame += height * share * np.exp(-0.5 * apart / 0.006**2)
        counts = self._rng.poisson(frame + 0.02).astype(np.uint32)
        counts[20] = 2**32 - 1
        return counts[None]

    def read(self) -> OrderedDict[str, Any]:
        return OrderedDict()

    describe = read_configuration = describe_configuration = read


@pytest.mark.parametrize(("peak", "x"), [(LEFT, 20.0), (RIGHT, 80.0)], ids=["left", "right"])
def test_a_domain_tilted_to_one_side_is_found_beside_one_tilted_to_the_other(
    peak: np.ndarray,
    x: float,
    RE: RunEngine,
    documents: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)  # frames of a detector that stores none go below it
    stage, mu = SynAxis(name="x"), SynAxis(name="mu", value=2.0)
    fixed = {name: angle for name, angle in MIDDLE.items() if name != "mu"}
    reduction = GriddedFrames(SURFACE, GRID, angles=fixed)
    box = np.stack([peak - 0.012, peak + 0.012], axis=1).ravel()
    plan = find_hotspot(
        Camera(SURFACE, stage, mu),
        stage,
        per_point=rocking_scan(mu, 1.0, 3.0, 15),
        reduction=reduction,
        target="roi:" + ",".join(f"{edge:.4f}" for edge in box),
        grid={"x": {"start": 0, "stop": 100, "num": 21}},
        budget=12,
    )
    assert abs(RE(plan).plan_result.best_x - x) <= 10.0
    patterns = [result.pattern for result in documents.run.results(reduction)]
    assert [pattern.shape for pattern in patterns] == [(GRID.n_cells,)] * 12
    assert 0.1 < np.isnan(patterns).mean() < 0.8, "cells in which no pixel fell"
    assert np.nanmax(patterns) < 1000.0, "the gap counts nothing"
    assert differing_decisions(documents.run, reduction) == differing_decisions(documents.run) == []
    mask = documents.run.streams["masks"]
    assert int(mask["n_left_out"][-1]) >= int(np.isnan(patterns).any(axis=0).sum())
