"""An experiment as a plain Python file: find point A, then map the region around it finely.

    python examples/scripted_experiment.py --data ./bl_steer_data

Copy it, edit the capitals, run it. It measures on the simulated beamline. On the real one, open
the session on `bl_steer.session.epics(axes)`, or on an `Instrument` of your own devices.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from bl_steer.agents import Space
from bl_steer.plotting.maps import plot_map
from bl_steer.plotting.runs import map_outcomes, measured_outcomes
from bl_steer.runs import Run, open_run
from bl_steer.session import Session, open_session
from bl_steer.steering import predicted_map

SAMPLE, SEED = "smooth", 1
TARGET = "ref:x=0.45,R=0.9,tilt=0"
"""The height of the Ge-rich (022) peak, with a reference pattern computed from its composition."""
BUDGET = 30
FINE_PITCH_UM = 2.5
FINE_POINTS = 7
"""Along each axis: 7×7 points, 15 µm across."""


def main() -> None:
    """Measure, draw, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("./bl_steer_data"), help="the store")
    data = parser.parse_args().data
    with open_session(SAMPLE, seed=SEED, data_dir=data, progress=False) as session:
        steered_uid, spot = session.run(session.find_hotspot(target=TARGET, budget=BUDGET))
        region = region_around(spot.best_x, spot.best_y, session)
        mapped_uid, _ = session.run(session.map_sample(grid=region))
        steered, mapped = (open_run(session.store, uid) for uid in (steered_uid, mapped_uid))
        fine = map_outcomes(mapped, TARGET)
        figure = data / "scripted_experiment.png"
        draw(steered, region, fine).savefig(figure, dpi=150)
    x, y = region.points[np.nanargmax(fine)]
    print(
        f"coarse  ({spot.best_x:g}, {spot.best_y:g}) µm, "
        f"{spot.best_value:.0f} ± {spot.best_sd:.0f} counts, {spot.n_measured} points, "
        f"run {steered_uid[:8]}\n"
        f"fine    ({x:g}, {y:g}) µm, {np.nanmax(fine):.0f} counts, "
        f"{len(region.points)} points, run {mapped_uid[:8]}\n"
        f"figure  {figure}"
    )


def region_around(x: float, y: float, session: Session) -> Space:
    """Return a fine grid around a spot, shifted where it would leave the stage's limits."""
    stage = session.devices["stage"]
    offsets = FINE_PITCH_UM * (np.arange(FINE_POINTS) - FINE_POINTS // 2)
    low, high = np.array([stage.x.limits, stage.y.limits]).T
    centre = np.clip([x, y], low - offsets[0], high - offsets[-1])
    return Space.grid(centre[0] + offsets, centre[1] + offsets)


def draw(steered: Run, region: Space, fine: np.ndarray) -> Figure:
    """Draw the map predicted from the few points, and the fine map around its best spot."""
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    grid = Space.from_dict(steered.steering["grid"])
    measured, outcomes = measured_outcomes(steered)
    predicted, _ = predicted_map(steered.steering, measured, outcomes)
    (x0, y0), (x1, y1) = region.bounds
    plot_map(
        grid,
        predicted,
        ax=left,
        measured=measured,
        title=f"predicted from {len(measured)} points",
    )
    left.plot([x0, x1, x1, x0, x0], [y0, y0, y1, y1, y0], color="red")
    plot_map(
        region,
        fine,
        ax=right,
        best=tuple(region.points[np.nanargmax(fine)]),
        title=f"measured, {FINE_PITCH_UM:g} µm pitch",
    )
    return figure


if __name__ == "__main__":
    main()
