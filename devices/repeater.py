"""The repeater of Channel Access's beacons, which each computer with EPICS clients needs one of."""

from __future__ import annotations

import logging
import threading
import time

import caproto
from caproto.sync import repeater

__all__ = ["start_repeater"]

START_S = 1.0

logger = logging.getLogger(__name__)


def start_repeater() -> None:
    """Repeat the beacons of IOCs in this process, where no process of this computer does.

    Before the first device: Channel Access looks for a program that does it, and complains on the
    terminal that there is none.
    """
    port = caproto.get_environment_variables()["EPICS_CA_REPEATER_PORT"]
    threading.Thread(target=repeater.run, daemon=True, name="CA repeater").start()
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        try:
            repeater.check_for_running_repeater(("0.0.0.0", port)).close()
        except repeater.RepeaterAlreadyRunning:
            return
        time.sleep(0.005)
    logger.warning("the port %s of the Channel Access repeater could not be taken", port)
