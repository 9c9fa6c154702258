"""Options that several plans share, checked before anything moves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from numbers import Integral, Real
from typing import Any

import bluesky.plan_stubs as bps
from bluesky.utils import MsgGenerator

from bl_steer.diffraction.recorded import mask_record
from bl_steer.files import read_pixel_mask
from bl_steer.runs import Run
from bl_steer.steering import StopRule, carried_options

__all__ = [
    "DECIDED",
    "check_exposure",
    "checked_timeout",
    "is_whole_number",
    "least_counts",
    "mask_option",
    "options_of",
    "rules_of",
    "set_exposure",
    "stop_option",
    "versions",
]

JUDGED = ("watchful", "masks", "rays", "overflows", "careful")
"""Rules by which a point is judged, as the start document has them."""
DECIDED = ("gives_up", "noise_per_point", "scales")
"""Rules by which the next point is decided."""
PACKAGES = ("botorch", "gpytorch", "torch", "scikit-learn", "numpy")


def options_of(
    resumes: Run | None, plan: str, defaults: Mapping[str, Any], **given: Any
) -> dict[str, Any]:
    """Return a plan's options: as given or by default, and those of a run that is carried on.

    Parameters
    ----------
    resumes : the run to carry on; None for a new one
    plan : its name
    defaults : of options that are None where they are left out
    given : the options

    Raises
    ------
    bl_steer.steering.ResumeError
        For a run that cannot be carried on, and options that contradict it.
    """
    if resumes is not None:
        return carried_options(resumes, plan, given)
    return {name: defaults.get(name) if v is None else v for name, v in given.items()}


def mask_option(mask: Any) -> dict[str, Any] | None:
    """Return a mask of pixels, an array or a file, as the start document has it."""
    return None if mask is None else mask_record(read_pixel_mask(mask))


def stop_option(stop: str | None) -> str | None:
    """Return the rule of a stop as the start document has it."""
    return None if stop is None else str(StopRule.parse(stop))


def rules_of(resumes: Run | None, names: Sequence[str] = JUDGED) -> dict[str, bool]:
    """Return by which rules points are judged: today's, or those of a run that is carried on.

    A start document without one is of a version that did not have it.

    Parameters
    ----------
    names : `JUDGED` or `DECIDED`
    """
    return {name: resumes is None or bool(resumes.steering.get(name)) for name in names}


def is_whole_number(value: object) -> bool:
    """Return whether a value is a whole number, of Python or NumPy; True and False are none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


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
    if _exposure_signal(detector) is None:
        raise ValueError(
            f"exposure_s must be left out where the detector has no exposure time to set, got "
            f"{exposure_s:g} s for {detector.name}; set its exposure before the run"
        )


def set_exposure(detector: Any, exposure_s: float) -> MsgGenerator[None]:
    """Set the exposure time of a detector's frames."""
    yield from bps.mv(_exposure_signal(detector), exposure_s)


def _exposure_signal(detector: Any) -> Any:
    for path in ("exposure_time", "cam.acquire_time", "driver.acquire_time", "preset_time"):
        signal = detector
        for name in path.split("."):
            signal = getattr(signal, name, None)
        if signal is not None:
            return signal
    return None


def versions() -> dict[str, str]:
    """Return the versions that a run's decisions depend on, for its start document."""
    return {"bl_steer": _version("bl-steer"), **{name: _version(name) for name in PACKAGES}}


def checked_timeout(timeout_s: Any) -> float | None:
    """Return the time-out of each wait, s; refuse what is no time."""
    if timeout_s is None:
        return None
    is_number = isinstance(timeout_s, Real) and not isinstance(timeout_s, bool)
    if not is_number or not 0.0 < timeout_s < math.inf:
        raise ValueError(
            f"timeout_s must be a time above 0, s, got {timeout_s!r}; leave it out for one from "
            "the devices' own numbers"
        )
    return float(timeout_s)


def least_counts(min_monitor: Any, monitor: Any) -> float | None:
    """Return the least monitor counts of an exposure with beam; refuse what is no count."""
    if min_monitor is None:
        return None
    is_number = isinstance(min_monitor, Real) and not isinstance(min_monitor, bool)
    if not is_number or not 0.0 <= min_monitor < math.inf:
        raise ValueError(
            f"min_monitor must be counts, 0 or more, got {min_monitor!r}; leave it out for a tenth "
            "of the run's usual counts"
        )
    if monitor is None:
        raise ValueError(
            f"min_monitor must come with a monitor, got {min_monitor!r} without; give monitor=…"
        )
    return float(min_monitor)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
