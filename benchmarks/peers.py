"""The agents that `hotspot.py` compares: ours, and others' packages told all that they can be told.

Each is made by `make` from the candidates, ten places to start with, and a seed; it has ``suggest``
and ``ingest`` as `bl_steer.protocols.Agent`, so that one loop drives all. Every peer knows the grid
(as candidates, integers, or discrete values), and is kept from cells measured before where its
interface allows that: gpCAM, scikit-learn and plain BoTorch choose among the free cells, Xopt's
list of choices leaves the measured ones out, and Ax (blop) refuses duplicates by itself. None of
them takes the square root of the counts, which only our agent does.

A peer whose package is missing is left out (`missing`).
"""

from __future__ import annotations

import logging
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from botorch.acquisition.analytic import LogExpectedImprovement
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.optim import optimize_acqf_discrete
from gpytorch.mlls import ExactMarginalLogLikelihood
from scipy.stats import norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from bl_steer.agents import Space, make_agent

__all__ = ["AGENTS", "OURS", "make", "missing", "quietly"]

OURS = "bl_steer"
N_START = 10


class Peer(ABC):
    """Measure the places to start with, then the cells that `choose` names.

    Attributes
    ----------
    free : shape (n,), cells not measured yet.
    cells, values : what was measured and gave something, in order.
    """

    def __init__(self, space: Space, start: Sequence[int], seed: int) -> None:
        self.space = space
        self.seed = seed
        self.free = space.allowed.copy()
        self._start = list(start)
        self._suggested: list[int] = []
        self._outcomes: dict[int, float] = {}
        lower, upper = space.bounds
        self.X = (space.points - lower) / (upper - lower).max()

    @abstractmethod
    def choose(self, cells: list[int], values: np.ndarray) -> int:
        """Return the next cell, by the cells measured and their outcomes, (n,)."""

    def suggest(self, num_points: int | None = None) -> list[dict[str, Any]]:
        number = len(self._suggested)
        if number < len(self._start):
            cell = self._start[number]
        else:
            numbers = sorted(self._outcomes)
            values = np.array([self._outcomes[n] for n in numbers])
            cell = self.choose([self._suggested[n] for n in numbers], values)
        self._suggested.append(cell)
        self.free[cell] = False
        return [{"_id": number, **self.space.point(self.space.points[cell].tolist())}]

    def ingest(self, points: Sequence[Mapping[str, Any]]) -> None:
        for point in points:
            if np.isfinite(point["objective"]):
                self._outcomes[point["_id"]] = point["objective"]
            else:
                self._outcomes.pop(point["_id"], None)


class BotorchOnGrid(Peer):
    """SingleTaskGP with its default priors, and LogExpectedImprovement over the free cells."""

    def choose(self, cells: list[int], values: np.ndarray) -> int:
        torch.manual_seed(self.seed * 1000 + len(cells))
        X, Y = torch.tensor(self.X[cells]), torch.tensor(values)[:, None]
        model = SingleTaskGP(X, Y)  # it standardises the outcomes
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        acquisition = LogExpectedImprovement(model, best_f=Y.max())
        free = np.flatnonzero(self.free)
        place, _ = optimize_acqf_discrete(acquisition, q=1, choices=torch.tensor(self.X[free]))
        return int(free[_nearest(self.X[free], place[0].numpy())])


class Sklearn(Peer):
    """GaussianProcessRegressor (RBF and white noise, lengths by axis) and expected improvement."""

    def choose(self, cells: list[int], values: np.ndarray) -> int:
        kernel = ConstantKernel(1.0, (1e-2, 1e2)) * RBF([0.2, 0.2], (0.02, 2.0))
        model = GaussianProcessRegressor(
            kernel + WhiteKernel(1e-3, (1e-6, 1.0)),
            normalize_y=True,
            n_restarts_optimizer=2,
            random_state=self.seed,
        ).fit(self.X[cells], values)
        free = np.flatnonzero(self.free)
        mean, sd = model.predict(self.X[free], return_std=True)
        z = (mean - values.max()) / np.maximum(sd, 1e-12)
        return int(free[np.argmax(sd * (z * norm.cdf(z) + norm.pdf(z)))])


class GpCAM(Peer):
    """gpCAM's kernel (Matérn, a length for each axis), noise learned, trained at each decision."""

    hyperparameters = np.array([1.0, 0.2, 0.2, 1e-3])
    bounds = np.array([[0.01, 10.0], [0.02, 2.0], [0.02, 2.0], [1e-6, 0.3]])

    def choose(self, cells: list[int], values: np.ndarray) -> int:
        from gpcam import GPOptimizer

        np.random.seed(self.seed * 1000 + len(cells))  # noqa: NPY002 (gpCAM's generator)
        optimizer = GPOptimizer(
            self.X[cells],
            (values - values.mean()) / values.std(),
            init_hyperparameters=self.hyperparameters,
            noise_function=_noise,
        )
        optimizer.train(hyperparameter_bounds=self.bounds)
        free = np.flatnonzero(self.free)
        answer = optimizer.ask(list(self.X[free]), acquisition_function="expected improvement")
        return int(free[_nearest(self.X[free], np.ravel(answer["x"]))])


