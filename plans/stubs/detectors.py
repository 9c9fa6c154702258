"""What a detector has to offer to steer on: its frames, its numbers, its counts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from inspect import iscoroutinefunction
from typing import Any

from bluesky.protocols import Movable, Readable, Stoppable
from bluesky.utils import separate_devices

from bl_steer.diffraction import FrameAxes, Reduction, SummedFrames
from bl_steer.features import DEFAULT_TARGET

__all__ = [
    "check_field",
    "check_keys",
    "check_measured",
    "check_readable",
    "default_target",
    "detectors_of",
    "has_frames",
    "hinted_keys",
    "in_order",
    "inline_keys",
    "is_motor",
    "keeps_frames",
    "monitor_key",
    "number_of",
    "reduction_of",
]


RESERVED = ("point", "setting", "seq_num", "time")
"""Of the columns of a run: the numbers of a point and of its scan, and what each event has."""


def detectors_of(detectors: Any) -> list[Any]:
    """Return the detectors, one device or several, as a list.

    Raises
    ------
    TypeError
        For none, and for what is no Bluesky device.
    """
    listed = [detectors] if isinstance(detectors, Readable | str) else detectors
    if not isinstance(listed, Iterable) or not (listed := list(listed)):
        raise TypeError(
            f"detectors must be one Bluesky device or several, got {detectors!r}; give a device "
            "with read and describe"
        )
    return listed


def check_readable(devices: Iterable[Any]) -> None:
    """Refuse what has no name to read, or nothing to read, with a `TypeError`."""
    for device in devices:
        if isinstance(device, str):
            raise TypeError(
                f"a device must be readable, got the name {device!r}, which no device here has; "
                "check how it is written"
            )
        if not isinstance(device, Readable):
            lacks = [n for n in ("name", "read", "describe") if not hasattr(device, n)]
            raise TypeError(
                f"a device must be readable, got {device!r} without {', '.join(lacks)}; give a "
                "Bluesky device of ophyd or ophyd-async"
            )


def reduction_of(detector: Any) -> Reduction | None:
    """Return how a detector's frames become a pattern, where it says so."""
    reduction: Reduction | None = getattr(detector, "reduction", None)
    if reduction is not None:
        return reduction
    axes = getattr(detector, "axes", None)
    return SummedFrames(axes) if isinstance(axes, FrameAxes) else None


def keeps_frames(detector: Any) -> bool:
    """Return whether a detector has its frames in memory alone."""
    return callable(getattr(detector, "frames", None)) and not hasattr(
        detector, "collect_asset_docs"
    )


def hinted_keys(device: Any) -> list[str]:
    """Return the data keys that a device names as those to look at, in an order that stays."""
    return in_order(device, (getattr(device, "hints", None) or {}).get("fields", ()))


def in_order(device: Any, keys: Iterable[str]) -> list[str]:
    """Return data keys in the order of their device, or by name where that order is by chance.

    Devices of ophyd-async hold their signals in a set: which comes first changes with each process.
    """
    return sorted(keys) if iscoroutinefunction(getattr(device, "describe", None)) else list(keys)


def default_target(
    detector: Any, description: Mapping[str, Any], reduction: Reduction | None
) -> str:
    """Return what to steer on where no target is named.

    Parameters
    ----------
    description : of the detector, see `plans.stubs.messages.describe`
    reduction : frames to a pattern; None where there is none
    """
    if reduction is not None:
        return DEFAULT_TARGET if reduction.axes.unit == "1/Å" else "total"
    number = number_of(detector, description)
    return "total" if number is None else f"field:{number}"


def number_of(detector: Any, description: Mapping[str, Any]) -> str | None:
    """Return the data key of the number that a detector hints at, or of its first one."""
    hinted = hinted_keys(detector)
    if not description:  # it can tell once it is staged; what is written to files are frames
        return None if has_frames(detector, description) else next(iter(hinted), None)
    numbers = [
        key
        for key, entry in description.items()
        if entry.get("dtype") in ("number", "integer") and not entry.get("external")
    ]
    numbers = in_order(detector, numbers)
    return next(iter([key for key in hinted if key in numbers] or numbers), None)


def has_frames(detector: Any, description: Mapping[str, Any]) -> bool:
    """Return whether a detector takes frames or spectra."""
    return (
        callable(getattr(detector, "frames", None))
        or hasattr(detector, "collect_asset_docs")
        or any(entry.get("external") for entry in description.values())
        or bool(inline_keys(description))
    )


def inline_keys(description: Mapping[str, Any]) -> list[str]:
    """Return the data keys of the arrays of numbers that a detector puts into its own readings."""
    return [
        key
        for key, entry in description.items()
        if entry.get("shape")
        and 0 not in entry["shape"]
        and entry.get("dtype") != "string"
        and not entry.get("external")
    ]


