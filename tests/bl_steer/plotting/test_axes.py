"""Figures on one, two and three axes: a curve, a map, projections."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bl_steer.agents import Space
from bl_steer.plotting import plot_map, plot_prediction

AXES = (np.arange(0.0, 40.0, 5.0), np.arange(0.0, 30.0, 5.0), np.arange(0.0, 20.0, 5.0))


def space_of(d: int) -> Space:
    return Space.grid(*AXES[:d])


@pytest.mark.parametrize(
    ("d", "labels"),
    [
        (1, [("x (µm)", "intensity (counts)")]),
        (2, [("x (µm)", "y (µm)")] * 2),
        (
            3,
            [
                ("x (µm)", "y (µm)"),
                ("x (µm)", "z (µm)"),
                ("y (µm)", "z (µm)"),
                ("x (µm)", "y (µm)"),
            ],
        ),
    ],
)
def test_a_prediction_is_drawn_on_the_axes_that_there_are(
    d: int, labels: list[tuple[str, str]], tmp_path: Path
) -> None:
    space = space_of(d)
    values = space.points.sum(axis=1)
    measured = space.points[[0, 3, -1]]
    figure = plot_prediction(
        space,
        values,
        np.ones(len(space)),
        measured=measured,
        outcomes=values[[0, 3, -1]],
        best=space.points[-1].tolist(),
        target="total",
        unit="um",
    )
    drawn = [(ax.get_xlabel(), ax.get_ylabel()) for ax in figure.axes]
    assert drawn[: len(labels)] == labels
    assert drawn[len(labels)] == ("measurements", "best intensity so far (counts)")
    assert "A" in [text.get_text() for text in figure.axes[0].texts]
    figure.savefig(tmp_path / "figure.png")


def test_a_curve_shows_band_points_and_the_spot_at_its_height() -> None:
    space = Space.grid([10.0, 0.0, 5.0])
    axes = plot_map(
        space,
        np.array([3.0, 1.0, 7.0]),
        sd=np.full(3, 0.5),
        measured=np.array([[5.0]]),
        outcomes=np.array([6.5]),
        best=[5.0],
        coming=[10.0],
    )
    assert axes.lines[0].get_xydata().tolist() == [[0, 1], [5, 7], [10, 3]]
    low, high = (f(axes.collections[0].get_paths()[0].vertices[:, 1]) for f in (np.min, np.max))
    assert (low, high) == (0.0, 8.0)
    assert axes.collections[1].get_offsets().tolist() == [[5.0, 6.5]]
    assert axes.lines[-1].get_xydata().tolist() == [[5.0, 7.0]]


@pytest.mark.parametrize("plane", [("x", "y"), ("x", "z"), ("y", "z"), ("z", "x")])
def test_three_axes_are_drawn_as_the_largest_value_along_the_third(plane: tuple[str, str]) -> None:
    space = space_of(3)
    values = np.random.default_rng(0).uniform(size=len(space))
    axes = plot_map(space, values, plane=plane, best=space.points[int(values.argmax())].tolist())
    drawn = axes.collections[0].get_array()
    assert drawn is not None
    columns = [space.names.index(name) for name in plane]
    for i, column in enumerate(AXES[columns[0]]):
        for j, row in enumerate(AXES[columns[1]]):
            here = (space.points[:, columns] == (column, row)).all(axis=1)
            assert np.reshape(drawn, (len(AXES[columns[1]]), -1))[j, i] == values[here].max()
    (spot,) = axes.lines[-1].get_xydata()
    assert spot.tolist() == space.points[int(values.argmax()), columns].tolist()


def test_scattered_points_on_three_axes_are_drawn_as_dots_the_brightest_on_top() -> None:
    rng = np.random.default_rng(1)
    space = Space.scattered(*rng.uniform(0, 10, (3, 20)))
    values = rng.uniform(size=20)
    dots = plot_map(space, values).collections[0]
    assert dots.get_array() is not None
    assert np.array(dots.get_array()).tolist() == sorted(values)
    assert dots.get_offsets()[-1].tolist() == space.points[int(values.argmax()), :2].tolist()


def test_forbidden_zones_are_hatched() -> None:
    zones = [
        {"box": [[0, 0], [4, 4]]},
        {"circle": [30, 20, 4]},
        {"polygon": [[20, 0], [25, 0], [20, 4]]},
    ]
    space = space_of(2).forbid(zones)
    axes = plot_map(space, np.arange(float(len(space))))
    assert [patch.get_hatch() for patch in axes.patches] == ["///"] * 3
