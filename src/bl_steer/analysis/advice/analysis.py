"""The analysis ``advise``: from points that somebody measured to where to measure next.

The agents' own loop is `bl_steer.steering`; this is for a table of points from anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from bl_steer import runs
from bl_steer.agents import AGENT_NAMES, Space, SpaceExhausted, make_agent
from bl_steer.agents.ledger import MAX_INVALID
from bl_steer.agents.scales import of_unlike_units
from bl_steer.analysis import advice
from bl_steer.analysis.advice.checks import N_START, checked_points, value_name, warnings_for
from bl_steer.analysis.advice.one_unit import axes_told, y_per_x
from bl_steer.analysis.advice.subset import most_learnt, spread_out
from bl_steer.analysis.provenance import provenance_of, units_of_columns
from bl_steer.protocols import (
    Agent,
    AnalysisResult,
    Array,
    ExplainsDecisions,
    Explanation,
    Inputs,
    PredictsMap,
    Progress,
    Table,
)
from bl_steer.steering.decision import brightest
from bl_steer.steering.remarks import is_spotless

__all__ = ["AdviceParams", "SteeringAdvice"]

CELLS = 30
"""Cells along the longer side, where no pitch is given: as fine as the beamline's maps."""
MAX_CELLS = 40_000


class AdviceParams(BaseModel):
    """What the advice can be told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    goal: Literal["highest", "lowest"] = Field("highest", description="Value that is looked for")
    n_points: int = Field(5, ge=1, le=50, description="Points to suggest, the best first")
    pitch: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="Distance of the places to choose from, in the unit of x; a thirtieth "
        "of the longer side by default, or of each where one is more than ten times the other",
    )
    method: Literal["bayesian", "sobol", "random"] = Field(
        "bayesian",
        description="bayesian learns from the values; sobol and random fill the area evenly",
    )
    seed: int = Field(0, ge=0, lt=2**32, description="Of all random choices")


class SteeringAdvice:
    """Say where to measure next, and draw what is known so far.

    Notes
    -----
    Several points are chosen one after the other: the value of each is assumed to be what the model
    expects there before the next is chosen (the "kriging believer"). Of more points than the method
    bayesian can learn from in some seconds, it learns from some that lie spread out.

    Lengths in two units (x in mm beside y in um) are compared in that of x, and given in their own;
    of units that cannot be compared (mm beside deg), distances are counted in steps.

    References
    ----------
    Ginsbourger, Le Riche & Carraro (2010), in Computational Intelligence in Expensive Optimization
    Problems, 131, doi 10.1007/978-3-642-10701-6_6.
    """

    name: ClassVar[str] = "advise"
    version: ClassVar[str] = "5"
    Params: ClassVar[type[BaseModel]] = AdviceParams

    def inputs_of(self, run: Any) -> Inputs:
        """Return a stored run's valid points and the counts of each."""
        if (run.frames is None and not run.steering) or not run.valid.any():
            raise ValueError(
                f"advice must come from measured points, got none in run {run.uid}; choose a run "
                "of map_sample or find_hotspot"
            )
        x, y = runs.plane_of(run)
        patterns = run.patterns()
        measured = np.isfinite(patterns).any(axis=1)  # a cell may be NaN, and a dead point is
        value = np.where(measured, np.nansum(patterns, axis=1), np.nan)
        arrays = {"x": x, "y": y, "value": value}
        if (run.noise_ratios != 1.0).any():
            arrays["noise_ratio"] = run.noise_ratios
        units = {"unit": runs.unit_of_axes(run), "value_unit": runs.unit_of_frames(run)}
        return Inputs(arrays, units, {"run": run.uid})

    def run(
        self, inputs: Inputs, params: AdviceParams, progress: Progress | None = None
    ) -> AnalysisResult:
        """Suggest points.

        Parameters
        ----------
        inputs : arrays ``x``, ``y`` and ``value``, (n_points,) each; rows with NaN are left out.
            ``noise_ratio``, where there is one, as for `bl_steer.protocols.Agent.ingest`

        Returns
        -------
        result : tables ``suggestions`` (a row each: x, y, expected value and its sd as if the
            points of the rows before were measured, reason; NaN where the method expects
            nothing, and for the sd where all values are one, which tells none)
            and ``best`` (the highest or lowest measured point);
            with the method bayesian arrays ``expected`` and ``sd``, (n_y, n_x), of the measured
            points alone, on the axes ``grid_x`` and ``grid_y``. The reason "explore" says that no
            place promises an improvement any more: the point lies beside the measured one that is
            most above what all others say, where a narrow maximum may hide, or else farthest from
            all points, so not where the sd is largest

        Raises
        ------
        ValueError
            When there are too few points, or no area between them, or a pitch for axes whose units
            cannot be compared.
        """
        began = perf_counter()
        told = checked_points(inputs)
        unit, of_value = (str(inputs.metadata.get(key, "")) for key in ("unit", "value_unit"))
        y_factor = y_per_x(unit)
        points = {**told, "y": told["y"] * (y_factor or 1.0)}
        sign = 1.0 if params.goal == "highest" else -1.0
        space = _space(points, params, unit)
        learnt = _learnt(points, space, params, sign)
        agent = _trained(points, learnt, space, params, sign)
        # Before it suggests: afterwards it believes in values that nobody measured.
        arrays = _expected(agent, space, sign) if isinstance(agent, PredictsMap) else {}
        suggestions = _suggest(agent, params, sign, progress)
        if is_spotless(points["value"][learnt]):
            # Values that are all one have no scale from which a deviation could be told.
            suggestions = {**suggestions, "sd": np.full_like(suggestions["sd"], np.nan)}
            arrays |= {"sd": np.full_like(arrays["sd"], np.nan)} if "sd" in arrays else {}
        if y_factor not in (None, 1.0):
            suggestions = {**suggestions, "y": suggestions["y"] / y_factor}
            arrays |= {"grid_y": arrays["grid_y"] / y_factor} if "grid_y" in arrays else {}
        units = units_of_columns(unit, expected=of_value, sd=of_value, value=of_value)
        return AnalysisResult(
            tables={"suggestions": suggestions, "best": _best(told, sign)},
            arrays=arrays,
            provenance=provenance_of(
                self, params, inputs, began, unit=unit, units=units, pitch=space.pitch
            ),
            figures={
                "advice": lambda: advice.draw_advice(
                    told,
                    suggestions,
                    arrays,
                    unit=unit,
                    value=value_name(inputs),
                    y_factor=y_factor or 1.0,
                )
            },
            warnings=[
                *inputs.notes,
                *warnings_for(told, inputs, learnt, suggestions, params.n_points, space),
            ],
        )


