"""A session on each instrument: simulated film, microscope and FIB-SEM, and one of the user's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ophyd.sim import SynAxis, SynGauss

from bl_steer.agents import Space
from bl_steer.runs import open_run
from bl_steer.session import (
    Instrument,
    Session,
    fibsem,
    film,
    interactive_session,
    microscope,
    open_session,
    simulated,
)
from bl_steer.store import Store
from simulators.film import RecordedMap, SimulatedBeamline, true_map

GRID = Space.grid([0.0, 50.0], [0.0, 50.0])
SIMULATED: dict[str, tuple[Callable[[], Instrument], set[str]]] = {
    "film": (lambda: film("smooth", seed=2), {"det", "stage", "monitor", "diffractometer"}),
    "microscope": (lambda: microscope("network", seed=2, shape=(64, 64)), {"sem", "stage"}),
    "FIB-SEM": (lambda: fibsem("network", seed=2, shape=(128, 64)), {"sem", "mill"}),
}


@pytest.mark.parametrize("kind", SIMULATED)
def test_simulated_instrument_has_devices_clock_and_sample(kind: str) -> None:
    make, devices = SIMULATED[kind]
    instrument = make()
    assert set(instrument.devices) == devices
    assert instrument.clock is instrument.simulator.clock is not None
    assert instrument.sample["name"] in ("sige-smooth-2", "network")
    assert instrument.title.startswith(f"simulated {'electron ' * (kind == 'microscope')}{kind}")
    assert "seed 2" in instrument.title


def test_truth_stands_behind_the_devices() -> None:
    sample = film("smooth", seed=2).simulator.sample
    assert np.isfinite(true_map(sample, "total")).all()
    assert microscope(shape=(64, 32)).simulator.truth(0.0, 0.0).shape == (64, 32)
    assert fibsem(shape=(128, 64)).simulator.truth().shape == (1, 128, 64)


@pytest.mark.parametrize("kind", SIMULATED)
def test_banner_says_what_to_type_and_which_devices_there_are(kind: str, tmp_path: Path) -> None:
    make, devices = SIMULATED[kind]
    session, banner = interactive_session(make(), data_dir=tmp_path)
    with session:
        assert f"bl_steer session: {session.instrument.title}; runs are kept in" in banner
        assert session.instrument.first_steps in banner
        assert f"devices: {', '.join(session.devices)}" in banner
        assert devices <= session.namespace().keys()
    assert ("live map" in banner) == (kind == "film")


@pytest.mark.parametrize(
    ("instrument", "plan", "missing"),
    [
        (film("smooth"), "slice_and_view", "sem"),
        (film("smooth"), "take_micrographs", "sem"),
        (microscope(shape=(64, 64)), "slice_and_view", "mill"),
        (microscope(shape=(64, 64)), "map_sample", "det"),
        (fibsem(shape=(128, 64)), "find_hotspot", "det"),
    ],
)
def test_plan_without_its_devices_is_refused(
    instrument: Instrument, plan: str, missing: str, tmp_path: Path
) -> None:
    with (
        open_session(instrument, data_dir=tmp_path, progress=False) as session,
        pytest.raises(ValueError, match=rf"{plan} needs a device '{missing}', got .* of simulated"),
    ):
        getattr(session, plan)()


def measure(session: Session) -> str:
    return session.run(session.map_sample(grid=GRID))[0]


def test_preset_or_sample_stand_for_the_film(tmp_path: Path) -> None:
    with open_session("smooth", seed=3, exposure_s=2.0, data_dir=tmp_path) as session:
        assert session.instrument.title == "simulated film 'smooth', seed 3"
        assert session.devices["det"].exposure_time.get() == 2.0
    x, y = (axis.ravel() for axis in np.meshgrid([0.0, 1.0, 2.0], [0.0, 1.0, 2.0]))
    sample = RecordedMap(x, y, (x + y)[:, None], name="ramp")
    with open_session(sample, data_dir=tmp_path) as session:
        assert session.instrument.title == "simulated beamline, sample 'ramp'"
        assert session.instrument.simulator.sample is sample


def test_devices_by_name_are_an_instrument(tmp_path: Path) -> None:
    x = SynAxis(name="x")
    det = SynGauss("det", x, "x", center=1, Imax=10, sigma=1)
    with Store.open(tmp_path) as store, Session(store, {"x": x, "det": det}) as session:
        plan = session.namespace()["map_sample"]
        uid, _ = session.run(plan(det, x, grid={"x": [0, 1, 2]}))
        assert open_run(store, uid).total.argmax() == 1


@pytest.mark.parametrize("seed", [-1, 2**63, 1.5, "7", True])
@pytest.mark.parametrize("name", ["beamline", "microscope", "fibsem"])
def test_what_is_no_seed_is_refused_in_one_line(name: str, seed: Any) -> None:
    with pytest.raises(ValueError, match=r"seed must be a whole number, .* got .*; t"):
        simulated(name, seed=seed)


def test_seed_beside_an_instrument_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"seed must be left out .* got \{'seed': 1\} with simula"):
        open_session(film("smooth"), seed=1, data_dir=tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_instrument_of_ones_own_stores_its_frames_and_sample(tmp_path: Path) -> None:
    devices = SimulatedBeamline(film("smooth").simulator.sample).devices
    instrument = Instrument("the beamline next door", devices, {"name": "SiGe-07"})
    with open_session(instrument, data_dir=tmp_path, progress=False) as session:
        run = open_run(session.store, measure(session))
        assert run.start["sample"] == {"name": "SiGe-07"}
        assert run.patterns().shape[0] == len(GRID.points)
    assert instrument.clock is None


def test_instrument_goes_from_one_session_to_the_next(tmp_path: Path) -> None:
    instrument = film("smooth")
    for folder in (tmp_path / "first", tmp_path / "second"):
        with open_session(instrument, data_dir=folder, progress=False) as session:
            measure(session)
        assert len(list((folder / "frames").rglob("*.h5"))) == 1


def test_frames_folder_of_the_users_own_is_left_as_it_is(tmp_path: Path) -> None:
    instrument = film("smooth")
    instrument.devices["det"].frames_dir = tmp_path / "mine"
    with open_session(instrument, data_dir=tmp_path / "data", progress=False):
        assert instrument.devices["det"].frames_dir == tmp_path / "mine"
    assert instrument.devices["det"].frames_dir == tmp_path / "mine"
