"""One exposure of a detector, from the moment it is triggered until its frames are stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ophyd import Device
from ophyd.status import DeviceStatus, Status, StatusBase

from devices.connection import fail, fail_when_lost, finish, silent_records
from devices.frames_file import DetectorError

__all__ = ["Exposures", "end_of"]


class Exposures:
    """The exposures of a detector that shows by ``busy`` when one has ended.

    Parameters
    ----------
    device : the detector; has the signals ``acquire`` and ``busy``
    """

    def __init__(self, device: Device) -> None:
        self._device: Any = device
        self._latest: Any = None

    def check_connected(self) -> None:
        """Refuse to expose with a detector that does not answer."""
        if not self._device.connected:
            raise self._lost()

    def start(
        self, *, duration_s: float, timeout_s: float, store: Callable[[], None]
    ) -> DeviceStatus:
        """Expose; `store` what it gave. The status fails if the one or the other does.

        Parameters
        ----------
        duration_s : expected, s
        timeout_s : after which the exposure has failed, s
        store : called once, when the exposure has ended
        """
        device = self._device
        status = DeviceStatus(device)
        self._latest = status
        finished = end_of(device.busy, timeout_s=timeout_s)

        def on_finished(finished: StatusBase) -> None:
            if self._latest is not status:  # repeated after a pause: the repetition stores
                end(None)
                return
            try:
                if not finished.success:
                    raise DetectorError(
                        f"{device.name} must end {duration_s:g} s of exposure within "
                        f"{timeout_s:g} s, got none ended; check that it is armed and connected"
                    )
                store()
            except Exception as error:
                end(error)
            else:
                end(None)

        def end(error: Exception | None) -> None:
            if error is not None:
                fail(status, error)
            else:
                finish(status)

        fail_when_lost(status, device.busy, self._lost)
        finished.add_callback(on_finished)
        device.acquire.put(1, wait=False)
        return status

    def _lost(self) -> DetectorError:
        return DetectorError(
            f"{self._device.name} must answer while it exposes, got no connection to "
            f"{silent_records(self._device) or self._device.prefix}; check that its "
            "IOC runs, then run again"
        )


def end_of(busy: Any, *, timeout_s: float) -> Status:
    """Return a status that is done when a busy flag falls: what is begun now has ended then.

    It ends its subscription by number. Ophyd's `SubscriptionStatus` looks for it among those of the
    signal, which fails, and leaves it undone, where another thread ends one of them meanwhile.
    """
    status = Status(busy, timeout=timeout_s)

    def on_change(*, value: int, old_value: int, **_: object) -> None:
        if old_value == 1 and value == 0:
            finish(status)  # unless it has timed out, or fallen before

    token = busy.subscribe(on_change, run=False)
    status.add_callback(lambda _: busy.unsubscribe(token))
    return status
