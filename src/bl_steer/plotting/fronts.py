"""The places that no other one beats, by the values of two targets."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from bl_steer.protocols import Array
from bl_steer.steering import Front

__all__ = ["plot_front"]


def plot_front(
    front: Front, outcomes: Array, *, ax: Axes, pair: tuple[int, int] = (0, 1), unit: str = "counts"
) -> Axes:
    """Draw the values of two targets at the places that no other one beats, with one sd.

    Parameters
    ----------
    front : of any number of targets
    outcomes : shape (n, n_targets), of all points measured, drawn in grey
    pair : the targets drawn along x and y
    unit : of the values
    """
    x, y = pair
    ax.plot(outcomes[:, x], outcomes[:, y], "o", ms=3, color="0.7", label="measured")
    ax.errorbar(
        front.values[:, x],
        front.values[:, y],
        xerr=front.sds[:, x],
        yerr=front.sds[:, y],
        fmt="s",
        ms=4,
        color="red",
        elinewidth=1,
        label=f"no other place beats these {len(front.values)} (± sd)",
    )
    if outcomes.shape[1] == 2:
        order = np.argsort(front.values[:, x])
        ax.step(front.values[order, x], front.values[order, y], where="pre", color="red", lw=0.8)
    ax.set(xlabel=f"{front.targets[x]} ({unit})", ylabel=f"{front.targets[y]} ({unit})")
    ax.legend(fontsize=8)
    return ax
