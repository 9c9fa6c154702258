"""Take micrographs of several fields of one specimen: what a segmentation starts from.

To map a sample with the X-ray beam instead, use `plans.map_sample`.
"""

# The queue server reads the annotations of plans: they must be types here, never text, so this
# module has no `from __future__ import annotations`.

from collections.abc import Mapping, Sequence
from typing import Any

import bluesky.preprocessors as bpp
import numpy as np
from bluesky.protocols import Readable
from bluesky.utils import MsgGenerator

from bl_steer.protocols import Array
from bl_steer.store import check_md
from plans.stubs.axes import Stage, axes_to_read, check_limits
from plans.stubs.microscopes.micrographs import (
    Microscope,
    condition_problems,
    requested_analyses,
    set_conditions,
)
from plans.stubs.per_point import expose_at
from plans.stubs.timeouts import bounded

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
    plans.stubs.axes.StageError
        When the stage does not arrive at a field. All earlier ones are stored.
    """
    check_md(md)
    centres = _centres(DEFAULT_FIELDS if fields is None else fields)
    requested = {
        "pixel_size_nm": pixel_size_nm,
        "accelerating_voltage_kV": accelerating_voltage_kV,
        "etching_s": etching_s,
        "staining": staining,
    }
    problems = condition_problems(requested)
    if problems:
        raise ValueError("; ".join(problems))
    requests = requested_analyses(analyses)
    check_limits(stage, np.stack([centres.min(axis=0), centres.max(axis=0)]))
    conditions = yield from set_conditions(detector, requested)
    devices: list[Readable[Any]] = [detector, *axes_to_read(stage), *also_read]
    start = {
        "plan_name": "take_micrographs",
        "detectors": [detector.name],
        "motors": [stage.x.name, stage.y.name],
        "num_points": len(centres),
        "hints": {"dimensions": [([axis.name], "primary") for axis in (stage.x, stage.y)]},
        "conditions": conditions,
        "analyses": requests,
    }

    @bpp.run_decorator(md=start | dict(md or {}))
    @bpp.stage_decorator(devices)
    def run() -> MsgGenerator[None]:
        for x, y in centres.tolist():
            yield from bounded(expose_at(devices, {stage.x: x, stage.y: y}))

    yield from run()
    return len(centres)


def _centres(fields: Sequence[tuple[float, float]]) -> Array:
    """Return the centres of the fields, shape (n, 2)."""
    try:
        centres = np.asarray(fields, dtype=np.float64)
    except (TypeError, ValueError):
        centres = np.empty(0)
    if (
        centres.ndim != 2
        or centres.shape[1] != 2
        or not len(centres)
        or not np.isfinite(centres).all()
    ):
        raise ValueError(
            f"fields must be finite pairs (x, y) in µm, one at least, got {fields!r}; "
            "try fields=[(0, 0), (20, 0)]"
        )
    return centres
