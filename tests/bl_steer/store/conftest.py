"""A store with two runs, and what runs the smallest beamline into any store."""

import pytest
from bluesky import RunEngine

from bl_steer.store import Store
from tests.bl_steer import minimal_instrument as instrument


@pytest.fixture(scope="package")
def make_engine():
    engines = []

    def make(metadata=None):
        engines.append(RunEngine({} if metadata is None else metadata))
        return engines[-1]

    yield make
    for engine in engines:
        engine.loop.call_soon_threadsafe(engine.loop.stop)
        engine._th.join()
        engine.loop.close()


@pytest.fixture(scope="package")
def measure(make_engine):
    def measure(store, n_points=4):
        engine = make_engine(store.metadata)
        store.subscribe_to(engine)
        (uid,) = engine(instrument.Beamline(store).plan(n_points))
        return uid

    return measure


@pytest.fixture(scope="package")
def shared(tmp_path_factory, measure):
    """An open store at a path with a space and percent signs, and the uids of its two runs."""
    with Store.open(tmp_path_factory.mktemp("shared") / "my data 100%20") as store:
        yield store, [measure(store, 2), measure(store, 4)]


@pytest.fixture
def beamline(shared):
    return instrument.Beamline(shared[0])
