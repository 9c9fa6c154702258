"""Exposure times: one for a whole run, or one for each point, as the agent chooses it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import bluesky.plan_stubs as bps
from bluesky.protocols import Movable
from bluesky.utils import FailedStatus, MsgGenerator

from bl_steer.agents.looks import Looks
from plans.stubs.rows import Row
from plans.stubs.timeouts import exposure_s_of

__all__ = [
    "EXPOSURE_KEY",
    "Exposures",
    "check_exposure",
    "exposure_option",
    "exposure_signal",
    "set_exposure",
]

EXPOSURE_KEY = "exposure_s"
"""Data key of the exposure time of a frame, in each event of a run whose agent chooses it."""
EXPOSURE_OPTIONS = ("set", "least_s", "max_dose_s")


def check_exposure(exposure_s: Any, detector: Any) -> None:
    """Refuse an exposure time that the detector cannot take; None leaves its own.

    Raises
    ------
    ValueError
        For a time that is no time, and for a detector without one to set.
    """
    if exposure_s is None:
        return
    is_number = isinstance(exposure_s, Real) and not isinstance(exposure_s, bool)
    if not is_number or not 0.0 < exposure_s < math.inf:
        got = f"{exposure_s:g} s" if is_number else repr(exposure_s)
        raise ValueError(f"exposure_s must be positive and finite, got {got}; try exposure_s=10")
    if exposure_signal(detector) is None:
        raise ValueError(
            f"exposure_s must be left out where the detector has no exposure time to set, got "
            f"{exposure_s:g} s for {detector.name}; set its exposure before the run"
        )


def set_exposure(detector: Any, exposure_s: float) -> MsgGenerator[None]:
    """Set the exposure time of a detector's frames."""
    yield from bps.mv(exposure_signal(detector), exposure_s)


def exposure_signal(detector: Any) -> Any:
    """Return the signal of the exposure time of a frame, by the names it usually has; or None."""
    for path in ("exposure_time", "cam.acquire_time", "driver.acquire_time", "preset_time"):
        signal = detector
        for name in path.split("."):
            signal = getattr(signal, name, None)
        if hasattr(signal, "set"):  # ophyd.sim has a plain number there
            return signal
    return None


def exposure_option(exposure: Any) -> tuple[dict[str, Any] | None, Any]:
    """Return the option ``exposure`` as the start document has it, and what it says to set.

    Parameters
    ----------
    exposure : None for one exposure time; ``"adaptive"``; or a mapping with what of it is given:
        ``set``, the signal of the exposure time of a frame, ``least_s``, the shortest of it that
        the detector takes, and ``max_dose_s``, the most that a place is exposed in all

    Raises
    ------
    ValueError
        For anything else.
    """
    if exposure is None:
        return None, None
    given = {} if exposure == "adaptive" else exposure
    if not isinstance(given, Mapping) or set(given) - set(EXPOSURE_OPTIONS):
        raise ValueError(
            f"exposure must be 'adaptive', or a mapping with {', '.join(EXPOSURE_OPTIONS)}, got "
            f"{exposure!r}; give exposure_s alone for one exposure time"
        )
    signal = given.get("set")
    if signal is not None and not isinstance(signal, Movable):
        raise ValueError(
            f"set of exposure must be a signal that can be set, got {signal!r}; try "
            "exposure={'set': det.cam.acquire_time}"
        )
    name = None if signal is None else str(getattr(signal, "name", signal))
    numbers = {k: float(given[k]) for k in EXPOSURE_OPTIONS[1:] if given.get(k) is not None}
    return {"set": name, **numbers}, signal


@dataclass(frozen=True)
class _FrameExposure:
    exposure_s: float


class Exposures:
    """Set the exposure time of a detector's frames for each point, as the agent chooses it.

    Parameters
    ----------
    detector : whose frames are steered on
    option : as `exposure_option` returns it
    signal : of the exposure time; None for the detector's own
    per_point : measures a point

    Attributes
    ----------
    row : what an event says of its exposure; to be read with every point

    Raises
    ------
    ValueError
        Where nothing can be set.
    """

    def __init__(
        self, detector: Any, option: Mapping[str, Any], signal: Any, per_point: Any
    ) -> None:
        self._signal = exposure_signal(detector) if signal is None else signal
        if self._signal is None:
            raise ValueError(
                f"exposure='adaptive' must have an exposure time to set, got {detector.name} "
                "without one that is known; try exposure={'set': det.cam.acquire_time}"
            )
        name = str(getattr(self._signal, "name", ""))
        if signal is None and option["set"] not in (None, name):
            raise ValueError(
                f"set of exposure must be that of the run to resume, {option['set']!r}, got "
                f"{name!r}; give exposure={{'set': …}} again"
            )
        self._detector = detector
        self._option = option
        self._per_point = per_point
        self._n_frames = 1
        self._full_s = self._now_s = math.nan
        self.row = Row("exposure", {EXPOSURE_KEY: "s"})

    def prepare(self, full_s: float | None) -> MsgGenerator[dict[str, Any]]:
        """Find out what a look in full is; return what the start document says of exposures.

        Parameters
        ----------
        full_s : exposure time of a frame of full quality; by default the one that is set
        """
        if full_s is None:
            full_s = float((yield from bps.rd(self._signal, default_value=1.0)))
        self._full_s = full_s
        yield from self._set(full_s)
        self._n_frames = frames_of_point(self._detector, self._per_point, full_s)
        limits = {
            "least_s": self._n_frames * self._option.get("least_s", 0.0),
            "max_dose_s": self._option.get("max_dose_s", math.inf),
        }
        looks = Looks(self._n_frames * full_s, **limits)
        return {
            "exposure": dict(self._option),
            "exposure_s": full_s,
            "exposure_key": EXPOSURE_KEY,
            "looks": looks.to_dict(),
        }

    def expose(self, point_s: float) -> MsgGenerator[None]:
        """Set the frames of a point to last so long together; not a number is a look in full."""
        each = self._full_s if math.isnan(point_s) else point_s / self._n_frames
        if each != self._now_s:
            yield from self._set(each)

    def restore(self) -> MsgGenerator[None]:
        """Set the detector to a look in full again, if it answers."""
        try:
            yield from self._set(self._full_s)
        except (FailedStatus, TimeoutError, OSError):
            return  # what went wrong is told already

    def _set(self, exposure_s: float) -> MsgGenerator[None]:
        yield from bps.mv(self._signal, exposure_s)
        self._now_s = exposure_s
        self.row.value = _FrameExposure(exposure_s)


def frames_of_point(detector: Any, per_point: Any, exposure_s: float) -> int:
    """Return how many exposures of a frame a point has, by its scans and the detector's series."""
    scans = getattr(per_point, "scans", (per_point,))
    if all(hasattr(scan, "n") for scan in scans):
        return int(sum(scan.n for scan in scans))
    in_all = exposure_s_of(detector)
    return 1 if math.isnan(in_all) else max(1, round(in_all / exposure_s))
