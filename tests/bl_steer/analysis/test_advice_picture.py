"""Nothing of the picture of an advice is cut off, whatever the shape of the map."""

from __future__ import annotations

import numpy as np
import pytest

from bl_steer.analysis.advice.figures import draw_advice


@pytest.mark.parametrize("height", [1.0, 3.5, 4.0, 12.0])
def test_titles_and_labels_lie_within_the_picture(height: float) -> None:
    x, y = np.linspace(0, 5, 8), np.linspace(0, height, 7)
    both = {"x": np.array([0.0, 5.0]), "y": np.array([0.0, height])}
    arrays = {"grid_x": x, "grid_y": y, "expected": np.outer(y, x), "sd": np.outer(y, x) + 1}
    points = {**both, "value": np.array([1.0, 2.0])}
    figure = draw_advice(points, {"x": [1.0], "y": [0.5]}, arrays, unit="um")
    figure.draw_without_rendering()
    box = figure.get_tightbbox()
    assert min(box.x0, box.y0) > 0.03
    assert box.x1 < figure.get_figwidth() - 0.03
    assert box.y1 < figure.get_figheight() - 0.03
