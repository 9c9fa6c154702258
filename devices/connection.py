"""What a device does about a control system that goes away while it is used."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ophyd import Device
from ophyd.status import StatusBase
from ophyd.utils.errors import DisconnectedError, InvalidState

__all__ = ["fail", "fail_when_lost", "quieten_lost_statuses", "silent_records", "stop_if_connected"]


def silent_records(device: Device) -> str:
    """Return the records of a device that do not answer, written in a row; none, where all do."""
    signals = [walk.item for walk in device.walk_signals()]
    names = [getattr(s, "pvname", device.prefix) for s in signals if not s.connected]
    return ", ".join(dict.fromkeys(name.split(".")[0] for name in names))


def quieten_lost_statuses() -> None:
    """Let ophyd keep the tracebacks to itself that it logs of statuses without a connection.

    What a plan waits for says in a line which records are lost. Behind it each move has a status of
    ophyd's own, which ends later and reads the position of a motor that does not answer.
    """
    for name in ("ophyd", "ophyd.objects"):
        logging.getLogger(name).addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, DisconnectedError | InvalidState)


def stop_if_connected(signal: Any) -> None:
    """Write 0 to what a device is stopped by; a control system that is gone stops nothing."""
    if signal.connected:
        signal.put(0, wait=False)


def fail(status: StatusBase, error: Exception) -> None:
    """Let a status fail, if nothing has ended it already."""
    with suppress(InvalidState):
        status.set_exception(error)


def finish(status: StatusBase) -> None:
    """End a status, if nothing has ended it already.

    `status.done` does not tell: ophyd sets it in another thread, later.
    """
    with suppress(InvalidState):
        status.set_finished()


def fail_when_lost(
    status: StatusBase, signal: Any, explain: Callable[[], Exception]
) -> Callable[[], None]:
    """Let a status fail as soon as a signal loses its connection.

    Parameters
    ----------
    status : of what is under way
    signal : without which its end would not be seen
    explain : called for the error to fail with

    Returns
    -------
    stop : what ends the watch; the status ends it too
    """

    def on_change(*, connected: bool = True, **_: object) -> None:
        if not connected:
            stop()
            fail(status, explain())

    def stop() -> None:
        with suppress(KeyError):
            signal.unsubscribe(token)

    token = signal.subscribe(on_change, event_type=signal.SUB_META, run=False)
    status.add_callback(lambda _: stop())
    if not signal.connected:
        on_change(connected=False)
    return stop
