"""Searches whose agent chooses how long to look: set, recorded, verified, resumed, refused."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from ophyd import Component, Device, Signal
from ophyd.sim import SynAxis

from bl_steer.agents import Space
from bl_steer.runs import Run, open_run
from bl_steer.session import open_session
from bl_steer.steering import ExposureError, differing_decisions
from plans import find_hotspot
from plans.stubs.per_point import rocking_scan
from simulators.film.beamline import SimulatedBeamline

GRID = Space.grid(np.linspace(0.0, 150.0, 16), np.linspace(0.0, 150.0, 16))
ADAPTIVE: dict[str, Any] = {
    "target": "ref:x=0.45,R=0.9,tilt=0",
    "exposure": "adaptive",
    "exposure_s": 10.0,
    "grid": GRID,
    "budget": 16,
    "seed": 1,
}


class Counter(Device):
    """Counts a hill for as long as it is told, under a name of its own."""

    rate, ground = 500.0, 5.0
    dwell = Component(Signal, value=2.0, name="dwell")
    counts = Component(Signal, value=0.0, kind="hinted")

    def __init__(self, axes: tuple[SynAxis, SynAxis]) -> None:
        super().__init__("", name="counter")
        self.axes = axes
        self.rng = np.random.default_rng(2)

    def trigger(self) -> Any:
        x, y = (axis.position for axis in self.axes)
        rate = self.rate * np.exp(-((x - 30) ** 2 + (y - 70) ** 2) / 800) + self.ground
        self.counts.put(float(self.rng.poisson(rate * self.dwell.get())))
        return super().trigger()


def chosen_of(run: Run) -> list[float]:
    return [float(exposure_s) for exposure_s in run.decisions["exposure_s"]]


def test_each_point_is_exposed_as_was_decided_and_the_spot_in_full(tmp_path: Path) -> None:
    with open_session("smooth", seed=1, data_dir=tmp_path, progress=False) as session:
        uid, hotspot = session.run(session.find_hotspot(**ADAPTIVE))
        run = open_run(session.store, uid)
        assert session.instrument.device("det", "test").exposure_time.get() == 10.0
    assert run.primary["exposure_s"].tolist() == chosen_of(run)
    assert max(chosen_of(run)[:12]) < 2.0
    assert hotspot.confirmed
    assert run.result is not None
    assert run.result["confirmed"]
    assert 0.0 < run.result["p_right"] == hotspot.p_right <= 1.0
    assert max(chosen_of(run)[12:]) == 10.0
    assert run.decisions["reason"][-1] in ("confirm", "compare")
    # Patterns are brought to 10 s, and so is the value that is reported.
    truth = session.instrument.simulator.sample.rates(run.x, run.y).reshape(run.n_points, -1)
    np.testing.assert_allclose(run.patterns().sum(axis=1), 10.0 * truth.sum(axis=1), rtol=0.15)
    np.testing.assert_allclose(run.noise_ratios, 10.0 / np.array(chosen_of(run)))
    assert differing_decisions(run) == []


def test_a_run_that_died_goes_on_with_the_same_exposures(tmp_path: Path) -> None:
    with open_session("smooth", seed=1, data_dir=tmp_path, progress=False) as session:
        uid, _ = session.run(session.find_hotspot(**ADAPTIVE))
        whole = open_run(session.store, uid)
        lines = (session.store.record_dir / f"{uid}.jsonl").read_text().splitlines(keepends=True)
        died = str(uuid.uuid4())
        n = [i for i, line in enumerate(lines) if json.loads(line)[0] == "event"][15]
        record = session.store.record_dir / f"{died}.jsonl"
        record.write_text("".join(lines[:n]).replace(uid, died))
        resumed, hotspot = session.run(session.find_hotspot(resumes=Run.from_record(record)))
        run = open_run(session.store, resumed)
    n_before = run.steering["resumed_points"]
    assert n_before > 4
    assert chosen_of(run)[: n_before + 1] == chosen_of(whole)[: n_before + 1]
    assert run.primary["exposure_s"].tolist() == chosen_of(run)
    assert hotspot.confirmed
    assert differing_decisions(run) == []


def test_any_detector_is_told_by_the_signal_that_the_user_names(
    RE: RunEngine, documents: Any, axes: tuple[SynAxis, SynAxis]
) -> None:
    counter = Counter(axes)
    exposure = {"set": counter.dwell, "least_s": 0.05, "max_dose_s": 3.0}
    grid = {"x": list(range(0, 101, 10)), "y": list(range(0, 101, 10))}
    hotspot = RE(
        find_hotspot(
            counter, axes, grid=grid, budget=24, target="field:counter_counts", exposure=exposure
        )
    ).plan_result
    run = documents.run
    assert np.hypot(hotspot.best_x - 30, hotspot.best_y - 70) <= 10
    # Counts of 2 s, of which the start document has it that they are a look in full.
    assert run.steering["exposure_s"] == 2.0
    assert hotspot.best_value == pytest.approx(2.0 * 505.0, rel=0.2)
    assert min(chosen_of(run)) >= 0.05
    doses: dict[tuple[float, float], float] = {}
    for place, exposure_s in zip(run.positions, chosen_of(run), strict=True):
        doses[tuple(place)] = doses.get(tuple(place), 0.0) + exposure_s
    assert max(doses.values()) <= 3.0 + 1e-9
    assert counter.dwell.get() == 2.0
    assert differing_decisions(run) == []


def test_where_nothing_is_counted_no_spot_is_reported_as_confirmed(
    RE: RunEngine, documents: Any, axes: tuple[SynAxis, SynAxis]
) -> None:
    counter = Counter(axes)
    counter.rate, counter.ground = 0.0, 0.0
    exposure = {"set": counter.dwell}
    grid = {"x": list(range(0, 101, 20)), "y": list(range(0, 101, 20))}
    options: dict[str, Any] = {"grid": grid, "budget": 16, "target": "field:counter_counts"}
    hotspot = RE(find_hotspot(counter, axes, exposure=exposure, **options)).plan_result
    assert hotspot.n_measured == 16
    assert hotspot.remark.startswith("got 0 at all 16 points: the reported spot is none")
    assert not hotspot.confirmed
    assert np.isnan(hotspot.p_right)
    assert documents.run.result["confirmed"] is False
    assert differing_decisions(documents.run) == []
    assert not RE(find_hotspot(counter, axes, **options)).plan_result.confirmed


def test_a_rocking_scan_shares_the_exposure_among_its_frames(
    RE: RunEngine, documents: Any, mortal: SimulatedBeamline
) -> None:
    scan = rocking_scan(mortal.diffractometer.eta, -0.2, 0.2, 4)
    options = ADAPTIVE | {"target": "total", "budget": 8, "exposure_s": 1.0}
    RE(find_hotspot(mortal.det, mortal.stage, monitor=mortal.monitor, per_point=scan, **options))
    run = documents.run
    assert run.steering["looks"]["full_s"] == 4.0
    assert run.primary["exposure_s"].tolist() == (np.repeat(chosen_of(run), 4) / 4).tolist()


def test_what_cannot_choose_or_be_set_is_refused(
    RE: RunEngine, axes: tuple[SynAxis, SynAxis], counter: Any, mortal: SimulatedBeamline
) -> None:
    with pytest.raises(ValueError, match=r"got counter without one that is known"):
        RE(find_hotspot(counter, axes, exposure="adaptive"))
    with pytest.raises(ValueError, match=r"exposure must be 'adaptive', or a mapping with set"):
        RE(find_hotspot(counter, axes, exposure="quick"))
    with pytest.raises(ValueError, match=r"set of exposure must be a signal that can be set"):
        RE(find_hotspot(counter, axes, exposure={"set": "dwell"}))
    with pytest.raises(ExposureError, match=r"got SobolAgent; use agent='bayesian'"):
        RE(find_hotspot(mortal.det, mortal.stage, agent="sobol", exposure="adaptive"))
