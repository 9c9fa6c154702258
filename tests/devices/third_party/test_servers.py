"""Steering with devices of other makers over Channel Access and PV Access, against their servers.

Servers and clients are processes of their own on private ports.
"""

from __future__ import annotations

import importlib.util
import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import fork_server
from tests.simulators.epics.soft_ioc import free_ports

HERE = Path(__file__).parent
BRIGHTEST = [6.0, 3.0]
N_POINTS = 14


def private_environment() -> dict[str, str]:
    server, repeater, pva, broadcast = free_ports(4)
    return {
        **os.environ,
        "EPICS_CA_ADDR_LIST": "127.0.0.1",
        "EPICS_CA_AUTO_ADDR_LIST": "NO",
        "EPICS_CAS_INTF_ADDR_LIST": "127.0.0.1",
        "EPICS_CAS_AUTO_BEACON_ADDR_LIST": "NO",
        "EPICS_CA_SERVER_PORT": str(server),
        "EPICS_CA_REPEATER_PORT": str(repeater),
        "EPICS_CA_MAX_ARRAY_BYTES": "10000000",
        "EPICS_PVA_ADDR_LIST": "127.0.0.1",
        "EPICS_PVA_AUTO_ADDR_LIST": "NO",
        "EPICS_PVA_SERVER_PORT": str(pva),
        "EPICS_PVA_BROADCAST_PORT": str(broadcast),
        "EPICS_PVAS_INTF_ADDR_LIST": "127.0.0.1",
        "EPICS_PVAS_AUTO_BEACON_ADDR_LIST": "NO",
        "EPICS_PVAS_SERVER_PORT": str(pva),
        "EPICS_PVAS_BROADCAST_PORT": str(broadcast),
        "OMP_NUM_THREADS": "1",
    }


@contextmanager
def serving(script: str, environment: dict[str, str], folder: Path) -> Iterator[None]:
    """Run a server until it is done with."""
    process = fork_server.Popen(
        [sys.executable, str(HERE / script)], cwd=folder, env=environment, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    with process:
        try:
            assert process.stdout is not None
            line = ""
            while line != "READY\n":
                assert select.select([process.stdout], [], [], 120)[0], f"{script} is not ready"
                line = process.stdout.readline()
                assert line, f"{script} ended with {process.wait()}"
            yield
        finally:
            process.terminate()
            process.wait(timeout=120)


def run_client(
    folder: Path, environment: dict[str, str], *names: str
) -> tuple[int, list[dict[str, Any]], str]:
    """Steer by some ways, in one process; return its exit status, reports and error output."""
    detector = folder / "detector"
    detector.mkdir(exist_ok=True)
    command = [sys.executable, str(HERE / "clients.py"), "data", str(detector), *names]
    process = fork_server.Popen(
        command, cwd=folder, env=environment, text=True, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    with process:
        try:
            printed, errors = process.communicate(timeout=300)
        finally:  # with what it may have started, such as a repeater
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
    lines = [line for line in printed.splitlines() if line.startswith("{")]
    return process.returncode, [json.loads(line) for line in lines], errors


def need(*modules: str) -> None:
    for module in modules:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed: pip install 'bl-steer[dev]'")


def steered(folder: Path, environment: dict[str, str], *names: str) -> list[dict[str, Any]]:
    status, reports, errors = run_client(folder, environment, *names)
    assert status == 0, errors
    assert "not complete in the catalogue" not in errors, errors
    assert "frames must lie where" not in errors, errors
    for report in reports:
        assert report["best"] == BRIGHTEST
        assert report["differing"] == []
        assert report["points"] == N_POINTS
    return reports


def test_an_area_detector_with_its_hdf5_plugin_and_motor_records_find_the_brightest_spot(
    tmp_path: Path,
) -> None:
    need("caproto", "epics")
    environment = private_environment()
    n_frames = {"sim": 1, "pilatus": 3, "eiger": 1}
    with serving("areadetector_ioc.py", environment, tmp_path):
        reports = steered(tmp_path, environment, *n_frames)
        # A plugin that does not write in SWMR mode is told so at the first point.
        status, _, errors = run_client(tmp_path, environment, "no-swmr")
    assert [report["source"] for report in reports] == [{"kind": "frames", "detector": "det"}] * 3
    assert [report["frames"] for report in reports] == [
        [N_POINTS, n, 24, 32] for n in n_frames.values()
    ]
    assert status != 0
    assert "the frames of event 1 (det_image) must be readable within 5 s" in errors
    assert "(SWMR mode)" in errors


def test_positioners_and_a_counter_of_a_softioc_find_the_brightest_spot(tmp_path: Path) -> None:
    need("softioc", "epics")
    environment = private_environment()
    with serving("softioc_ioc.py", environment, tmp_path):
        (report,) = steered(tmp_path, environment, "softioc")
    assert report["source"] == {"kind": "field", "key": "counter_counts"}


def test_images_over_pv_access_find_the_brightest_spot(tmp_path: Path) -> None:
    need("p4p")
    environment = private_environment()
    with serving("ntndarray_server.py", environment, tmp_path):
        (report,) = steered(tmp_path, environment, "pva")
    assert report["source"] == {"kind": "frames", "detector": "det"}
    assert report["frames"] == [N_POINTS, 1, 24, 32]


def test_each_image_that_pvapys_simulated_detector_sends_is_stored_in_its_order(
    tmp_path: Path,
) -> None:
    need("p4p", "pvapy")
    environment = private_environment()
    simulator = Path(sys.executable).with_name("pvapy-ad-sim-server")
    np.save(tmp_path / "images.npy", np.arange(8 * 6 * 9, dtype="u2").reshape(8, 6, 9))
    command = [str(simulator), "-cn", "SIM:image", "-if", "images.npy", "-fps", "20", "-rt", "300"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    with process:
        try:
            status, reports, errors = run_client(tmp_path, environment, "pvapy")
        finally:
            process.terminate()
            process.wait(timeout=120)
    assert status == 0, errors
    numbers = reports[0]["numbers"]
    assert len(numbers) == 4
    for first, second, third in numbers:
        assert (second - first) % 8 == (third - second) % 8 == 1
