"""Take micrographs of several fields of one specimen: what a segmentation starts from.

To map a sample with the X-ray beam instead, use `plans.map_sample`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import bluesky.preprocessors as bpp
import numpy as np
from bluesky.protocols import Readable
from bluesky.utils import MsgGenerator

from bl_steer.protocols import Array
from bl_steer.store import check_md
from plans.stubs.messages import Stage, check_limits, expose_at
from plans.stubs.micrographs import (
    Microscope,
    condition_problems,
    requested_analyses,
    set_conditions,
)

__all__ = ["DEFAULT_FIELDS", "Microscope", "take_micrographs"]

DEFAULT_FIELDS = ((0.0, 0.0), (20.0, 0.0), (20.0, 20.0), (0.0, 20.0), (10.0, 10.0))
"""Corners and centre of a square: fields 10 µm wide do not overlap."""


def take_micrographs(
    detector: Microscope,
    stage: Stage,
    *,
    fields: Sequence[tuple[float, float]] | None = None,
    pixel_size_nm: float | None = None,
    accelerating_voltage_kV: float | None = None,
    etching_s: float | None = None,
    staining: str | None = None,
    analyses: Sequence[str | Mapping[str, Any]] = (),
    also_read: Sequence[Readable[Any]] = (),
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[int]:
    """Take one micrograph of each field, all under the same conditions, in one run.

    The start document says under ``conditions`` what holds for all fields. Conditions that are
    given are set before the run and stay set after it; those that are not are the device's own.
    Etching and staining are done in the preparation: giving them records what was done.

    Parameters
    ----------
    detector : the microscope
    stage : carries the specimen; its axes are in µm
    fields : centres (x, y) of the fields, µm, in the order of the visits; `DEFAULT_FIELDS` if None
    pixel_size_nm : edge of a pixel, nm
    accelerating_voltage_kV : of the beam, kV
    etching_s : how long the section was etched, s
    staining : how the specimen was stained: "none", "osmium", …
    analyses : to be done when the run has ended: names, or ``{"name": …, "params": {…}}``
    also_read : devices to read with every field
    md : added to the start document

    Returns
    -------
    n_fields : number of micrographs taken

    Raises
    ------
    ValueError
        Before anything is set or moves, for fields, conditions or analyses that cannot work.
    plans.stubs.StageError
        When the stage does not arrive at a field. All earlier ones are stored.
    """
    check_md(md)
    places = _places(DEFAULT_FIELDS if fields is None else fields)
    given = {
        "pixel_size_nm": pixel_size_nm,
        "accelerating_voltage_kV": accelerating_voltage_kV,
        "etching_s": etching_s,
        "staining": staining,
    }
    problems = condition_problems(given)
    if problems:
        raise ValueError("; ".join(problems))
    requests = requested_analyses(analyses)
    check_limits(stage, np.stack([places.min(axis=0), places.max(axis=0)]))
    conditions = yield from set_conditions(detector, given)
    axes = [stage] if isinstance(stage, Readable) else [stage.x, stage.y]
    devices: list[Readable[Any]] = [detector, *axes, *also_read]
    start = {
        "plan_name": "take_micrographs",
        "detectors": [detector.name],
        "motors": [stage.x.name, stage.y.name],
        "num_points": len(places),
        "hints": {"dimensions": [([axis.name], "primary") for axis in (stage.x, stage.y)]},
        "conditions": conditions,
        "analyses": requests,
    }

    @bpp.run_decorator(md=start | dict(md or {}))
    @bpp.stage_decorator(devices)
    def run() -> MsgGenerator[None]:
        for x, y in places.tolist():
            yield from expose_at(stage, x, y, devices)

    yield from run()
    return len(places)


def _places(fields: Sequence[tuple[float, float]]) -> Array:
    """Return the centres of the fields, shape (n, 2)."""
    try:
        places = np.asarray(fields, dtype=np.float64)
    except (TypeError, ValueError):
        places = np.empty(0)
    if places.ndim != 2 or places.shape[1] != 2 or not len(places) or not np.isfinite(places).all():
        raise ValueError(
            f"fields must be finite pairs (x, y) in µm, one at least, got {fields!r}; "
            "try fields=[(0, 0), (20, 0)]"
        )
    return places
