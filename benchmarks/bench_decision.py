"""CPU time of one decision, beside BoTorch's own ways to the same answer, in one process.

Run ``python benchmarks/bench_decision.py``. All on 961 cells (31×31), one thread, float64:

- agent: `BayesianAgent`, `ingest` of one outcome and `suggest`; *foreseen*: what it computes while
  the point is measured; *worst*: of both together, in twenty decisions;
- batched: the same 24 members as one batched SingleTaskGP, hyperparameters given, joint posterior
  on all cells and LogEI from its moments (as t-batches of one cell it is slower still);
- fitted: one SingleTaskGP, fitted by maximum posterior, LogEI on the cells as t-batches.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from botorch.acquisition.analytic import LogExpectedImprovement
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.models.transforms import Normalize, Standardize
from gpytorch.constraints import GreaterThan
from gpytorch.kernels import RBFKernel, ScaleKernel
from gpytorch.likelihoods import GaussianLikelihood
from gpytorch.mlls import ExactMarginalLogLikelihood

from bl_steer.agents import BayesianAgent, Space
from bl_steer.agents.acquisition import log_expected_improvement
from bl_steer.agents.surrogate import GridEnsembleGP

COUNTS = (20, 50, 100, 200)
LONGEST = 900
"""A count at which this agent alone is measured."""
AXIS = np.arange(31) * 5.0
SPACE = Space.grid(AXIS, AXIS)
CELLS = torch.tensor(SPACE.points)


def outcome(x: float, y: float) -> float:
    main = np.exp(-((x - 60) ** 2 + (y - 95) ** 2) / 144)
    rival = np.exp(-((x - 110) ** 2 + (y - 35) ** 2) / 144)
    return float(100 * main + 70 * rival + 5 + np.sin(x * 3) + np.cos(y * 5))


def cpu_ms(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return 1e3 * (time.process_time() - start)


def agent_ms() -> dict[int, tuple[float, float, float]]:
    """CPU of decisions before each count: after the outcome, foreseen, and the worst sum."""
    agent, after, foreseen = BayesianAgent(SPACE), [], []
    decide(agent)
    for _ in range(max(*COUNTS, LONGEST)):
        after.append(cpu_ms(lambda: decide(agent)))
        foreseen.append(cpu_ms(agent.foresee))
    return {
        n: (median(after[n - 20 : n]), median(foreseen[n - 20 : n]), _worst(after, foreseen, n))
        for n in (*COUNTS, LONGEST)
    }


def _worst(after: list[float], foreseen: list[float], n: int) -> float:
    return max(a + f for a, f in zip(after[n - 20 : n], foreseen[n - 20 : n], strict=True))


def decide(agent: BayesianAgent) -> None:
    """Take the outcome of the point on its way, if there is one, and suggest the next."""
    for entry in list(agent._ledger.pending.values()):
        x, y = entry.position
        agent.ingest([{"_id": entry.id, "objective": outcome(x, y)}])
    agent.suggest()


def data(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    cells = np.random.default_rng(0).permutation(len(SPACE))[:n]
    X = SPACE.points[cells]
    Y = np.sqrt([[outcome(*point)] for point in X])
    return torch.tensor(X), torch.tensor(Y)


def batched_ms(n: int) -> float:
    X, Y = data(n)
    ours = GridEnsembleGP(CELLS, metrics=SPACE.metrics, kernel="rbf")
    ours.condition(X, Y[:, 0])
    shape = ours.batch_shape
    likelihood = GaussianLikelihood(batch_shape=shape, noise_constraint=GreaterThan(1e-14))
    kernel = ScaleKernel(RBFKernel(batch_shape=shape), batch_shape=shape)

    def decision() -> torch.Tensor:
        model = SingleTaskGP(
            X.expand(24, -1, -1),
            Y.expand(24, -1, -1),
            likelihood=likelihood,
            covar_module=kernel,
            outcome_transform=None,
        )
        kernel.base_kernel.lengthscale = ours.lengthscales[:, None, None]
        kernel.outputscale = ours.amplitude_variance
        likelihood.noise = ours.noise_variance[:, None]
        with torch.no_grad():
            model.mean_module.constant.copy_(ours.constant)
            posterior = model.posterior(CELLS)
            sd = posterior.variance[..., 0].sqrt()
            log_ei = log_expected_improvement(posterior.mean[..., 0], sd, Y.max())
            return torch.logsumexp(log_ei + ours.log_weights[:, None], dim=0).argmax()

    return median(cpu_ms(decision) for _ in range(3))


def fitted_ms(n: int) -> float:
    X, Y = data(n)

    def decision() -> torch.Tensor:
        model = SingleTaskGP(
            X, Y, input_transform=Normalize(d=2), outcome_transform=Standardize(m=1)
        )
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        with torch.no_grad():
            return LogExpectedImprovement(model, best_f=Y.max())(CELLS[:, None]).argmax()

    return median(cpu_ms(decision) for _ in range(3))


def main() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    agent = agent_ms()
    print("CPU ms a decision, 961 cells, one thread")
    print(f"{'n':>5} {'agent':>8} {'foreseen':>9} {'worst':>7} {'batched':>9} {'fitted':>9}")
    for n in (*COUNTS, LONGEST):
        after, foreseen, worst = agent[n]
        line = f"{n:>5} {after:>8.1f} {foreseen:>9.1f} {worst:>7.1f}"
        if n in COUNTS:
            line += f" {batched_ms(n):>9.0f} {fitted_ms(n):>9.0f}"
        print(line, flush=True)


if __name__ == "__main__":
    main()
