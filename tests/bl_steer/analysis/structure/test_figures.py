"""Figures that can be read."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from bl_steer.analysis.structure.analysis import StructureAnalysis
from bl_steer.protocols import Inputs
from simulators.electron.phantoms import CUBE, voxel_positions


def test_numbers_at_the_axis_of_chord_lengths_do_not_lie_over_each_other() -> None:
    analysis = StructureAnalysis()
    ball = (voxel_positions((48, 48, 48), CUBE) ** 2).sum(axis=-1) < 16.0**2
    inputs = Inputs({"labels": ball.astype(np.uint8)}, {"voxel_size_nm": (10.0, 10.0, 10.0)})
    figure = analysis.run(inputs, analysis.Params()).figures["isotropy"]()
    figure.draw_without_rendering()
    axis = figure.axes[1].xaxis
    shown = [t for t in axis.get_ticklabels() + axis.get_ticklabels(minor=True) if t.get_text()]
    boxes = sorted((t.get_window_extent() for t in shown), key=lambda box: box.x0)
    low, high = figure.axes[1].bbox.x0, figure.axes[1].bbox.x1
    inside = [box for box in boxes if low <= 0.5 * (box.x0 + box.x1) <= high]
    assert len(inside) > 1
    assert all(left.x1 < right.x0 for left, right in pairwise(inside))
