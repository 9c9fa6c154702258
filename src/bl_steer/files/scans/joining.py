"""Profiles of one mesh, brought into one scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bl_steer.files.errors import FileFormatError
from bl_steer.files.scans.scan import Scan
from bl_steer.protocols import Array

__all__ = ["joined", "per_point"]

PER_POINT = ("count_time_s", "attenuation", "monitor")


def per_point(values: Array, n: int, what: str) -> Array:
    """Return a value for each of n points, from one for all or from a list.

    Raises
    ------
    FileFormatError
        When there are others.
    """
    if values.size == 1:
        return np.full(n, float(values.ravel()[0]))
    if values.shape[:1] != (n,):
        raise FileFormatError(
            f"must have {what[:40]} once or for each of {n} points, got {values.shape[:1]} of it; "
            "save it anew"
        )
    return values


def joined(parts: Sequence[Mapping[str, Any]], **settings: Any) -> Scan:
    """Return profiles of one length as (n, W), others as single counts one after another.

    Parameters
    ----------
    parts : each with ``counts`` (W,), ``angles`` by circle and what else there is, all (W,);
        ``corrected``, ``unit`` and ``notes``
    settings : the rest of a `Scan`

    Raises
    ------
    FileFormatError
        When the profiles do not hold the same quantities, or angles do not fit their counts.
    """
    for number, part in enumerate(parts):
        _check(part, number, parts[0])
    one_length = len({part["counts"].shape for part in parts}) == 1 and parts[0]["counts"].size > 1
    # The circles that stand still along each profile get an angle a profile.
    still = {
        circle
        for circle in parts[0]["angles"]
        if one_length and all(np.ptp(part["angles"][circle]) == 0 for part in parts)
    }
    join = np.stack if one_length and len(parts) > 1 else np.concatenate
    angles = {
        circle: np.array([part["angles"][circle][0] for part in parts])
        if circle in still and join is np.stack
        else join([part["angles"][circle] for part in parts])
        for circle in parts[0]["angles"]
    }
    quantities = {
        key: None if parts[0].get(key) is None else join([part[key] for part in parts])
        for key in PER_POINT
    }
    notes = dict.fromkeys(note for part in parts for note in part.get("notes", ()))
    return Scan(
        join([part["counts"] for part in parts]),
        angles,
        **{**settings, **quantities, "notes": [*notes, *settings.get("notes", ())]},
        corrected=parts[0].get("corrected", ()),
        unit=parts[0].get("unit", ""),
    )


def _check(part: Mapping[str, Any], number: int, first: Mapping[str, Any]) -> None:
    n = len(part["counts"])
    for circle, values in part["angles"].items():
        if values.shape != (n,):
            raise FileFormatError(
                f"must have as many counts as points, got {n} counts for {values.size} angles of "
                f"{circle} in scan {number}; leave out this scan, or save it anew"
            )
    alike = [
        sorted(p["angles"]) + [key for key in PER_POINT if p.get(key) is not None]
        for p in (part, first)
    ]
    if alike[0] != alike[1] or part.get("corrected") != first.get("corrected"):
        raise FileFormatError(
            f"must hold the same quantities in all scans, got {', '.join(alike[0])[:60]} in scan "
            f"{number} and {', '.join(alike[1])[:60]} in scan 0; leave out those that differ"
        )
    for key in PER_POINT:
        if part.get(key) is not None and part[key].shape != (n,):
            raise FileFormatError(
                f"must have {key} for each count, got {part[key].size} for {n} in scan {number}; "
                "save it anew"
            )