def _space(points: Mapping[str, Array], params: AdviceParams, unit: str) -> Space:
    """Return the grid over the box of the measured points, in its middle.

    Parameters
    ----------
    points : ``y`` in the unit of ``x``, where it can be
    """
    apart = y_per_x(unit) is None
    if apart and params.pitch is not None:
        x, y = axes_told(unit)
        raise ValueError(
            f"a pitch must be for axes of one unit, got {params.pitch:g} for x in {x} and y in "
            f"{y}; leave it out, and each side is taken in {CELLS} steps"
        )
    low = np.array([points["x"].min(), points["y"].min()])
    high = np.array([points["x"].max(), points["y"].max()])
    if (high == low).any():
        raise ValueError(
            f"points must span an area, got x from {low[0]:g} to {high[0]:g} and y from "
            f"{low[1]:g} to {high[1]:g}; measure its corners first"
        )
    side = high - low
    pitch = np.full(2, params.pitch or float(side.max()) / CELLS)
    if params.pitch is None and (apart or of_unlike_units(side)):
        pitch = side / CELLS
    counts = np.floor(side / pitch * (1 + 1e-9)).astype(int) + 1
    if counts.prod() > MAX_CELLS or counts.prod() < 2:
        raise ValueError(
            f"the pitch must give 2 to {MAX_CELLS} places, got {counts[0]} x {counts[1]} with "
            f"{pitch.max():g}; choose another"
        )
    first = low + 0.5 * np.maximum(side - pitch * (counts - 1), 0.0)
    return Space.grid(*(first[i] + pitch[i] * np.arange(counts[i]) for i in (0, 1)))


