"""Plans on devices that nobody here made: those of `ophyd.sim`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import numpy as np
import pytest
from bluesky import RunEngine
from ophyd import Device
from ophyd.sim import SynAxis, SynGauss, SynSignal, SynSignalWithRegistry

from bl_steer.agents import Space
from bl_steer.analysis.advice.analysis import SteeringAdvice
from bl_steer.plotting.runs import draw_run, map_outcomes
from bl_steer.steering import differing_decisions
from plans import find_hotspot, map_sample

GRID = {"x": list(range(0, 101, 10)), "y": {"start": 0, "stop": 100, "num": 11}}
LINE = {"x": {"start": 0, "stop": 100, "step": 2}}


def test_a_point_detector_steers_two_motors_to_its_maximum(
    RE: RunEngine, documents: Any, axes: tuple[SynAxis, SynAxis], counter: Any
) -> None:
    hotspot = RE(find_hotspot(counter, axes, grid=GRID, budget=20)).plan_result
    assert (hotspot.best_x, hotspot.best_y) == (30.0, 70.0)
    run = documents.run
    assert run.steering["target"] == "field:counter"
    assert differing_decisions(run) == []
    assert run.total.max() == pytest.approx(1000.0)
    np.testing.assert_array_equal(run.positions[:, 0], run.primary["mx"])


@pytest.mark.parametrize("target", ["total", "map", "field:counter"])
def test_a_point_detector_is_a_frame_of_one_pixel(
    target: str, RE: RunEngine, documents: Any, axes: tuple[SynAxis, SynAxis], counter: Any
) -> None:
    RE(find_hotspot(counter, axes, grid=GRID, budget=4, target=target))
    np.testing.assert_array_equal(documents.run.patterns()[:, 0], documents.run.primary["counter"])


def test_one_axis_and_three_are_steered_as_two_are(
    RE: RunEngine, documents: Any, axes: tuple[SynAxis, SynAxis], counter: Any
) -> None:
    x, y = axes
    peak = SynGauss("peak", x, "mx", center=42, Imax=10, sigma=20)
    hotspot = RE(find_hotspot(peak, x, grid=LINE, budget=14)).plan_result
    assert hotspot.best_x == 42.0
    assert np.isnan(hotspot.best_y)
    assert "y" not in documents.run.decisions
    assert differing_decisions(documents.run) == []
    grid = {"x": [0, 30, 60], "y": [40, 70, 100], "z": [0, 1]}
    plan = find_hotspot(counter, [x, y, SynAxis(name="mz")], grid=grid, budget=14)
    hotspot = RE(plan).plan_result
    assert (hotspot.best_x, hotspot.best_y) == (30.0, 70.0)
    assert hotspot.best_z in (0.0, 1.0)


def test_a_map_takes_any_devices(
    RE: RunEngine, documents: Any, axes: tuple[SynAxis, SynAxis], counter: Any
) -> None:
    assert RE(map_sample(counter, axes, grid={"x": [0, 10], "y": [0, 10, 20]})).plan_result == 6
    assert documents.run.valid.all()


def test_frames_that_a_detector_files_itself_are_read_from_there(
    tmp_path: Path, RE: RunEngine, documents: Any, axes: tuple[SynAxis, SynAxis]
) -> None:
    x, _ = axes
    camera = SynSignalWithRegistry(
        func=lambda: np.full((4, 5), 1.0 + x.position), name="camera", save_path=str(tmp_path)
    )
    hotspot = RE(find_hotspot(camera, x, grid=LINE, budget=14, target="total")).plan_result
    assert hotspot.best_x == 100.0
    assert documents.run.patterns().shape == (14, 20)
    assert differing_decisions(documents.run) == []


def test_a_spectrum_within_the_events_is_a_frame_of_one_row(
    RE: RunEngine, documents: Any, axes: tuple[SynAxis, SynAxis]
) -> None:
    x, _ = axes
    spectrum = SynSignal(func=lambda: np.arange(8.0) * (100 - x.position), name="mca")
    hotspot = RE(find_hotspot(spectrum, x, grid=LINE, budget=14, target="roi:2,4")).plan_result
    assert hotspot.best_x == 0.0
    assert differing_decisions(documents.run) == []


def test_a_monitor_of_any_name_normalises(
    RE: RunEngine, documents: Any, axes: tuple[SynAxis, SynAxis], counter: Any
) -> None:
    beam = iter([1000.0, 1000.0, 1000.0, 500.0, *[1000.0] * 30])
    i0 = SynSignal(func=lambda: next(beam), name="i0")
    RE(find_hotspot(counter, axes, monitor=i0, grid=GRID, budget=6))
    run = documents.run
    assert run.steering["monitor_key"] == "i0"
    scale = run.monitor[0] / run.monitor
    np.testing.assert_allclose(run.patterns()[:, 0], run.primary["counter"] * scale)
    assert run.noise_ratios.tolist() == [2.0 if counts == 500 else 1.0 for counts in run.monitor]
    assert 2.0 in run.noise_ratios


def test_points_that_turn_out_to_be_without_beam_are_no_data(
    RE: RunEngine, documents: Any, axes: tuple[SynAxis, SynAxis], counter: Any
) -> None:
    beam = iter([0.1, 0.1, 0.1, *[100.0] * 30])
    i0 = SynSignal(func=lambda: next(beam), name="i0")
    RE(map_sample(counter, axes, monitor=i0, grid={"x": [0, 10], "y": [0, 10, 20]}))
    run = documents.run
    assert run.valid.tolist() == [False, False, False, True, True, True, True]
    assert np.isnan(run.patterns()[:, 0]).tolist() == (~run.valid).tolist()
    assert np.isnan(map_outcomes(run, "total")).tolist() == [True, True] + [False] * 4


@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_run_on_as_many_axes_as_there_are_is_drawn(
    d: int, RE: RunEngine, documents: Any, axes: tuple[SynAxis, SynAxis], counter: Any
) -> None:
    x, y = axes
    z = SynAxis(name="mz")
    peak = SynSignal(func=lambda: x.position + 10 * y.position + 100 * z.position, name="peak")
    space = Space.grid(*[[0.0, 1.0, 2.0], [0.0, 1.0], [0.0, 1.0, 2.0]][:d])
    RE(map_sample(peak, [x, y, z][:d], grid=space))
    expected = space.points @ [1.0, 10.0, 100.0][:d]
    np.testing.assert_array_equal(map_outcomes(documents.run, "total"), expected)
    figure = draw_run(documents.run)
    figure.canvas.draw()
    assert figure.axes[0].get_xlabel() == "x"  # the devices tell no unit
    if d != 2:
        with pytest.raises(ValueError, match=f"a map must be on two axes, got {d} .mx"):
            SteeringAdvice().inputs_of(documents.run)
    RE(find_hotspot(peak, [x, y, z][:d], grid=space, budget=3))
    figure = draw_run(documents.run)
    figure.canvas.draw()
    assert not [ax.get_xlabel() for ax in figure.axes if "µm" in ax.get_xlabel()]


def test_a_stub_of_a_users_own_may_record_several_events_a_point(
    RE: RunEngine, documents: Any, axes: tuple[SynAxis, SynAxis], counter: Any
) -> None:
    def twice(detectors: Any, position: Any) -> Any:
        for axis, value in position.items():
            yield from bps.mv(axis, value)
        for _ in range(2):
            yield from bps.trigger_and_read([*detectors, *position])

    hotspot = RE(find_hotspot(counter, axes, grid=GRID, budget=5, per_point=twice)).plan_result
    run = documents.run
    assert hotspot.n_measured == run.n_points == 5
    assert len(run.primary["seq_num"]) == 10
    np.testing.assert_array_equal(run.patterns()[:, 0], run.primary["counter"].reshape(5, 2).sum(1))
    assert differing_decisions(run) == []


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"target": "field:nope"}, r"must name a data key .*'nope'; there are 'counter'"),
        ({"target": "roi:1,2"}, "must have frames, got counter without any; try target='field:"),
        ({"grid": LINE}, "as many axes as are moved, got 1 for mx, my"),
        ({"exposure_s": 1.0}, "no exposure time to set, got 1 s for counter"),
        ({"min_monitor": -1}, "min_monitor must be counts, 0 or more, got -1"),
    ],
)
def test_what_a_device_lacks_is_said_before_anything_moves(
    options: dict[str, Any],
    problem: str,
    RE: RunEngine,
    documents: Any,
    axes: tuple[SynAxis, SynAxis],
    counter: Any,
) -> None:
    with pytest.raises(ValueError, match=problem):
        RE(find_hotspot(counter, axes, **{"grid": GRID, **options}))
    assert not documents.all
    assert axes[0].position == 0


def _renamed() -> SynAxis:
    axis = SynAxis(name="mx")
    axis.readback.name = "sample.x:RBV"
    return axis


@pytest.mark.parametrize(
    ("detector", "axis", "problem"),
    [
        (SynSignal(name="s"), _renamed(), r"without \. and /, got 'sample.x:RBV' of mx"),
        (SynSignal(name="mx"), SynAxis(name="mx"), "that of one device, got 'mx' of mx and of mx"),
        (
            Device(name="empty"),
            SynAxis(name="mx"),
            "must read a number or frames, got nothing of empty",
        ),
    ],
)
def test_data_keys_that_no_event_can_hold_are_refused_before_anything_moves(
    detector: Any, axis: SynAxis, problem: str, RE: RunEngine, documents: Any
) -> None:
    with pytest.raises(ValueError, match=problem):
        RE(find_hotspot(detector, axis, grid=LINE))
    assert not documents.all


def test_an_array_within_the_events_is_no_number(
    RE: RunEngine, documents: Any, axes: tuple[SynAxis, SynAxis], counter: Any
) -> None:
    spectrum = SynSignal(func=lambda: np.arange(8.0), name="mca")
    with pytest.raises(ValueError, match=r"must name a number, got 'mca', array of shape \[8\]"):
        RE(find_hotspot([counter, spectrum], axes, grid=GRID, target="field:mca"))
    assert not documents.all


def test_of_an_image_in_a_file_the_number_is_its_sum(
    tmp_path: Path, RE: RunEngine, documents: Any, axes: tuple[SynAxis, SynAxis]
) -> None:
    x, _ = axes
    camera = SynSignalWithRegistry(
        func=lambda: np.full((4, 5), 1.0 + x.position), name="camera", save_path=str(tmp_path)
    )
    RE(find_hotspot(camera, x, grid=LINE, budget=4, target="field:camera"))
    run = documents.run
    np.testing.assert_array_equal(run.patterns()[:, 0], 20.0 * (1.0 + run.x))
    assert differing_decisions(run) == []


@pytest.mark.parametrize(
    ("detector", "moved", "problem"),
    [
        (3, SynAxis(name="a"), "detectors must be one Bluesky device or several, got 3"),
        (SynSignal(name="s"), [SynAxis(name="a"), 4], "an axis must be a movable device"),
        (SynSignal(name="s"), [], "one to three movable devices"),
    ],
)
def test_what_is_no_device_is_refused(
    detector: Any, moved: Any, problem: str, RE: RunEngine
) -> None:
    with pytest.raises(TypeError, match=problem):
        RE(find_hotspot(detector, moved, grid=LINE))


def test_a_number_that_never_comes_ends_the_run_and_says_where(
    RE: RunEngine, documents: Any, axes: tuple[SynAxis, SynAxis]
) -> None:
    silent = SynSignal(func=lambda: float("nan"), name="silent")
    with pytest.raises(RuntimeError, match=r"valid frame or number, got 4 dead ones in a row at x"):
        RE(find_hotspot(silent, axes[0], grid=LINE))
    assert documents.stop["exit_status"] == "fail"


@pytest.mark.parametrize("names", [("y", "x"), ("stage_y", "stage_x")])
def test_axes_in_another_order_than_the_grids_are_refused(names: tuple[str, str]) -> None:
    first, second = (SynAxis(name=name) for name in names)
    with pytest.raises(ValueError, match=r"axes must stand in the order of the grid's x, y, got"):
        list(find_hotspot(SynSignal(name="det", func=lambda: 1.0), [first, second], budget=2))


def test_least_counts_without_a_monitor_are_refused() -> None:
    axes = [SynAxis(name="x"), SynAxis(name="y")]
    with pytest.raises(ValueError, match=r"min_monitor must come with a monitor, got 5000"):
        list(find_hotspot(SynSignal(name="det", func=lambda: 1.0), axes, min_monitor=5000))