def check_frames(detector: Any, description: Mapping[str, Any], target: str) -> None:
    """Refuse a target of frames with a detector that takes none."""
    if has_frames(detector, description):
        return
    number = number_of(detector, description)
    if number is None:
        read = [f"{key!r}, {entry.get('dtype')}" for key, entry in description.items()]
        raise ValueError(
            f"the detector must read a number or frames, got {', '.join(read) or 'nothing'} of "
            f"{detector.name}; give another detector first, or name a number with "
            "target='field:KEY'"
        )
    raise ValueError(
        f"target {target} must have frames, got {detector.name} without any; "
        f"try target='field:{number}', or a detector that stores its frames"
    )


def check_field(field: str, keys: Mapping[str, Any]) -> None:
    """Refuse to steer on a data key that holds no number; of an image in a file it is the sum.

    Parameters
    ----------
    keys : of all devices, with their entries, see `plans.stubs.messages.describe`

    Raises
    ------
    ValueError
        When there is no such key, or text or an array under it.
    """
    if field not in keys:
        raise ValueError(
            f"target field:KEY must name a data key that is read at each point, got {field!r}; "
            f"there are {', '.join(map(repr, keys))}"
        )
    dtype, shape = (
        keys[field].get("dtype"),
        [n for n in keys[field].get("shape") or () if n is not None],
    )
    if not keys[field].get("external") and (dtype == "string" or math.prod(shape) != 1):
        raise ValueError(
            f"target field:KEY must name a number, got {field!r}, {dtype} of shape {shape}; name "
            "another data key, or steer on frames with total, roi:, ref: or nmf:"
        )


def check_keys(devices: Iterable[Any], described: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse data keys that an event cannot hold.

    Parameters
    ----------
    described : what each device says of its data keys, by its name

    Raises
    ------
    ValueError
        For a key with a dot or a slash, one that two devices have, and one that an event or its
        table has besides.
    """
    owners: dict[str, Any] = {}
    for device in separate_devices(devices):
        for key in described[device.name]:
            if key in RESERVED or key.startswith("ts_"):
                raise ValueError(
                    f"a data key must be none of {', '.join(RESERVED)} and ts_…, which runs have "
                    f"already, got {key!r} of {device.name}; give the signal another name"
                )
            if "." in key or "/" in key:
                raise ValueError(
                    f"a data key must be without . and /, got {key!r} of {device.name}; give the "
                    "signal another name"
                )
            other = owners.setdefault(key, device)
            if other is not device:
                raise ValueError(
                    f"a data key must be that of one device, got {key!r} of {other.name} and of "
                    f"{device.name}; give one of them another name"
                )


def check_measured(field: str | None, monitor: str | None, moved: Mapping[str, Any]) -> None:
    """Refuse to steer on, or to normalise by, what is moved, and by what is steered on.

    Parameters
    ----------
    field, monitor : data keys of what is steered on and of the monitor's counts
    moved : motors, by each of their data keys

    Raises
    ------
    ValueError
        Naming the key and its device.
    """
    for rule, key in (("target must be", field), ("monitor must count the beam and be", monitor)):
        if key is not None and key in moved:
            raise ValueError(
                f"the {rule} measured, not moved, got {key!r} of {moved[key].name}, which is "
                "moved; name a detector's number"
            )
    if field is not None and field == monitor:
        raise ValueError(
            f"target and monitor must be different numbers, got {field!r} for both, which divided "
            "by itself is the same everywhere; name another with target='field:KEY'"
        )


def is_motor(device: Any) -> bool:
    """Return whether a device moves: it can be set, which a signal can too, and stopped."""
    return isinstance(device, Movable) and isinstance(device, Stoppable)


def monitor_key(monitor: Any, description: Mapping[str, Any]) -> str:
    """Return the data key of the counts of a beam monitor.

    Parameters
    ----------
    description : of the monitor, see `plans.stubs.messages.describe`

    Raises
    ------
    ValueError
        When it reads no number, and for a motor, whose position counts nothing.
    """
    if is_motor(monitor):
        raise ValueError(
            f"the monitor must count the beam, got the motor {monitor.name}; give the counter of "
            "the beam"
        )
    key = f"{monitor.name}_counts"
    hinted = hinted_keys(monitor)
    if key in description or not (hinted or description):
        return key
    numbers = [k for k, entry in description.items() if entry.get("dtype") in ("number", "integer")]
    numbers = in_order(monitor, numbers)
    if not hinted and not numbers:
        raise ValueError(
            f"the monitor must read a number, got {', '.join(map(repr, description))} of "
            f"{monitor.name}; give the counter of the beam"
        )
    return str((hinted or numbers)[0])
