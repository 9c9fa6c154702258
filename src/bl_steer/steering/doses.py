"""How long the points of earlier runs exposed the sample: what its places suffered adds up.

`bl_steer.steering.seen` reads what these points gave.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bl_steer.protocols import Array
from bl_steer.runs.run import Run
from bl_steer.runs.tables import as_numbers
from bl_steer.steering.seen import exposure_of_run

__all__ = ["doses_of_runs"]

logger = logging.getLogger(__name__)


def doses_of_runs(runs: Sequence[Run], start: Mapping[str, Any]) -> tuple[Array, Array] | None:
    """Return where earlier runs exposed the sample, and for how long.

    Every exposure counts, also of points that gave nothing that could be used.

    Parameters
    ----------
    runs : earlier ones, of the same sample and axes
    start : start document of the run that is told of them

    Returns
    -------
    positions, exposed_s : shape (n, n_axes) in the axes' units, and (n,), s; None where the run has
        no limit of the dose, or is of a version that did not count it
    """
    looks = start["steering"].get("looks") or {}
    if looks.get("max_dose_s") is None or not looks.get("adds_up", False):
        return None
    keys = [str(fields[0]) for fields, _ in start["hints"]["dimensions"]]
    places, seconds = [np.empty((0, len(keys)))], [np.empty(0)]
    for run in runs:
        if not run.n_points:
            continue
        exposed_s = _exposed_s(run, start)
        if not np.isfinite(exposed_s).all():
            logger.warning(
                "run %s does not say how long it exposed the sample: its dose does not count",
                run.uid[:8],
            )
        else:
            places.append(np.column_stack([as_numbers(run.primary[key]) for key in keys]))
            seconds.append(exposed_s)
    return np.concatenate(places), np.concatenate(seconds)


def _exposed_s(run: Run, start: Mapping[str, Any]) -> Array:
    """Return how long each event of a run exposed the sample, (n,), s; NaN where it is unknown."""
    full = exposure_of_run(run, start)
    key, n_events = run.steering.get("exposure_key"), len(run.primary["seq_num"])
    if key not in run.primary:
        return np.full(n_events, full.event_s)
    return np.asarray(full.event_s * as_numbers(run.primary[key]) / full.frame_s)