class Blop(Peer):
    """blop's AxOptimizer on integer degrees of freedom: Ax's own model and acquisition."""

    def __init__(self, space: Space, start: Sequence[int], seed: int) -> None:
        from blop.ax import RangeDOF
        from blop.ax.optimizer import AxOptimizer

        super().__init__(space, start, seed)
        self._index = np.round((space.points - space.bounds[0]) / space.steps).astype(int)
        self._told: set[int] = set()
        dofs = [
            RangeDOF(name=name, bounds=(0, int(last)), parameter_type="int")
            for name, last in zip(space.names, self._index.max(axis=0), strict=True)
        ]
        self._optimizer = AxOptimizer(
            [dof.to_ax_parameter_config() for dof in dofs],
            objective="objective",
            client_kwargs={"random_seed": seed},
        )
        # The places to start with are given: Ax's own, Sobol's, would come on top.
        self._optimizer.ax_client.configure_generation_strategy(
            initialization_budget=0, initialize_with_center=False
        )
        self._trials: dict[int, int] = {}

    def choose(self, cells: list[int], values: np.ndarray) -> int:
        for cell, value in zip(cells, values, strict=True):
            if cell in self._told:
                continue
            point = dict(zip(self.space.names, self._index[cell].tolist(), strict=True))
            trial = {"_id": self._trials[cell]} if cell in self._trials else {}
            self._optimizer.ingest([{**point, **trial, "objective": float(value)}])
        self._told.update(cells)
        (point,) = self._optimizer.suggest(1)
        place = np.array([point[name] for name in self.space.names])
        cell = int(np.flatnonzero((self._index == place).all(axis=1))[0])
        self._trials[cell] = point["_id"]
        return cell


class Xopt(Peer):
    """Xopt's ExpectedImprovementGenerator on discrete variables, the free cells its choices."""

    def choose(self, cells: list[int], values: np.ndarray) -> int:
        from gest_api.vocs import DiscreteVariable
        from xopt import VOCS
        from xopt.generators.bayesian.expected_improvement import ExpectedImprovementGenerator
        from xopt.numerical_optimizer import LBFGSOptimizer

        names, points = self.space.names, self.space.points
        free = torch.tensor(points[self.free])

        class FreeCells(LBFGSOptimizer):
            def optimize(
                self, function: Any, bounds: Any, n_candidates: int = 1, **how: Any
            ) -> Any:
                how["discrete_choices"] = free.to(how["discrete_choices"])
                return super().optimize(function, bounds, n_candidates, **how)

        torch.manual_seed(self.seed * 1000 + len(cells))
        n_cells = len(self.space)
        generator = ExpectedImprovementGenerator(
            vocs=VOCS(
                variables={
                    name: DiscreteVariable(values=set(points[:, column].tolist()))
                    for column, name in enumerate(names)
                },
                objectives={"objective": "MAXIMIZE"},
            ),
            numerical_optimizer=FreeCells(
                mixed_max_discrete_configurations=n_cells, discrete_max_choices=n_cells
            ),
        )
        generator.ingest(
            [
                {**self.space.point(points[cell].tolist()), "objective": float(value)}
                for cell, value in zip(cells, values, strict=True)
            ]
        )
        (point,) = generator.suggest(1)
        place = np.array([point[name] for name in names])
        return int(_nearest(points, place))


PEERS: dict[str, tuple[type[Peer], str]] = {
    "botorch on the grid": (BotorchOnGrid, "botorch"),
    "blop": (Blop, "blop"),
    "gpCAM": (GpCAM, "gpcam"),
    "Xopt": (Xopt, "xopt"),
    "scikit-learn": (Sklearn, "sklearn"),
}
BASELINES = ("random", "raster")
AGENTS = (OURS, *PEERS, *BASELINES)


def missing() -> dict[str, str]:
    """Return the peers that cannot be run here, and the module that each lacks."""
    needed = {"blop": ("blop", "ax"), "Xopt": ("xopt", "gest_api")}
    lacking = {
        name: [module for module in needed.get(name, (module,)) if find_spec(module) is None]
        for name, (_, module) in PEERS.items()
    }
    return {name: modules[0] for name, modules in lacking.items() if modules}


def make(name: str, space: Space, seed: int) -> Any:
    """Return an agent; the places to start with are those of ours, for all but the baselines."""
    if name in BASELINES:
        return make_agent(name, space, seed=seed)
    ours = make_agent("bayesian", space, seed=seed)
    if name == OURS:
        return ours
    start = [space.cell_of(*(p[n] for n in space.names)) for p in ours.suggest(N_START)]
    return PEERS[name][0](space, start, seed)


@contextmanager
def quietly() -> Iterator[None]:
    """Keep the peers' warnings and log lines off the screen."""
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logging.disable(logging.NOTSET)


def _noise(x: np.ndarray, hyperparameters: np.ndarray) -> np.ndarray:
    return np.full(len(x), hyperparameters[3])


def _nearest(points: np.ndarray, place: np.ndarray) -> int:
    return int(np.argmin(((points - place) ** 2).sum(axis=1)))
