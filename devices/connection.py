"""What a device does about a control system that goes away while it is used."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ophyd import Device
from ophyd.status import StatusBase
from ophyd.utils.errors import InvalidState

__all__ = ["fail", "fail_when_lost", "silent_records"]


def silent_records(device: Device) -> str:
    """Return the records of a device that do not answer, written in a row; none, where all do."""
    signals = [walk.item for walk in device.walk_signals()]
    names = [getattr(s, "pvname", device.prefix) for s in signals if not s.connected]
    return ", ".join(dict.fromkeys(name.split(".")[0] for name in names))


def fail(status: StatusBase, error: Exception) -> None:
    """Let a status fail, if nothing has ended it already."""
    with suppress(InvalidState):
        status.set_exception(error)


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
