"""The contracts of the library: read this first.

An `Agent` says where to measure next, a `Feature` turns a measured pattern into the number that
the agent maximises. Neither knows Bluesky. `bl_steer.steering.Steering` joins the two, and the
plans drive it. What makes a pattern of frames is a `bl_steer.diffraction.Reduction`, beside its
classes. The verbs ``suggest`` and ``ingest`` and the ``_id`` key are those of blop,
bluesky-adaptive and Xopt, so an agent of theirs can be put in the place of ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

Array = NDArray[np.float64]
Point = dict[str, Any]
"""``{"_id": 3, "x": 55.0, "y": 20.0}``, on one axis without ``y``, on three with ``z`` as well; an
outcome carries ``"objective"``, too."""

Table = Mapping[str, NDArray[Any]]
"""Columns of one length by name; numbers and text only."""

Progress = Callable[[int, int], None]
"""Called with the steps done and the steps in all, as a long work goes on."""

__all__ = [
    "Agent",
    "Analysis",
    "AnalysisResult",
    "Array",
    "ChoosesExposure",
    "ExplainsDecisions",
    "Explanation",
    "Feature",
    "ForeseesOutcomes",
    "Inputs",
    "KeepsOut",
    "LearnsNoise",
    "Point",
    "PredictsMap",
    "Progress",
    "RaisesAlarm",
    "RecommendsSpot",
    "RemembersState",
    "Spot",
    "Table",
]


class Agent(Protocol):
    """Decide where to measure next.

    An agent that is chosen by its name (`bl_steer.agents.make_agent`) is built as
    ``AgentClass(space, seed=seed, **options)``; an object that is given to a plan is taken as it
    is. What else an agent can do are the small protocols below: `ExplainsDecisions`, `PredictsMap`,
    `RecommendsSpot`, `RemembersState`.
    """

    def suggest(self, num_points: int | None = None) -> Sequence[Point]:
        """Return the next points to measure (one by default), each with ``_id`` and ``x``
        (and ``y`` (and ``z``), by the axes of the space).

        Points that were suggested and have no outcome are on their way: they count as taken.

        Raises
        ------
        bl_steer.agents.SpaceExhausted
            When nothing is left to measure: the run ends in good order.
        """
        ...

    def ingest(self, points: Sequence[Mapping[str, Any]]) -> None:
        """Take outcomes: a point as it was suggested, with its ``objective``.

        NaN stands for a measurement that gave nothing, or as many as its ``n_invalid``, after which
        the place is left out. A ``noise_ratio``, if there is one, is the variance of the outcome's
        noise in units of that at the nominal beam; an agent may leave it out of account.

        An ``_id`` seen before replaces its outcome: that is how a feature whose basis changed
        labels all earlier points anew.
        """
        ...


@dataclass(frozen=True)
class Explanation:
    """Why the latest suggestion was made. NaN stands for "does not apply"."""

    reason: str
    """``"start"`` (start design), ``"improve"`` (acquisition), ``"map"`` and ``"level"`` (likewise,
    of these goals) or a baseline's name; in a recorded decision also ``"retake"`` (the same
    position after a dead frame), ``"agent"`` (one that does not explain itself), ``"user"`` (who
    asked for it), ``"exclude"`` (where a hill could hide, by the rule `stop`), and ``"compare"``
    and ``"confirm"`` (a spot that may be the brightest, and the brightest at the full exposure)."""
    acquisition: float = float("nan")
    """Logarithm of what is expected of the suggestion: the improvement, in the agent's own (warped)
    units of the objective; of another goal what it takes from the error."""
    runner_up_x: float = float("nan")
    runner_up_y: float = float("nan")
    runner_up_acquisition: float = float("nan")
    mean: float = float("nan")
    """Posterior mean of the objective at the suggestion, in the objective's units."""
    sd: float = float("nan")
    """Posterior standard deviation there, in the objective's units."""
    lengthscale: float = float("nan")
    """Ensemble-averaged lengthscale, in the axes' units."""
    noise_sd: float = float("nan")
    amplitude: float = float("nan")
    constant_mean: float = float("nan")
    runner_up_z: float = float("nan")


@runtime_checkable
class ExplainsDecisions(Protocol):
    """An agent that can say why it made its latest suggestion."""

    def explain(self) -> Explanation:
        """Return the reasons for the latest suggestion."""
        ...


@runtime_checkable
class PredictsMap(Protocol):
    """An agent that can predict the objective where nothing was measured."""

    def predict(self, X: Array) -> tuple[Array, Array]:
        """Return posterior mean and standard deviation, each (n,), at X of shape (n, d)."""
        ...


class Spot(Protocol):
    """A spot to report, with the objective that the model expects there.

    On one axis ``y`` is NaN; on three there is a ``z``.
    """

    x: float
    y: float
    mean: float
    sd: float


@runtime_checkable
class RecommendsSpot(Protocol):
    """An agent that says which spot a run should report; else it is the brightest measured one."""

    def recommend(self) -> Spot:
        """Return the best spot, with mean and standard deviation of the objective."""
        ...


@runtime_checkable
class WantsNoise(Protocol):
    """An agent that tells what counting does from what the sample does, where it `wants_noise`."""

    wants_noise: bool

    def learn_noise(self, outcomes: Array, noise_ratio: float) -> None:
        """Take outcomes, (n,), that the latest point might as well have had, by counting alone."""
        ...


