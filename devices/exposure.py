"""One exposure of a detector, from the moment it is triggered until its frames are stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ophyd import Device
from ophyd.status import DeviceStatus, SubscriptionStatus

from devices.connection import fail, fail_when_lost, silent_records
from devices.frames_file import DetectorError

__all__ = ["Exposures", "falling_edge"]


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
        finished = SubscriptionStatus(device.busy, falling_edge, run=False, timeout=timeout_s)

        def on_finished(finished: SubscriptionStatus) -> None:
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
            elif not status.done:
                status.set_finished()

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


def falling_edge(*, value: int, old_value: int, **_: object) -> bool:
    """Return whether a busy flag has just fallen: what was under way has ended."""
    return bool(old_value == 1 and value == 0)
