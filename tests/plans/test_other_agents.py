"""Our agents in the plans of blop and bluesky-adaptive, and theirs in ours: the real packages."""

import importlib
import re
from pathlib import Path

import numpy as np
import pytest
from bluesky import RunEngine
from ophyd.sim import Syn2DGauss, SynAxis

from bl_steer.agents import Space, make_agent
from plans import find_hotspot

AXIS = {"start": 0, "stop": 150, "num": 31}
GRID = {"x": AXIS, "y": AXIS}
PACKAGES = ["blop", "bluesky_adaptive"]
BUDGET = 16


@pytest.fixture
def devices():
    x, y = SynAxis(name="x"), SynAxis(name="y")
    return [x, y], Syn2DGauss("det", x, "x", y, "y", center=(60, 100), Imax=1000, sigma=30)


class Readings:
    """The readings of the documents, as outcomes: an evaluation function for their plans.

    Several suggestions are measured along the shortest way: the place tells which is which.
    """

    def __init__(self, RE, axes):
        self.points = []
        self._axes = {axis.name[-1]: axis.name for axis in axes}
        RE.subscribe(self._take)

    def _take(self, name, doc):
        if name == "event" and "det" in doc["data"]:
            self.points.append(doc["data"])

    def __call__(self, uid, suggestions):
        readings = {self.place_of(p): p["det"] for p in self.points}
        return [{"_id": s["_id"], "objective": readings[s["x"], s["y"]]} for s in suggestions]

    def place_of(self, point):
        return tuple(point[name] for name in self._axes.values())


def problem_of(package, RE, agent, axes, det, **more):
    problem = pytest.importorskip(f"{package}.protocols").OptimizationProblem
    evaluate = Readings(RE, axes)
    return evaluate, problem(
        optimizer=agent, actuators=axes, sensors=[det], evaluation_function=evaluate, **more
    )


@pytest.fixture
def ours(devices):
    """Where our agent measures in our plan, shape (n, 2)."""
    axes, det = devices
    RE, places = RunEngine(), []
    RE.subscribe(lambda name, doc: places.append(doc["data"]) if name == "event" else None)
    RE(find_hotspot(det, axes, grid=GRID, budget=BUDGET))
    return np.array([(p["x"], p["y"]) for p in places if "det" in p])


@pytest.mark.parametrize("plan", ["optimize", "optimize_in_run"])
@pytest.mark.parametrize("package", PACKAGES)
def test_our_agent_measures_in_their_plan_where_it_does_in_ours(package, plan, devices, ours):
    axes, det = devices
    RE, agent = RunEngine(), make_agent("bayesian", Space.from_dict(GRID), seed=0)
    evaluate, problem = problem_of(package, RE, agent, axes, det)
    plans = importlib.import_module(f"{package}.plans")
    RE(getattr(plans, plan)(problem, iterations=BUDGET))
    np.testing.assert_array_equal([(p["x"], p["y"]) for p in evaluate.points], ours)
    assert np.hypot(agent.recommend().x - 60, agent.recommend().y - 100) <= 10


def test_axes_of_other_names_take_three_lines_in_their_plan(devices):
    plans = pytest.importorskip("blop.plans")
    axes = [SynAxis(name="stage_x"), SynAxis(name="stage_y")]
    det = Syn2DGauss("det", axes[0], "stage_x", axes[1], "stage_y", center=(60, 100), Imax=1000)
    agent = make_agent("bayesian", Space.from_dict(GRID), seed=0)

    def acquire(suggestions, actuators, sensors=None, md=None):
        named = [{"_id": s["_id"], "stage_x": s["x"], "stage_y": s["y"]} for s in suggestions]
        return (yield from plans.default_acquire(named, actuators, sensors, md))

    RE = RunEngine()
    evaluate, problem = problem_of("blop", RE, agent, axes, det, acquisition_plan=acquire)
    RE(plans.optimize(problem, iterations=3, n_points=2))
    assert len({evaluate.place_of(point) for point in evaluate.points}) == 6


def ax_optimizer(package):
    pytest.importorskip("ax", reason="Ax is not installed here; `make adapters` does")
    dofs = importlib.import_module(f"{package}.ax")
    optimizer = importlib.import_module(f"{package}.ax.optimizer").AxOptimizer
    axis = {"bounds": (0.0, 150.0), "parameter_type": "float", "step_size": 5.0}
    parameters = [dofs.RangeDOF(name=n, **axis).to_ax_parameter_config() for n in ("x", "y")]
    return optimizer(parameters, objective="objective", client_kwargs={"random_seed": 0})


def xopt_optimizer(package):
    xopt = pytest.importorskip("xopt", reason="Xopt is not installed here; `make adapters` does")
    generators = importlib.import_module("xopt.generators.bayesian.expected_improvement")
    optimizer = importlib.import_module(f"{package}.xopt.optimizer").XoptOptimizer
    steps = {5.0 * number for number in range(31)}
    vocs = xopt.VOCS(variables={"x": steps, "y": steps}, objectives={"objective": "MAXIMIZE"})
    all_cells = importlib.import_module("xopt.numerical_optimizer").LBFGSOptimizer(
        mixed_max_discrete_configurations=len(steps) ** 2  # it takes no more than 512 by default
    )
    return optimizer(
        generators.ExpectedImprovementGenerator(vocs=vocs, numerical_optimizer=all_cells)
    )


@pytest.mark.filterwarnings("default")  # theirs are theirs
@pytest.mark.parametrize("make", [ax_optimizer, xopt_optimizer])
@pytest.mark.parametrize("package", PACKAGES)
def test_their_agents_steer_our_plan(package, make, devices):
    axes, det = devices
    agent = make(package)
    RE = RunEngine(call_returns_result=True)
    found = RE(find_hotspot(det, axes, grid=GRID, agent=agent, budget=BUDGET)).plan_result
    assert found.best_value > 300  # of 1000: they know the way up
    ((_, place, _),) = agent.get_best_points()  # it was told what was measured
    assert (place["x"], place["y"]) == (found.best_x, found.best_y)


@pytest.mark.filterwarnings("default")
def test_what_the_how_to_page_says_of_their_agents_runs(devices):
    pytest.importorskip("ax", reason="Ax is not installed here; `make adapters` does")
    page = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "agents.md"
    (code,) = re.findall(r"```py\n(.*?)```", page.read_text(), re.S)
    (x, y), det = devices
    names = {"x": x, "y": y, "det": det, "axis": AXIS, "find_hotspot": find_hotspot}
    exec(code.replace("budget=24", "budget=8"), names | {"RE": RunEngine()})
