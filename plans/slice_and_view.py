"""Take slices of a specimen one after the other: mill, look, correct, record.

    RE(slice_and_view(sem, mill, n_slices=100, pitch_nm=100))

Milling cannot be undone, so the mill is only ever told a depth, never a step: a message that a
pause repeats finds the face there already. To take single micrographs, use
`plans.take_micrographs`.
"""

# The queue server reads the annotations of plans: they must be types here, never text, so this
# module has no `from __future__ import annotations`.

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.protocols import Readable
from bluesky.utils import MsgGenerator

from bl_steer.slicing import TrackingMarks
from bl_steer.slicing.watch import SliceWatch
from bl_steer.store import check_md
from plans.stubs.messages import record
from plans.stubs.microscopes.micrographs import requested_analyses, set_conditions
from plans.stubs.microscopes.milling import Column, Mill
from plans.stubs.microscopes.slice_options import SliceOptions, carry_on
from plans.stubs.microscopes.slices import SlicesTaken, Slicing
from plans.stubs.rows import Row

__all__ = ["SlicesTaken", "slice_and_view"]


def slice_and_view(
    detector: Column,
    mill: Mill,
    *,
    n_slices: int = 100,
    pitch_nm: float = 100.0,
    marks: TrackingMarks | Mapping[str, Any] | None = None,
    pixel_size_nm: float | None = None,
    accelerating_voltage_kV: float | None = None,
    etching_s: float | None = None,
    staining: str | None = None,
    drift_tolerance_nm: float = 50.0,
    blur_tolerance_nm: float = 10.0,
    focus_step_um: float = 4.0,
    max_retakes: int = 2,
    resumes: Any = None,
    analyses: Sequence[str | Mapping[str, Any]] = (),
    also_read: Sequence[Readable[Any]] = (),
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[SlicesTaken]:
    """Take `n_slices` images, each of a face that lies one pitch deeper than the one before.

    Every image is judged before it is recorded. A blank one is taken again; one that is blurred
    or displaced is taken again after the lens or the beam shift is corrected; a face that has not
    changed is milled again. A slice without an image is recorded as missing, in the stream
    ``decisions`` and in the result. Decisions are on record before anything is done.

    Parameters
    ----------
    detector : the electron column
    mill : the ion beam
    n_slices : number of slices, the face as it is now included
    pitch_nm : distance of the slices, nm
    marks : where the tracking marks are, also as a mapping; without, drift cannot be told from
        aslant features, and the pitch not be measured
    pixel_size_nm, accelerating_voltage_kV, etching_s, staining : as for `plans.take_micrographs`
    drift_tolerance_nm : how far the specimen may lie from its first place in the image, nm
    blur_tolerance_nm : how much blur, as a standard deviation, is left alone, nm
    focus_step_um : between the five images by which the focus is found, µm
    max_retakes : of one slice's image, for each reason
    resumes : a run (`bl_steer.runs.Run`) of this plan that was broken off; the new run goes on
        where it ended, at the depth that the mill reports
    analyses : to be done when the run has ended: names, or ``{"name": …, "params": {…}}``
    also_read : devices to read with every slice
    md : added to the start document

    Returns
    -------
    taken : how many slices were recorded, and which are missing

    Raises
    ------
    ValueError
        Before anything is set or milled, naming everything that cannot work.
    plans.stubs.microscopes.milling.SlicingError
        When the ion beam removes nothing, or drift is beyond the reach of the beam shift. All
        earlier slices are recorded.
    """
    check_md(md)
    if isinstance(marks, Mapping):
        marks = TrackingMarks.from_dict(marks)
    requested = {
        "pixel_size_nm": pixel_size_nm,
        "accelerating_voltage_kV": accelerating_voltage_kV,
        "etching_s": etching_s,
        "staining": staining,
    }
    options = SliceOptions(
        n_slices=n_slices,
        pitch_nm=pitch_nm,
        drift_tolerance_nm=drift_tolerance_nm,
        blur_tolerance_nm=blur_tolerance_nm,
        focus_step_um=focus_step_um,
        max_retakes=max_retakes,
    )
    options.check(detector, requested, marks, resumes)
    requests = requested_analyses(analyses)
    conditions = yield from set_conditions(detector, requested)
    first_depth = float((yield from bps.rd(mill.depth)))
    watch = SliceWatch(conditions["pixel_size_nm"], pitch_nm, marks)
    first = 0
    if resumes is not None:
        first, first_depth = carry_on(resumes, watch)
    devices: list[Readable[Any]] = [detector, mill, *also_read]
    start = {
        "plan_name": "slice_and_view",
        "detectors": [detector.name],
        "motors": [mill.name],
        "num_points": n_slices - first,
        "hints": {"dimensions": [([mill.depth.name], "primary")]},
        "conditions": conditions,
        "slices": {
            **options.to_dict(),
            "first_slice": first,
            "first_depth_nm": first_depth,
            "marks": None if marks is None else marks.to_dict(),
            "resumes": None if resumes is None else resumes.uid,
        },
        "analyses": requests,
    }
    executor = ThreadPoolExecutor(1, thread_name_prefix="look")
    slicing = Slicing(detector, mill, devices, options, watch, executor, first, first_depth)
    results: list[SlicesTaken] = []

    def finish() -> MsgGenerator[None]:
        row = Row("result", {"depth_nm": "nm", "z_nm": "nm"})
        row.value = slicing.result(float((yield from bps.rd(mill.depth))))
        results.append(row.value)
        yield from record([row], "result")

    @bpp.run_decorator(md=start | dict(md or {}))
    @bpp.stage_decorator([detector, mill, *also_read])
    @bpp.finalize_decorator(finish)
    def run() -> MsgGenerator[None]:
        yield from slicing.take_all()

    try:
        yield from run()
    finally:
        executor.shutdown(wait=False)
    return results[-1]
