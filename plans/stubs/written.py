"""A `per_point` as a queue server or a file has it: written by name, as JSON.

The stubs themselves are in `plans.stubs.per_point`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bluesky.protocols import NamedMovable

from plans.stubs.per_point import PerPoint, expose_at, rocking_scan, rocking_sweep
from plans.stubs.several_scans import several_scans

__all__ = ["per_point_of"]

SCANS: Mapping[str, Callable[..., PerPoint]] = {
    "rocking_scan": rocking_scan,
    "rocking_sweep": rocking_sweep,
}


def per_point_of(written: Any) -> PerPoint:
    """Return the stub that measures a point: as given, or by its name.

    Parameters
    ----------
    written : a stub; None or ``"expose_at"``; or a mapping such as
        ``{"name": "rocking_scan", "axis": diffractometer.eta, "start": -1, "stop": 1, "n": 41}``,
        in which the queue server has put the device in place of its name; or a list of scans

    Raises
    ------
    ValueError
        For a name or an argument that there is not.
    TypeError
        For what is no stub, and an axis that is no device.
    """
    if written is None or written == "expose_at":
        return expose_at
    if isinstance(written, list | tuple):
        scans = [per_point_of(scan) for scan in written]
        return scans[0] if len(scans) == 1 else several_scans(tuple(scans))  # type: ignore[arg-type]
    if isinstance(written, Mapping):
        return _scan({str(key): value for key, value in written.items()})
    if not callable(written):
        raise TypeError(
            f"per_point must be a plan stub or its name, got {written!r}; try "
            '{"name": "rocking_scan", "axis": "diffractometer.eta", "start": -1, "stop": 1, '
            '"n": 41}, or the name of a stub that the startup file defines'
        )
    stub: PerPoint = written
    return stub


def _scan(written: dict[str, Any]) -> PerPoint:
    name = written.pop("name", None)
    # A startup file that imports the scans lets the queue server resolve their names too.
    scan = name if name in SCANS.values() else SCANS.get(name) if isinstance(name, str) else None
    if scan is None:
        raise ValueError(
            f"name of per_point must be one of {', '.join(SCANS)}, got {name!r}; leave per_point "
            "out for one exposure"
        )
    missing = {"axis", "start", "stop", "n"} - written.keys()
    unknown = written.keys() - {"axis", "start", "stop", "n", "detector", "at"}
    if missing or unknown:
        raise ValueError(
            "per_point must have name, axis, start, stop and n, and detector or at if need be, got "
            f"{', '.join(map(repr, written))}; mend {', '.join(sorted(missing | unknown))}"
        )
    if not isinstance(written["axis"], NamedMovable):
        raise TypeError(
            f"axis of per_point must be a movable device, got {written['axis']!r}; name a device "
            "of the startup file, such as diffractometer.eta"
        )
    stub: PerPoint = scan(**written)
    return stub
