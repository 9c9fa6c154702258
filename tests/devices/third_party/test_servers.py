"""Steering with devices of other makers over Channel Access and PV Access, against their servers.

Servers and clients are processes of their own on private ports.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

HERE = Path(__file__).parent
BRIGHTEST = [6.0, 3.0]
N_POINTS = 14


def free_ports(number: int) -> list[int]:
    """Return ports of the loopback that nobody uses, below those that are given to anybody."""
    ports: list[int] = []
    candidates = iter(random.Random().sample(range(20_000, 30_000), 1_000))
    with ExitStack() as stack:
        while len(ports) < number:
            port = next(candidates)
            tcp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            with suppress(OSError):
                tcp.bind(("127.0.0.1", port))
                udp.bind(("127.0.0.1", port))
                ports.append(port)
    return ports


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
    process = subprocess.Popen(
        [sys.executable, str(HERE / script)], cwd=folder, env=environment, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    with process:
        try:
            assert process.stdout is not None
            line = ""
            while line != "READY\n":
                assert select.select([process.stdout], [], [], 60)[0], f"{script} is not ready"
                line = process.stdout.readline()
                assert line, f"{script} ended with {process.wait()}"
            yield
        finally:
            process.terminate()
            process.wait(timeout=20)


def run_client(name: str, environment: dict[str, str], folder: Path) -> tuple[int, str, str]:
    """Run a way to steer; return its exit status and what it printed."""
    (folder / "detector").mkdir()
    command = [sys.executable, str(HERE / "clients.py"), name, "data", str(folder / "detector")]
    process = subprocess.Popen(
        command, cwd=folder, env=environment, text=True, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    with process:
        try:
            printed, errors = process.communicate(timeout=300)
        finally:  # with what it may have started, such as a repeater
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
    return process.returncode, printed, errors


def need(*modules: str) -> None:
    for module in modules:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed: pip install 'bl-steer[dev]'")


def steered(name: str, script: str, folder: Path) -> dict[str, Any]:
    environment = private_environment()
    with serving(script, environment, folder):
        status, printed, errors = run_client(name, environment, folder)
    assert status == 0, printed + errors
    assert "not complete in the catalogue" not in errors, errors
    assert "frames must lie where" not in errors, errors
    report: dict[str, Any] = json.loads(printed.splitlines()[-1])
    assert report["best"] == BRIGHTEST
    assert report["differing"] == []
    assert report["points"] == N_POINTS
    return report


@pytest.mark.parametrize(("name", "n_frames"), [("sim", 1), ("pilatus", 3), ("eiger", 1)])
def test_an_area_detector_with_its_hdf5_plugin_and_motor_records_find_the_brightest_spot(
    name: str, n_frames: int, tmp_path: Path
) -> None:
    need("caproto", "epics")
    report = steered(name, "areadetector_ioc.py", tmp_path)
    assert report["source"] == {"kind": "frames", "detector": "det"}
    assert report["frames"] == [N_POINTS, n_frames, 24, 32]


def test_a_plugin_that_does_not_write_in_swmr_mode_is_told_so_at_the_first_point(
    tmp_path: Path,
) -> None:
    need("caproto", "epics")
    environment = private_environment()
    with serving("areadetector_ioc.py", environment, tmp_path):
        status, _, errors = run_client("no-swmr", environment, tmp_path)
    assert status != 0
    assert "the frames of event 1 (det_image) must be readable within 5 s" in errors
    assert "(SWMR mode)" in errors


def test_positioners_and_a_counter_of_a_softioc_find_the_brightest_spot(tmp_path: Path) -> None:
    need("softioc", "epics")
    report = steered("softioc", "softioc_ioc.py", tmp_path)
    assert report["source"] == {"kind": "field", "key": "counter_counts"}


def test_images_over_pv_access_find_the_brightest_spot(tmp_path: Path) -> None:
    need("p4p")
    report = steered("pva", "ntndarray_server.py", tmp_path)
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
            status, printed, errors = run_client("pvapy", environment, tmp_path)
        finally:
            process.terminate()
            process.wait(timeout=20)
    assert status == 0, printed + errors
    numbers = json.loads(printed.splitlines()[-1])["numbers"]
    assert len(numbers) == 4
    for first, second, third in numbers:
        assert (second - first) % 8 == (third - second) % 8 == 1
