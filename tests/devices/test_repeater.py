"""The repeater in a process of its own, and what clients of Channel Access get from it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

caproto = pytest.importorskip("caproto", reason="the repeater is caproto's: pip install caproto")

SERVE = """
from devices.repeater import start_repeater

start_repeater()
start_repeater()  # there is one already
print("READY", flush=True)
input()
"""


def udp() -> socket.socket:
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(60.0)
    return client


@pytest.fixture(scope="module")
def repeater() -> Iterator[tuple[str, int]]:
    with udp() as free:
        free.bind(("127.0.0.1", 0))
        address = ("127.0.0.1", int(free.getsockname()[1]))
    environment = {**os.environ, "EPICS_CA_REPEATER_PORT": str(address[1])}
    with subprocess.Popen(
        [sys.executable, "-c", SERVE],
        env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "READY\n"
        yield address
        process.communicate("\n", timeout=60)


@pytest.mark.parametrize("registration", [b"", bytes(caproto.RepeaterRegisterRequest("0.0.0.0"))])
def test_a_client_is_confirmed_that_registers_with_nothing_as_those_of_epics_do(
    repeater: tuple[str, int], registration: bytes
) -> None:
    with udp() as client:
        client.sendto(registration, repeater)
        answer = client.recv(1024)
    assert int.from_bytes(answer[:2], "big") == caproto.RepeaterConfirmResponse.ID


def test_a_beacon_goes_to_every_client(repeater: tuple[str, int]) -> None:
    with udp() as client, udp() as ioc:
        client.sendto(b"", repeater)
        client.recv(1024)  # the confirmation
        beacon = bytes(caproto.Beacon(13, 5064, 1, "127.0.0.1"))
        ioc.sendto(beacon, repeater)
        assert client.recv(1024) == beacon
