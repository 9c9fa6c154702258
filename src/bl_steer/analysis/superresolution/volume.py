"""Super-resolve a stack that fits into memory; `zarr_volume` is for those that do not."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.superresolution.checks import check_count, check_slices
from bl_steer.analysis.superresolution.model import SuperResolutionModel
from bl_steer.analysis.superresolution.phase_choice import PhaseChoice
from bl_steer.analysis.superresolution.sections import ONE_RUN, Running
from bl_steer.analysis.superresolution.slabs import Inserter, SlabWork, n_planes
from bl_steer.processing.executors.part_processes import each_result
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
    fit_behind: int | None = None,
    running: Running = ONE_RUN,
    progress: Progress | None = None,
) -> SuperResolved:
    """Insert planes between the slices of a stack.

    Parameters
    ----------
    slices : (n, H, W), what the model was trained on: grey levels or labels
    keep_fractions : for labels: give the inserted planes the phase fractions and the length of
        boundary of the slices
    fit_behind : slice; where only the planes between it and the next are used, they are given
        those of these two slices, and not of all

    Raises
    ------
    ValueError
        When the slices are not of the model's kind, or there is only one.
    """
    check_slices(slices, model.n_values if model.kind == "labels" else None)
    check_count(len(slices))
    shape = (n_planes(len(slices), model.factor), *slices.shape[1:])
    inserter = Inserter(model, running)
    work = SlabWork(
        inserter,
        slices,
        np.empty((model.n_values, *shape), np.float16),
        np.empty(shape, slices.dtype),
        np.empty(shape, np.float32),
    )
    rows, columns = work.slabs(1), work.slabs(2)
    shown = _Shown(progress, len(rows) + len(columns))
    with single_thread():
        first = each_result(
            inserter.first_pass, rows, load=work.for_first, processes=running.n_processes
        )
        with closing(first):  # its processes end here, also after Ctrl-C
            for number, inserted in first:
                work.keep_first(rows[number], inserted)
                shown()
        free = PhaseChoice.free(model.factor, model.n_values)
        choice = work.find_choice(fit_behind) if keep_fractions else free
        second = each_result(
            partial(inserter.second_pass, choice=choice),
            columns,
            load=work.for_second,
            processes=running.n_processes,
        )
        with closing(second):
            for number, found in second:
                work.keep_second(columns[number], found)
                shown()
    return SuperResolved(work.volume, work.uncertainty)


class _Shown:
    """Report progress, a slab at each call."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._done, self._total = progress, 0, total

    def __call__(self) -> None:
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self._total)
