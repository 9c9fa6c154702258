"""How the frames of each scan of a point become a pattern, and what the start document says of it.

What a detector says of its own frames is in `plans.stubs.detectors`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bl_steer.diffraction import GriddedFrames, Reduction
from bl_steer.diffraction.recorded import mask_of_record, record_of
from bl_steer.runs import Run, reductions_of
from plans.stubs.detectors import reduction_of

__all__ = ["Reductions"]


class Reductions:
    """The reduction of each scan of a point; the first is steered on.

    Parameters
    ----------
    written : one for all scans, of which a `GriddedFrames` is turned to where each scan has its
        circles, or one for each; by default that of the run to resume, or the detector's own
    per_point : measures a point, see `plans.stubs.per_point`
    detector : the first one
    resumes : run to carry on
    mask : of pixels that are not to be used in any, see `bl_steer.diffraction.recorded.mask_record`

    Raises
    ------
    ValueError
        When they are not as many as the scans, or are for other angles.
    """

    def __init__(
        self,
        written: Reduction | Sequence[Reduction] | None,
        per_point: Any,
        detector: Any,
        resumes: Run | None = None,
        mask: Mapping[str, Any] | None = None,
    ) -> None:
        self.mask = mask_of_record(mask)
        self._mask = {} if mask is None else {"mask": dict(mask)}
        self.name = None if written is None else type(_first(written)).__name__
        if written is None and isinstance(resumes, Run):
            written = reductions_of(resumes.start)
        if written is None:
            written = reduction_of(detector)
        scans = getattr(per_point, "scans", (per_point,))
        self.each = _of_each(written, scans)
        self._check_mask()

    @property
    def first(self) -> Reduction | None:
        """What is steered on; None where the frames themselves have to tell."""
        first: Reduction | None = self.each[0]
        return first

    def _check_mask(self) -> None:
        if self.mask is None or self.first is None:  # then the first frame tells
            return
        if isinstance(self.first, GriddedFrames):
            shape = self.first.goniometer.detector.shape
        else:
            shape = self.first.axes.shape
        if tuple(self.mask.shape) != tuple(shape):
            raise ValueError(
                f"the mask must have the shape {tuple(shape)} of the frames, got "
                f"{self.mask.shape}; cut it to the detector's region"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return what the start document says of them."""
        if not isinstance(self.first, GriddedFrames):
            return {"reduction": self.name, **self._mask}
        records = [record_of(gridded) for gridded in self.each]
        return {
            "reduction": type(self.first).__name__,
            "reduction_settings": records[0],
            **({"further_reductions": records[1:]} if len(records) > 1 else {}),
            **self._mask,
        }


def _first(written: Any) -> Any:
    return written[0] if isinstance(written, list | tuple) and written else written


def _of_each(written: Any, scans: Sequence[Any]) -> list[Any]:
    if not isinstance(written, list | tuple):
        return [
            written.at(_angles(written, scan)) if isinstance(written, GriddedFrames) else written
            for scan in scans
        ]
    if len(written) != len(scans):
        raise ValueError(
            f"reductions must be one for each of the {len(scans)} scans of a point, got "
            f"{len(written)}; give a list as long as that of the scans"
        )
    if len({isinstance(reduction, GriddedFrames) for reduction in written}) > 1:
        raise ValueError(
            "reductions must be all GriddedFrames, or none, got "
            f"{', '.join(type(reduction).__name__ for reduction in written)}; give one kind"
        )
    for number, (reduction, scan) in enumerate(zip(written, scans, strict=True)):
        if isinstance(reduction, GriddedFrames):
            _check_angles(reduction, _angles(reduction, scan), number)
    return list(written)


def _angles(gridded: GriddedFrames, scan: Any) -> Mapping[str, float]:
    """Return where a scan has its circles, by the names that they have in the goniometer."""
    angles = {}
    for device, angle in getattr(scan, "at", ()):
        # A circle's device is called as its parent and it: diffractometer_phi, or with - or .
        circle = re.split(r"[-_.]", device.name)[-1]
        if circle not in gridded.goniometer.circles:
            raise ValueError(
                f"circles of a scan must be of the goniometer, "
                f"{', '.join(gridded.goniometer.circles)}, got {device.name}; name its circle so, "
                "or leave it out of the scan"
            )
        angles[circle] = float(angle)
    return angles


def _check_angles(gridded: GriddedFrames, angles: Mapping[str, float], number: int) -> None:
    for circle, angle in angles.items():
        own = gridded.angles.get(circle)
        if own is None or abs(own - angle) > 1e-6:
            raise ValueError(
                f"reduction {number + 1} must be for the angles of its scan, {circle} = {angle:g}°,"
                f" got {'none' if own is None else f'{own:g}°'}; make it with gridded.at("
                f"{{'{circle}': {angle:g}}}), or give one reduction for all scans"
            )
