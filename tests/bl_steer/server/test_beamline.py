"""A run at the beamline, analysed by a real server: up, down, hanging, and refusing."""

from __future__ import annotations

import importlib.util
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from bl_steer.agents import Space
from bl_steer.analysis import analyses_of, digest_of, find_analysis, make_params, open_analysis
from bl_steer.processing.executors.server_job import Server, execute_on_server
from bl_steer.processing.input_files import are_exact_inputs, read_exact_inputs, write_exact_inputs
from bl_steer.processing.job import Job
from bl_steer.processing.requests import Request
from bl_steer.protocols import Inputs
from bl_steer.runs import open_run
from bl_steer.server.jobs.worker import Worker
from bl_steer.server.sandbox.run import sandbox_problem
from bl_steer.session import open_session
from bl_steer.store import Store

PARAMS = {"n_components": 2, "n_bootstrap": 100}
ADVICE = {"method": "random", "n_points": 2}


def _site() -> ModuleType:
    name = "service_tests_site"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("site.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@contextmanager
def server(folder: Path) -> Iterator[tuple[str, str]]:
    """Run access point and worker; yield address and key."""
    with _site().running_site(folder, poll_s=0.05, job_niceness=0) as site:
        worker = Worker(site.context.settings, name="w")
        thread = threading.Thread(target=worker.run, daemon=True)
        thread.start()
        try:
            yield site.address, site.key(site.user())
        finally:
            worker.stop()
            thread.join(20.0)
            worker.database.close()


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("data")
    grid = Space.grid(np.linspace(0.0, 150.0, 4), np.linspace(0.0, 150.0, 4))
    with open_session("smooth", seed=1, data_dir=folder, progress=False) as session:
        uid, _ = session.run(session.map_sample(grid=grid))
    return folder, str(uid)


def direct(folder: Path, uid: str, name: str, params: dict[str, Any]) -> str:
    analysis = find_analysis(name)
    with Store.open(folder) as store:
        inputs = analysis.inputs_of(open_run(store, uid))
    return digest_of(analysis.run(inputs, make_params(analysis, params)))


def carried_out(
    folder: Path, uid: str, at: Server, name: str = "advise", params: Any = ADVICE
) -> dict[str, Any]:
    with Store.open(folder) as store:
        job = Job.of(store, Request(uid, name, params))
        (_, start), *_, (_, stop) = execute_on_server(at, job)
    return {**start["analysis"], "reason": stop["reason"], "frames": folder / "frames"}


needs_sandbox = pytest.mark.skipif(bool(sandbox_problem()), reason=sandbox_problem() or "-")


@needs_sandbox
def test_a_run_is_analysed_by_the_server_and_its_result_stored_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"analyses": [{"name": "components", "params": PARAMS}]}
    grid = Space.grid(np.linspace(0.0, 150.0, 4), np.linspace(0.0, 150.0, 4))
    with server(tmp_path / "service") as (address, key):
        monkeypatch.setenv("BL_STEER_SERVER", address)
        monkeypatch.setenv("BL_STEER_SERVER_KEY", key)
        with open_session("smooth", seed=1, data_dir=tmp_path / "d", progress=False) as session:
            uid, _ = session.run(session.map_sample(grid=grid, md=asked))
            assert session.wait_for_analyses(120.0)
    with Store.open(tmp_path / "d") as store:
        (stored,) = analyses_of(store, uid)
        result = open_analysis(store, stored)
        recorded = open_run(store, stored).start["analysis"]
    assert recorded["provenance"]["server"]["url"] == address
    assert recorded["provenance"]["source"] == {"run": uid}
    here = direct(tmp_path / "d", uid, "components", PARAMS)
    assert recorded["digest"] == digest_of(result) == here
    assert result.figures["maps"]().size[0] > 100


@needs_sandbox
def test_the_same_request_is_one_job_and_a_failed_one_can_be_repeated(
    measured: tuple[Path, str], tmp_path: Path
) -> None:
    with server(tmp_path) as (address, key):
        at = Server(address, key)
        first, second = (carried_out(*measured, at) for _ in range(2))
        assert first["provenance"]["server"]["job"] == second["provenance"]["server"]["job"]
        assert first["digest"] == direct(*measured, "advise", ADVICE)
        unfit = {"method": "random", "pitch": 1e-3}
        failures = [carried_out(*measured, at, params=unfit)["reason"] for _ in range(2)]
    assert all("the pitch must give" in reason for reason in failures)


def test_a_server_that_is_down_costs_nothing_but_a_moment(measured: tuple[Path, str]) -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    about = carried_out(*measured, Server(f"http://127.0.0.1:{port}", "k", patience_s=0.2))
    assert about["digest"] == direct(*measured, "advise", ADVICE)
    assert "server" not in about["provenance"]


def test_a_server_that_hangs_costs_nothing_but_its_patience(measured: tuple[Path, str]) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        about = carried_out(*measured, Server(url, "k", patience_s=0.3))
    assert about["digest"] == direct(*measured, "advise", ADVICE)


def test_a_server_that_knows_neither_key_nor_analysis_is_done_without(
    measured: tuple[Path, str], tmp_path: Path
) -> None:
    with _site().running_site(tmp_path) as site:
        wrong = carried_out(*measured, Server(site.address, "bls_wrong", patience_s=1.0))
        key = site.key(site.user())
        place = "bl_steer.analysis.advice:SteeringAdvice"
        unknown = carried_out(*measured, Server(site.address, key, patience_s=1.0), place)
    assert wrong["digest"] == unknown["digest"] == direct(*measured, "advise", ADVICE)


def test_inputs_come_back_exactly(tmp_path: Path) -> None:
    arrays = {"field_000": np.arange(6, dtype=np.uint8).reshape(2, 3), "x": np.array([0.1, np.nan])}
    given = Inputs(arrays, {"pixel_size_nm": [1.5, None], "n": np.int64(3)}, {"run": "u"})
    path = tmp_path / "i.npz"
    write_exact_inputs(given, path)
    read = read_exact_inputs(path)
    assert are_exact_inputs(path)
    assert list(read.arrays) == list(arrays)
    for name, array in arrays.items():
        assert np.array_equal(read.arrays[name], array, equal_nan=array.dtype.kind == "f")
        assert read.arrays[name].dtype == array.dtype
    assert read.metadata == {"pixel_size_nm": [1.5, None], "n": 3}
    np.savez(tmp_path / "other.npz", x=[1.0])
    assert not are_exact_inputs(tmp_path / "other.npz")
    with pytest.raises(ValueError, match="this library wrote"):
        read_exact_inputs(tmp_path / "other.npz")
