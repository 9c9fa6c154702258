"""The FIB-SEM: an ion beam that takes slices off a specimen, and the microscope that looks on.

The mill knows positions, not steps. ``set(800.0)`` brings the face to a depth of 800 nm, however
deep it is now, and does nothing where the face is there already: a message that the RunEngine
replays after a pause cannot cut twice.
"""

from __future__ import annotations

from ophyd import Component, Device, EpicsSignal, EpicsSignalRO, Kind
from ophyd.status import DeviceStatus, StatusBase

from devices.connection import stop_if_connected
from devices.exposure import end_of
from devices.sem import ScanningElectronMicroscope
from devices.setting import Setting

__all__ = ["FibSemColumn", "IonMill", "MillError"]

TIMEOUT_MARGIN_S = 60.0
DEPTH_TOLERANCE_NM = 0.5


class MillError(RuntimeError):
    """The ion beam did not bring the face to where it was asked to."""


class FibSemColumn(ScanningElectronMicroscope):
    """The electron column of a FIB-SEM: a microscope that is refocused and shifted as slices go.

    Events carry what the plan changes from slice to slice, besides what they carry for
    `devices.ScanningElectronMicroscope`: focus (as the working distance) and beam shift. The image
    is corrected for the tilt of the face, so its pixels are square.
    """

    working_distance = Setting(
        EpicsSignal, "WorkingDistance", kind=Kind.normal, doc="focus: lens to face, mm"
    )
    beam_shift_x = Setting(
        EpicsSignal, "BeamShiftX", kind=Kind.normal, doc="of the field over the specimen, nm"
    )
    beam_shift_y = Setting(
        EpicsSignal, "BeamShiftY", kind=Kind.normal, doc="of the field over the specimen, nm"
    )
    beam_shift_range = Component(
        EpicsSignalRO, "BeamShiftRange", kind=Kind.config, doc="largest shift either way, nm"
    )


class IonMill(Device):
    """The ion beam, which mills the face of the specimen to a depth, nm from its first face.

    Events carry ``{name}_depth``, the depth to which the instrument says it has milled, and
    ``{name}_n_cuts``. Whether material really went is told by the images alone. Both live in the
    instrument, not here, so they outlast this process.

    Parameters
    ----------
    prefix : the part of the PV names that the signals share
    """

    target = Component(EpicsSignal, "Depth", kind=Kind.omitted, doc="to mill to, nm")
    depth = Setting(
        EpicsSignal, "Depth_RBV", kind=Kind.hinted, doc="milled to, nm; put it to correct it"
    )
    n_cuts = Component(EpicsSignalRO, "Cuts_RBV", kind=Kind.normal, doc="runs of the beam so far")
    start = Component(EpicsSignal, "Start", kind=Kind.omitted)
    busy = Component(EpicsSignalRO, "Busy", kind=Kind.omitted, auto_monitor=True)
    current = Setting(EpicsSignal, "Current", kind=Kind.config, doc="of the ion beam, pA")
    cut_time = Setting(EpicsSignal, "CutTime", kind=Kind.config, doc="of one run, s")

    def set(self, depth_nm: float) -> DeviceStatus:
        """Mill to a depth, nm; done at once where the face is there already or beyond.

        The status is done when the beam has ended its run, also when `stop` ended it: read
        ``depth`` to know how far it came. It fails when the run does not end in time.
        """
        status = DeviceStatus(self)
        if self.reached(depth_nm):
            status.set_finished()
            return status
        duration_s = float(self.cut_time.get())
        timeout_s = duration_s + TIMEOUT_MARGIN_S
        ended = end_of(self.busy, timeout_s=timeout_s)

        def on_ended(ended: StatusBase) -> None:
            if ended.success:
                status.set_finished()
            else:
                status.set_exception(
                    MillError(
                        f"{self.name} must end a cut of {duration_s:g} s within {timeout_s:g} s, "
                        "got none ended; check the ion beam and its connection"
                    )
                )

        ended.add_callback(on_ended)
        self.target.put(depth_nm)
        self.start.put(1, wait=False)
        return status

    def reached(self, depth_nm: float) -> bool:
        """Return whether the instrument says that it has milled to a depth, nm."""
        return bool(self.depth.get() >= depth_nm - DEPTH_TOLERANCE_NM)

    def stop(self, *, success: bool = False) -> None:
        """Blank the ion beam; a cut that is not finished counts as not done."""
        stop_if_connected(self.start)
        super().stop(success=success)
