"""Validation without a ground truth: leave slices out, and see whether they are predicted.

The networks see every second slice alone. What they predict between these, which lie two pitches
apart, is compared with the slices that were left out. The task is one doubling harder than the
real one, so the errors are an upper bound where the sample is alike throughout.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from bl_steer.analysis.grey_levels import mean_and_deviation, on_pedestal
from bl_steer.analysis.segmentation.scores import confusion, iou
from bl_steer.analysis.superresolution.baselines import lanczos, linear, nearest, signed_distance
from bl_steer.analysis.superresolution.decimation import reaches
from bl_steer.analysis.superresolution.effort import MOST
from bl_steer.analysis.superresolution.model import SuperResolutionModel, train_model
from bl_steer.analysis.superresolution.resolution import ring_resolution
from bl_steer.analysis.superresolution.sections import ONE_RUN, Running
from bl_steer.analysis.superresolution.training import TrainingSettings
from bl_steer.analysis.superresolution.verdict import NETWORKS, is_gain, verdict
from bl_steer.analysis.superresolution.volume import super_resolve
from bl_steer.files.large_arrays import let_go
from bl_steer.protocols import Array, Progress, Table
from bl_steer.stages import part_of

__all__ = ["checked", "label_scores", "leave_out"]

MIN_SLICES = 5
SMOOTH_PX = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Standard deviations."""


def checked(
    model: SuperResolutionModel, slices: Any, progress: Progress | None = None
) -> SuperResolutionModel:
    """Return a model whose card says what leaving slices out of its stack has shown.

    Parameters
    ----------
    slices : (n, H, W), in memory or in Zarr, that it learnt from; too few or too small ones are
        left unchecked

    Notes
    -----
    The card's ``check`` holds the ``verdict``, and whether that is ``better`` than what needs no
    training. It is of the first `MOST` slices.
    """
    few = np.asarray(slices[:MOST])
    twice = 2 * model.settings.decimation.pitch_px
    if len(few) < MIN_SLICES or not reaches(few.shape[1:], twice):
        return model
    n_phases = model.n_values if model.kind == "labels" else None
    said = verdict(leave_out(few, model.settings, n_phases=n_phases, progress=progress))
    check = {"verdict": said, "better": is_gain(said)}
    return replace(model, card={**model.card, "check": check})


def leave_out(
    slices: NDArray[Any],
    settings: TrainingSettings,
    *,
    n_phases: int | None = None,
    running: Running = ONE_RUN,
    progress: Progress | None = None,
) -> Table:
    """Score the prediction of every second slice beside the baselines.

    Parameters
    ----------
    slices : (n, H, W), five at least: grey levels, or labels if `n_phases` is given
    settings : how to train; the factor is not used

    Returns
    -------
    table : ``method``; for grey levels ``rms_error`` (grey levels), ``psnr_db`` (for the range of
        the slices) and ``resolution_px`` (Fourier ring correlation with what was measured), for
        labels ``miou`` and ``accuracy``. Of grey levels, ``smoothed`` is the linear interpolation
        less its noise, ``mean`` the mean of all; of labels, ``chance`` are those of pixels drawn
        anywhere

    Raises
    ------
    ValueError
        When there are fewer than five slices, or they are too small for twice the pitch.

    Notes
    -----
    One stage is trained anew, on the shown slices alone, for a distance of two pitches.
    """
    if len(slices) < MIN_SLICES:
        raise ValueError(
            f"a stack must have {MIN_SLICES} slices to leave some out, got {len(slices)}; take more"
        )
    slices = slices[: len(slices) - (len(slices) + 1) % 2]
    if n_phases is None:  # errors are the same without an offset that would swallow grey levels
        mean, deviation = mean_and_deviation(slices)
        offset = mean if on_pedestal(mean, deviation) else None
        slices = slices if offset is None else np.subtract(slices, offset)
    shown, hidden = slices[::2], slices[1::2]
    trained = train_model(
        shown, settings.at_twice_the_pitch(), n_phases=n_phases, progress=part_of(progress, 0, 2)
    )
    found = super_resolve(trained, shown, running=running, progress=part_of(progress, 1, 2))
    volumes = {
        NETWORKS: found.volume,
        "nearest": nearest(shown, 2),
    }
    if n_phases is None:
        volumes |= {"linear": linear(shown, 2), "lanczos": lanczos(shown, 2)}
        volumes["smoothed"] = _smoothed(volumes["linear"], hidden)
        volumes["mean"] = np.full(volumes["nearest"].shape, shown.mean(dtype=np.float64))
    else:
        volumes["signed distance"] = signed_distance(shown, 2, n_phases)
        drawn = np.random.default_rng(0)
        volumes["chance"] = np.stack(  # plane by plane: the places take 8 bytes each
            [
                shown.ravel()[drawn.integers(shown.size, size=shown.shape[1:])]
                for _ in range(len(volumes["nearest"]))
            ]
        )
    predicted = {method: volume[1::2] for method, volume in volumes.items()}
    if n_phases is None:
        return _grey_table(predicted, hidden)
    return label_scores(predicted, hidden, n_phases)


def _smoothed(volume: NDArray[np.float32], hidden: NDArray[Any]) -> NDArray[np.float32]:
    """Return a volume less its noise, by the Gaussian in the plane that serves it best.

    A network that does no more than take the noise out, or finds a shading, must not look as if it
    knew what lies between two slices. The width is chosen on what is predicted, in favour of this.
    """
    smooth = [gaussian_filter(volume, (0, px, px)) for px in SMOOTH_PX]
    errors = [float(np.mean((planes[1::2] - hidden.astype(np.float32)) ** 2)) for planes in smooth]
    return np.asarray(smooth[int(np.argmin(errors))])


def _grey_table(predicted: dict[str, NDArray[Any]], hidden: NDArray[Any]) -> Table:
    truth = hidden.astype(np.float64)
    low, high = np.percentile(truth, (0.5, 99.5))
    rms = np.array([np.sqrt(np.mean((planes - truth) ** 2)) for planes in predicted.values()])
    with np.errstate(divide="ignore"):
        psnr = 20 * np.log10((high - low) / rms)
    return {
        "method": np.array(list(predicted)),
        "rms_error": rms,
        "psnr_db": psnr,
        "resolution_px": np.array(
            [ring_resolution(planes, truth) for planes in predicted.values()]
        ),
    }


def label_scores(
    volumes: Mapping[str, NDArray[Any]], truth: NDArray[np.uint8], n_phases: int
) -> Table:
    """Return how well each method's labels (N, H, W) agree with the truth, voxel by voxel.

    Returns
    -------
    table : ``method``, ``miou`` (mean over the phases that occur) and ``accuracy``
    """
    counts = [_confusion(truth, labels, n_phases) for labels in volumes.values()]
    return {
        "method": np.array(list(volumes)),
        "miou": np.array([np.nanmean(iou(matrix)) for matrix in counts]),
        "accuracy": np.array([np.trace(matrix) / matrix.sum() for matrix in counts]),
    }


def _confusion(truth: NDArray[np.uint8], labels: NDArray[Any], n_phases: int) -> Array:
    """Return voxels by true (row) and predicted (column) phase, counted plane by plane."""
    counts = np.zeros((n_phases, n_phases))
    for plane, own in zip(truth, labels, strict=True):
        counts += confusion(plane, np.asarray(own, np.uint8), n_phases)
        let_go(truth)
        let_go(labels)
    return counts
