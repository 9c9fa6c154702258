"""Draw what the planner of the training set says."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bl_steer.analysis.segmentation.planning.learning_curve import LearningCurve

__all__ = ["plot_learning_curve"]


def plot_learning_curve(curve: LearningCurve, ax: Axes | None = None) -> Axes:
    """Draw the scores, the curve through them and its 90 % band up to eight times the pairs."""
    if ax is None:
        ax = Figure(figsize=(5.0, 3.5), layout="constrained").add_subplot()
    sizes = np.geomspace(curve.sizes.min(), 8 * curve.sizes.max(), 60)
    mean, low, high = np.array([curve.predict(n) for n in sizes]).T
    ax.fill_between(sizes, low, high, alpha=0.25, linewidth=0, label="90 % interval")
    ax.plot(sizes, mean, label="fit: a − b n$^{-c}$")
    ax.axvline(curve.sizes.max(), color="0.6", linestyle=":", label="predicted beyond")
    errors = np.nan_to_num(curve.sds)
    ax.errorbar(curve.sizes, curve.scores, yerr=errors, fmt="ko", capsize=3, label="measured ± sd")
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set_xlabel("pairs of micrograph and mask (number)")
    ax.set_ylabel("mean IoU (0 … 1)")
    ax.legend(loc="lower right")
    return ax