@runtime_checkable
class ChoosesExposure(WantsNoise, Protocol):
    """An agent that says how long to look: its suggestions have ``exposure_s``.

    That is the exposure time of all the frames of a point, s.
    """

    def look(self, point: Point) -> Point:
        """Return a point that somebody else chose with the ``exposure_s`` that it is to have."""
        ...

    def learn_pace(self, move_s: float, expose_s: float) -> None:
        """Take what the latest point took: the motion, and then until its reading, s; or NaN."""
        ...

    def confirm(self, n_left: int) -> Point | None:
        """Return a place to look at (again) once the search is over; None for no more.

        So many looks are left; the last of them confirms the spot to report.
        """
        ...


@runtime_checkable
class CountsDose(Protocol):
    """An agent that keeps account of how long places were exposed, beyond its own suggestions."""

    def learn_doses(self, positions: Array, exposed_s: Array) -> None:
        """Take where else was exposed, shape (n, d), and for how long, s, (n,)."""
        ...

    def dose_left_s(self, point: Mapping[str, Any]) -> float:
        """Return for how long a place may still be exposed, s: 0 for too short; or infinite."""
        ...


@runtime_checkable
class ForeseesOutcomes(Protocol):
    """An agent that makes use of the time in which a point is measured."""

    def foresee(self) -> None:
        """Compute what the next decision takes of the points on their way, but their outcomes.

        It changes no decision: whoever does not call it only waits for longer after an outcome.
        """
        ...


@runtime_checkable
class KeepsOut(Protocol):
    """An agent that can be told of further forbidden zones while it searches."""

    def forbid(self, zones: Sequence[Any]) -> None:
        """Suggest no point in these zones from now on, see `bl_steer.agents.Space.forbid`."""
        ...


@runtime_checkable
class RemembersState(Protocol):
    """An agent whose state can be saved and restored, as JSON-compatible data."""

    def state_dict(self) -> dict[str, Any]:
        """Return everything needed to carry on with the same suggestions."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned, on an agent built with the same settings."""
        ...


class Feature(Protocol):
    """Turn patterns into the number that the agent maximises."""

    target: str
    """The target in its written form, e.g. ``"nmf:4@x=0.45,R=0.9,tilt=0"``."""

    @property
    def version(self) -> int:
        """Increases by one when the basis changes; earlier outcomes must then be computed anew."""
        ...

    def partial_fit(self, patterns: Array) -> Self:
        """Learn from newly measured patterns, shape (n_new, n_pixels), normalised counts.

        Features that learn nothing return at once. Deterministic: the same patterns in the same
        calls give the same basis, bit for bit.
        """
        ...

    def transform(self, patterns: Array) -> Array:
        """Return the outcome of each pattern: (n_points, n_pixels) to (n_points,)."""
        ...

    def residual(self, patterns: Array) -> Array:
        """Return the unexplained share of each pattern, 0 … 1: (n_points, n_pixels) to (n_points,).

        Zero where a feature has no basis to compare with (ROI counts, totals).
        """
        ...


@runtime_checkable
class RaisesAlarm(Protocol):
    """A feature that notices patterns which hold what its basis has not seen."""

    def alarm(self, patterns: Array) -> NDArray[np.bool_]:
        """Return whether each pattern does: (n_points, n_pixels) to (n_points,)."""
        ...


@runtime_checkable
class LearnsNoise(Protocol):
    """A feature that makes use of what the reduction knows of a pattern's noise."""

    def learn_noise(self, patterns: Array, variances: Array) -> None:
        """Take patterns and their variances, both (n_new, n_pixels), before `partial_fit` does."""
        ...


@dataclass(frozen=True)
class Inputs:
    """What an analysis works on, wherever it comes from: files, a stored run, an upload.

    Parameters
    ----------
    arrays : by name, in the order that counts: micrographs ``"field_000"`` of shape (H, W), or
        ``"patterns"`` (n_points, n_pixels) beside ``"x"`` and ``"y"`` (n_points,)
    metadata : conditions and units, JSON-compatible: ``{"pixel_size_nm": 10.0, …}``; one value
        holds for all arrays, a list holds one value for each
    source : where they come from (``{"run": uid}``, ``{"files": [...]}``); never in the digest
    notes : what the reader of the files noticed, one sentence each; an analysis passes it on in
        its result's warnings
    """

    arrays: Mapping[str, NDArray[Any]]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    source: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class AnalysisResult:
    """What an analysis found.

    Parameters
    ----------
    tables : by name
    arrays : by name: label maps, probabilities, components, …
    provenance : JSON-compatible: ``name`` and ``version`` of the analysis, ``params``,
        ``weights`` (sha256 of the model's weights, None without a model), and what else a reader
        asks for: the source of the inputs, versions, duration
    figures : by name, each drawn when it is called; never in the digest
    warnings : for the user, one sentence each
    """

    tables: Mapping[str, Table]
    arrays: Mapping[str, NDArray[Any]]
    provenance: Mapping[str, Any]
    figures: Mapping[str, Callable[[], Any]] = field(default_factory=dict)
    warnings: Sequence[str] = ()


class Analysis(Protocol):
    """One analysis for notebook, command line, callback and server.

    Equal inputs and parameters give equal tables and arrays, bit for bit on one machine, so that
    `bl_steer.analysis.digest_of` is the same wherever the analysis ran.
    """

    name: ClassVar[str]
    """As users write it: ``"segment"``."""
    version: ClassVar[str]
    """Changes with anything that changes a result of the same file and parameters, readers too."""
    Params: ClassVar[type[BaseModel]]
    """Parameters with defaults, limits, units and descriptions: the form in the browser."""

    def inputs_of(self, run: Any) -> Inputs:
        """Return a stored run (`bl_steer.runs.Run`) as inputs; `ValueError` if it has none."""
        ...

    def run(self, inputs: Inputs, params: Any, progress: Progress | None = None) -> AnalysisResult:
        """Analyse; `ValueError` names the input or parameter that does not fit and the remedy."""
        ...
