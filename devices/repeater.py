"""The repeater of Channel Access's beacons, which each computer with EPICS clients needs one of."""

from __future__ import annotations

import socket
import threading
from typing import Any

import caproto
from caproto.sync import repeater

__all__ = ["start_repeater"]


class _AnsweredSocket:
    """A socket whose empty datagrams read as the request to register that they are.

    EPICS' own clients register so. caproto's repeater takes them in, but confirms only written
    requests; a client that gets no answer for a minute complains on the terminal.
    """

    def __init__(self, bound: socket.socket) -> None:
        self._socket = bound

    def recvfrom(self, size: int) -> tuple[bytes, Any]:
        """Return the next datagram, and who sent it."""
        message, sender = self._socket.recvfrom(size)
        return message or bytes(caproto.RepeaterRegisterRequest("0.0.0.0")), sender

    def sendto(self, message: bytes, address: tuple[str, int]) -> int:
        """Send a datagram."""
        return self._socket.sendto(message, address)


def start_repeater() -> None:
    """Repeat the beacons of IOCs in this process, where no process of this computer does.

    Before the first device: Channel Access looks for a program that does it, and complains on the
    terminal that there is none.
    """
    address = ("0.0.0.0", caproto.get_environment_variables()["EPICS_CA_REPEATER_PORT"])
    try:
        bound = repeater.check_for_running_repeater(address)
    except repeater.RepeaterAlreadyRunning:
        return
    threading.Thread(
        target=repeater._run_repeater,  # `run` takes no socket
        args=(_AnsweredSocket(bound), address),
        daemon=True,
        name="CA repeater",
    ).start()
