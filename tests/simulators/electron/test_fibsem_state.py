"""The state of a simulated FIB-SEM: it reads back as written, or is refused with the remedy."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.electron.fibsem_state import FibSemState

STATE = FibSemState(
    family="grains",
    seed=3,
    shape=(64, 96),
    z_nm=412.25,
    wander_um=-0.1,
    face=20,
    exposures=2,
    drift_nm=(3.5, -4.25),
    mill_depth_nm=400.0,
    n_cuts=21,
    working_distance_mm=4.0,
    beam_shift_nm=(0.0, 12.5),
)


def test_a_state_reads_back_as_it_was_written(tmp_path: Path) -> None:
    STATE.write(tmp_path / "state.json")
    assert FibSemState.read(tmp_path / "state.json") == STATE


def test_a_later_state_replaces_the_one_before_and_leaves_no_draft(tmp_path: Path) -> None:
    STATE.write(tmp_path / "state.json")
    later = replace(STATE, face=21, z_nm=432.5)
    later.write(tmp_path / "state.json")
    assert FibSemState.read(tmp_path / "state.json") == later
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


@given(st.floats(allow_nan=False), st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)))
def test_every_bit_of_a_number_reads_back(
    tmp_path_factory: pytest.TempPathFactory, z_nm: float, drift_nm: tuple[float, float]
) -> None:
    path = tmp_path_factory.getbasetemp() / "every_bit.json"
    state = replace(STATE, z_nm=z_nm, drift_nm=drift_nm)
    state.write(path)
    assert FibSemState.read(path) == state


@pytest.mark.parametrize("name", [field.name for field in fields(FibSemState)])
def test_a_state_that_lacks_a_value_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "state.json"
    STATE.write(path)
    values = json.loads(path.read_text())
    del values[name]
    path.write_text(json.dumps(values))
    with pytest.raises(ValueError, match=f"{name}.* in .*remove the file to begin anew"):
        FibSemState.read(path)


def test_a_state_of_another_version_with_more_values_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    STATE.write(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "tilt_deg": 52.0}))
    with pytest.raises(ValueError, match="unexpected keyword argument 'tilt_deg'"):
        FibSemState.read(path)


@pytest.mark.parametrize("text", ["", "{", '{"family": "gra'])
def test_half_a_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(ValueError, match=r"must be readable, got .*remove the file"):
        FibSemState.read(tmp_path / "state.json")


@pytest.mark.parametrize("text", ["[]", "null", "3", '"grains"'])
def test_json_that_is_no_state_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(ValueError, match=r"must be readable, got .*remove the file"):
        FibSemState.read(tmp_path / "state.json")


def test_a_missing_file_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"No such file .*lost\.json"):
        FibSemState.read(tmp_path / "lost.json")