def _learnt(
    points: Mapping[str, Array], space: Space, params: AdviceParams, sign: float
) -> NDArray[np.bool_]:
    """Return from which of the points is learnt, booleans (n,)."""
    if params.method != "bayesian":
        return np.ones(len(points["x"]), bool)
    best, _ = brightest(sign * points["value"], points["noise_ratio"])
    scale = space.metrics[0].scale
    return spread_out(points, most_learnt(len(space)), best, scale=scale)


def _trained(
    points: Mapping[str, Array],
    learnt: NDArray[np.bool_],
    space: Space,
    params: AdviceParams,
    sign: float,
) -> Agent:
    if params.method not in AGENT_NAMES:
        raise ValueError(f"a method must be one of {', '.join(AGENT_NAMES)}, got {params.method!r}")
    options: dict[str, Any] = {}
    if params.method == "bayesian":
        # Square roots suit counts; other values, and those turned round, are taken as they are.
        counts = sign > 0 and points["value"].min() >= 0
        options = {"n_start": N_START, "warp": "sqrt" if counts else "none"}
    agent = make_agent(params.method, space, seed=params.seed, **options)
    values = np.where(learnt, sign * points["value"], np.nan)
    columns = points["x"], points["y"], values, points["noise_ratio"]
    rows = [
        {"x": float(x), "y": float(y), "objective": float(v), "noise_ratio": float(ratio)}
        for x, y, v, ratio in zip(*columns, strict=True)
    ]
    agent.ingest(rows)
    # No measured point is suggested again, whether it is learnt from or not.
    agent.ingest([row for row in rows if np.isnan(row["objective"])] * (MAX_INVALID - 1))
    return agent


def _expected(agent: PredictsMap, space: Space, sign: float) -> dict[str, Array]:
    """Return the maps of what is expected and how well it is known, and their axes."""
    mean, sd = agent.predict(space.points)
    shape = space.shape or (1, len(space))
    return {
        "expected": (sign * mean).reshape(shape),
        "sd": sd.reshape(shape),
        "grid_x": space.points[: shape[1], 0].copy(),
        "grid_y": space.points[:: shape[1], 1].copy(),
    }


def _suggest(agent: Agent, params: AdviceParams, sign: float, progress: Progress | None) -> Table:
    rows: list[tuple[float, float, float, float, str]] = []
    for number in range(params.n_points):
        try:
            (point,) = agent.suggest()
        except SpaceExhausted:
            break
        why = agent.explain() if isinstance(agent, ExplainsDecisions) else Explanation("")
        mean, sd = why.mean, why.sd
        if isinstance(agent, PredictsMap):
            # Kriging believer: the expected value stands for the one to be measured.
            means, sds = agent.predict(np.array([[point["x"], point["y"]]]))
            mean, sd = float(means[0]), float(sds[0])
            agent.ingest([{**point, "objective": mean}])
        rows.append((point["x"], point["y"], sign * mean, sd, why.reason))
        if progress is not None:
            progress(number + 1, params.n_points)
    x, y, mean_, sd_, reason = zip(*rows, strict=True) if rows else ((),) * 5
    return {
        "x": np.array(x, dtype=float),
        "y": np.array(y, dtype=float),
        "expected": np.array(mean_, dtype=float),
        "sd": np.array(sd_, dtype=float),
        "reason": np.array(reason, dtype=str),
    }


def _best(points: Mapping[str, Array], sign: float) -> Table:
    at, _ = brightest(sign * points["value"], points["noise_ratio"])
    return {key: points[key][at : at + 1] for key in ("x", "y", "value")}
