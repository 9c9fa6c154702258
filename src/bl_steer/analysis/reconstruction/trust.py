"""How far a reconstruction can be trusted, without a ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.reconstruction.checks import FEWEST, validation_warnings
from bl_steer.analysis.reconstruction.depths import EvenDepths
from bl_steer.analysis.superresolution.checks import lost_phase_warnings
from bl_steer.analysis.superresolution.effort import MOST
from bl_steer.analysis.superresolution.isotropy import measure_isotropy, middle_box
from bl_steer.analysis.superresolution.model import SuperResolutionModel
from bl_steer.analysis.superresolution.resolution import (
    FourierCorrelation,
    first_below,
    fourier_correlation,
)
from bl_steer.analysis.superresolution.slabs import Inserter
from bl_steer.analysis.superresolution.validation import leave_out
from bl_steer.protocols import Progress, Table
from bl_steer.single_thread import single_thread
from bl_steer.slicing.motion import motion_warnings

__all__ = ["Trust", "judge", "shell_correlation"]

CROP_PX, CROP_SLICES = 128, 17
"""Of the stack, from its middle: enough for a correlation."""


@dataclass(frozen=True)
class Trust:
    """What speaks for and against a volume.

    Parameters
    ----------
    tables : ``isotropy_chords`` and ``isotropy_correlation``, ``shell_correlation``, and where
        slices were left out ``leave_out``
    resolution_nm : where xz and yz sections cease to agree; NaN where they do not
    warnings : one sentence each
    """

    tables: dict[str, Table]
    resolution_nm: float
    warnings: tuple[str, ...]


def judge(
    labels: NDArray[np.uint8],
    network: SuperResolutionModel,
    depths: EvenDepths,
    pixel_nm: float,
    names: Sequence[str],
    *,
    slice_names: Sequence[str] = (),
    check: bool = True,
    progress: Progress | None = None,
) -> Trust:
    """Test isotropy and resolution of label maps (n, H, W); leave slices out if `check` is set.

    Parameters
    ----------
    names : of the phases
    slice_names : as of `bl_steer.slicing.bad_slices.called`
    """
    n_phases = network.n_values
    voxel = (depths.pitch_nm, pixel_nm, pixel_nm)
    box = middle_box(labels, depths.pitch_nm / pixel_nm, n_phases)
    isotropy = measure_isotropy(box, voxel, n_phases=n_phases, names=names)
    shells = shell_correlation(network, labels, (voxel[0] / network.factor, pixel_nm, pixel_nm))
    tables: dict[str, Table] = {
        "isotropy_chords": isotropy.chords,
        "isotropy_correlation": isotropy.correlation,
        "shell_correlation": {
            "frequency_1_nm": shells.frequency,
            "correlation": shells.correlation,
        },
    }
    if check and len(labels) >= FEWEST:
        tables["leave_out"] = leave_out(
            labels[:MOST], network.settings, n_phases=n_phases, progress=progress
        )
    too_few = validation_warnings(len(labels)) if check else ()
    return Trust(
        tables,
        shells.resolution_nm,
        (
            *motion_warnings(labels, depths.pitch_nm / pixel_nm, slice_names, aligned=True),
            *lost_phase_warnings(labels, names, slice_names),
            *isotropy.warnings,
            *too_few,
        ),
    )


def shell_correlation(
    network: SuperResolutionModel,
    labels: NDArray[np.uint8],
    voxel_nm: tuple[float, float, float],
) -> FourierCorrelation:
    """Return the Fourier shell correlation of what xz and what yz sections alone would give.

    Parameters
    ----------
    labels : (n, H, W); the middle of the stack is taken
    voxel_nm : of the inserted planes

    Notes
    -----
    The mean over the phases. Both share networks and slices, so that the resolution is an upper
    bound: no better than this.
    """
    middle = _middle(labels)
    xz = _one_way(network, middle)
    yz = _one_way(network, np.ascontiguousarray(middle.swapaxes(1, 2))).swapaxes(2, 3)
    by_phase = [
        fourier_correlation(a, b, voxel_nm)
        for a, b in zip(xz, yz, strict=True)
        if np.ptp(a) > 0 and np.ptp(b) > 0
    ]
    correlation = np.mean([phase.correlation for phase in by_phase], axis=0)
    frequency = by_phase[0].frequency
    return FourierCorrelation(frequency, correlation, first_below(frequency, correlation))


def _middle(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    crop = (CROP_SLICES, CROP_PX, CROP_PX)
    starts = [max(0, (n - m) // 2) for n, m in zip(labels.shape, crop, strict=True)]
    return labels[tuple(slice(s, s + m) for s, m in zip(starts, crop, strict=True))]


def _one_way(network: SuperResolutionModel, labels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the phases' shares that the xz sections give, (n_phases, N, H, W)."""
    with single_thread():
        return Inserter(network).first_pass(labels).astype(np.float32)
