"""Super-resolve a stack that fits into memory; `zarr_volume` is for those that do not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.superresolution.checks import check_count, check_slices
from bl_steer.analysis.superresolution.model import SuperResolutionModel
from bl_steer.analysis.superresolution.phase_choice import PhaseChoice
from bl_steer.analysis.superresolution.sections import ONE_RUN, Running
from bl_steer.analysis.superresolution.slabs import SlabWork, n_planes
from bl_steer.protocols import Progress
from bl_steer.single_thread import single_thread

__all__ = ["SuperResolved", "super_resolve"]


@dataclass(frozen=True)
class SuperResolved:
    """A stack with planes inserted between its slices.

    Parameters
    ----------
    volume : (N, H, W), of the type of the slices; every factor-th plane is a slice, bit for bit
    uncertainty : (N, H, W), f32: how far xz and yz sections disagree; 0 on slices
    """

    volume: NDArray[Any]
    uncertainty: NDArray[np.float32]


def super_resolve(
    model: SuperResolutionModel,
    slices: NDArray[Any],
    *,
    keep_fractions: bool = True,
    running: Running = ONE_RUN,
    progress: Progress | None = None,
) -> SuperResolved:
    """Insert planes between the slices of a stack.

    Parameters
    ----------
    slices : (n, H, W), what the model was trained on: grey levels or labels
    keep_fractions : for labels: give the inserted planes the phase fractions and the length of
        boundary of the slices

    Raises
    ------
    ValueError
        When the slices are not of the model's kind, or there is only one.
    """
    check_slices(slices, model.n_values if model.kind == "labels" else None)
    check_count(len(slices))
    shape = (n_planes(len(slices), model.factor), *slices.shape[1:])
    work = SlabWork(
        model,
        slices,
        np.empty((model.n_values, *shape), np.float16),
        np.empty(shape, slices.dtype),
        np.empty(shape, np.float32),
        running,
    )
    rows, columns = work.slabs(1), work.slabs(2)
    with single_thread():
        for done, slab in enumerate(rows, start=1):
            work.first_pass(slab)
            _show(progress, done, len(rows) + len(columns))
        free = PhaseChoice.free(model.factor, model.n_values)
        choice = work.find_choice() if keep_fractions else free
        for done, slab in enumerate(columns, start=len(rows) + 1):
            work.second_pass(slab, choice)
            _show(progress, done, len(rows) + len(columns))
    return SuperResolved(work.volume, work.uncertainty)


def _show(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total)
