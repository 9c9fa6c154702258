"""What a user says of a run: merged with what is known, or refused before anything moves."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bluesky.plans as bp
import numpy as np
import pytest

from bl_steer.agents import Space
from bl_steer.runs import list_runs, open_run
from bl_steer.session import Instrument, Session, fibsem, film, microscope, open_session
from bl_steer.store import Store

GRID = Space.grid([0.0, 50.0], [0.0, 50.0])
KNOWN = {"name": "film 7", "cell": {"a": 1.0, "b": 2.0}, "unit": "um"}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    simulated = film("smooth")
    instrument = Instrument(simulated.title, simulated.devices, KNOWN, simulated.simulator)
    folder = tmp_path_factory.mktemp("data")
    with open_session(instrument, data_dir=folder, progress=False) as opened:
        yield opened


def start_of(session: Session, plan: Any, **metadata: Any) -> dict[str, Any]:
    (uid,) = session.RE(plan, **metadata).run_start_uids
    return dict(open_run(session.store, uid).start)


@pytest.mark.parametrize(
    ("md", "sample"),
    [
        ({}, KNOWN),
        ({"operator": "me"}, KNOWN),
        ({"sample": "SiGe-07"}, {**KNOWN, "name": "SiGe-07"}),
        ({"sample": {"name": "シリコン 45 %"}}, {**KNOWN, "name": "シリコン 45 %"}),
        ({"sample": {"batch": 3}}, {**KNOWN, "batch": 3}),
        ({"sample": {"cell": {"a": 5.0}}}, {**KNOWN, "cell": {"a": 5.0, "b": 2.0}}),
        ({"sample": {"cell": "cubic"}}, {**KNOWN, "cell": "cubic"}),
    ],
)
def test_sample_is_merged_and_the_users_words_win(
    session: Session, md: dict[str, Any], sample: dict[str, Any]
) -> None:
    start = start_of(session, session.map_sample(grid=GRID, md=md))
    assert start["sample"] == sample
    assert start.items() >= {key: v for key, v in md.items() if key != "sample"}.items()


def test_what_is_nearer_to_the_run_wins_key_by_key(session: Session) -> None:
    session.RE.md["sample"] = {"name": "from RE.md", "a": "RE.md", "b": "RE.md"}
    try:
        plan = session.map_sample(grid=GRID, md={"sample": {"a": "plan", "c": "plan"}})
        sample = start_of(session, plan, sample={"a": "call"})["sample"]
    finally:
        del session.RE.md["sample"]
    assert sample == {**KNOWN, "name": "from RE.md", "a": "call", "b": "RE.md", "c": "plan"}


def test_instrument_that_knows_no_sample_adds_none(tmp_path: Path) -> None:
    instrument = Instrument("ours", film("smooth").devices)
    with open_session(instrument, data_dir=tmp_path, progress=False) as session:
        assert "sample" not in start_of(session, session.map_sample(grid=GRID))
        named = start_of(session, session.map_sample(grid=GRID, md={"sample": "SiGe-07"}))
        assert named["sample"] == {"name": "SiGe-07"}


PLANS: dict[str, tuple[Callable[[], Instrument], str]] = {
    "find_hotspot": (lambda: film("smooth"), "exposure_s"),
    "map_sample": (lambda: film("smooth"), "exposure_s"),
    "take_micrographs": (lambda: microscope(shape=(64, 64)), "pixel_size_nm"),
    "slice_and_view": (lambda: fibsem(shape=(128, 64)), "pixel_size_nm"),
}


@pytest.mark.parametrize("name", PLANS)
def test_plan_refuses_md_before_anything_is_set(name: str, tmp_path: Path) -> None:
    make, option = PLANS[name]
    instrument = make()
    with open_session(instrument, data_dir=tmp_path, progress=False) as session:
        before = {key: device.read_configuration() for key, device in session.devices.items()}
        for key in ("steering", "versions", "slices", "conditions", "plan_name", "uid", "analysis"):
            with pytest.raises(ValueError, match=f"md must not hold .* got the reserved '{key}'"):
                session.RE(getattr(session, name)(**{option: 7.0}, md={key: "mine"}))
        with pytest.raises(ValueError, match=r"md\['T'\] must be finite .* got nan; md\['u'\]"):
            session.RE(getattr(session, name)(**{option: 7.0}, md={"T": np.nan, "u": -np.inf}))
        with pytest.raises(ValueError, match="md must be a dictionary of metadata, got 'mine'"):
            session.RE(getattr(session, name)(**{option: 7.0}, md="mine"))
        after = {key: device.read_configuration() for key, device in session.devices.items()}
        assert after == before
        assert instrument.clock is not None
        assert instrument.clock.elapsed_s == 0.0
        assert list_runs(session.store) == []


def test_call_of_the_run_engine_refuses_reserved_keys(session: Session) -> None:
    before = len(list_runs(session.store))
    with pytest.raises(ValueError, match=r"RE\(plan, …\) must not hold .* reserved 'steering'"):
        session.RE(session.map_sample(grid=GRID), steering="mine")
    session.RE.md["slices"] = 7
    try:
        with pytest.raises(ValueError, match=r"RE\.md must not hold .* got the reserved 'slices'"):
            session.RE(session.map_sample(grid=GRID))
    finally:
        del session.RE.md["slices"]
    assert len(list_runs(session.store)) == before


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (float("inf"), "must be finite"),
        (2**53, "at most 2⁵³ - 1"),
        (-6.02e23, "at most 2⁵³ - 1"),
        (np.array([1.0, np.nan]), r"\['x'\]\[1\] must be finite"),
        ({1: "a"}, "keys of .* must be text without"),
        ({"a.b": 1}, "keys of .* must be text without"),
        ({"": 1}, "keys of .* must be text without"),
        (datetime.datetime(2026, 1, 5), "must be what JSON can hold"),
        (b"bytes", "must be what JSON can hold"),
        ({"a", 1}, "must be a set of values of one kind"),
        ("\ud800", "must be Unicode text"),
    ],
)
def test_what_cannot_be_stored_exactly_is_refused(
    session: Session, value: Any, problem: str
) -> None:
    before = len(list_runs(session.store))
    det = session.devices["monitor"]
    with pytest.raises(ValueError, match=problem):
        session.RE(bp.count([det], md={"x": value}))
    with pytest.raises(ValueError, match=problem):
        session.RE(bp.count([det]), x=value)
    with pytest.raises(ValueError, match=problem):
        session.RE.md["x"] = value
    assert "x" not in session.RE.md
    assert len(list_runs(session.store)) == before


def test_change_within_the_metadata_of_the_run_engine_is_checked_too(session: Session) -> None:
    session.RE.md["proposal"] = {"id": 7}
    try:
        session.RE.md["proposal"]["temperature_K"] = float("nan")
        with pytest.raises(ValueError, match=r"metadata\['proposal'\].* must be finite"):
            session.RE(bp.count([session.devices["monitor"]]))
    finally:
        del session.RE.md["proposal"]


@pytest.mark.parametrize("sample", [7, ["a"], None])
def test_sample_that_is_neither_name_nor_dictionary_is_refused(
    session: Session, sample: Any
) -> None:
    with pytest.raises(ValueError, match="a sample must be a name or a dictionary, got"):
        session.RE(bp.count([session.devices["monitor"]], md={"sample": sample}))


@pytest.mark.parametrize(
    "md",
    [
        {"analyses": ["no such analysis"]},
        {"x": float("nan")},
        {"sample": 7},
        {"steering": "mine"},
    ],
)
def test_refused_run_uses_up_no_scan_id(session: Session, md: dict[str, Any]) -> None:
    count = [session.devices["monitor"]]
    before = start_of(session, bp.count(count))["scan_id"]
    with pytest.raises(ValueError, match="must"):
        session.RE(bp.count(count), **md)
    assert start_of(session, bp.count(count))["scan_id"] == before + 1


def test_scan_id_of_a_refused_run_stays_where_others_have_counted_on(session: Session) -> None:
    metadata = session.store.metadata
    refused, later = metadata.next_scan_id(), metadata.next_scan_id()
    metadata.give_back(refused)
    assert metadata.next_scan_id() == later + 1


def test_metadata_read_back_from_catalogue_and_record_as_they_were(session: Session) -> None:
    md = {
        "T": np.float64(3.5),
        "counts": np.arange(3),
        "on": np.bool_(True),
        "path": Path("some/path"),
        "tags": {"b", "a"},
        "pair": (1, (2, 3)),
        "largest": 2**53 - 1,
        "nothing": None,
    }
    plain = {
        "T": 3.5,
        "counts": [0, 1, 2],
        "on": True,
        "path": "some/path",
        "tags": ["a", "b"],
        "pair": [1, [2, 3]],
        "largest": 2**53 - 1,
        "nothing": None,
    }
    (uid,) = session.RE(bp.count([session.devices["monitor"]], md=md)).run_start_uids
    folder = session.store.path
    with Store.open(folder) as store:
        store.sync()
        start = store.catalog[uid].metadata["start"]
        assert {key: start[key] for key in plain} == plain
        record = open_run(store, uid).start
        assert {key: record[key] for key in plain} == plain
