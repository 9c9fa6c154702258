"""The queue server's own functions on our plans: they describe, validate and prepare them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

profile_ops = pytest.importorskip("bluesky_queueserver.manager.profile_ops")
yaml = pytest.importorskip("yaml")

import plans  # noqa: E402
from bl_steer.session import Session, fibsem, film, microscope, open_session  # noqa: E402
from plans.stubs.per_point import rocking_scan  # noqa: E402
from plans.stubs.written import per_point_of  # noqa: E402

ANYTHING = {"allowed_plans": [None], "allowed_devices": [":?.*:depth=5"]}
MARKS = {"rows": [0, 40], "straight": [0, 60]}
ROCKING = {"name": "rocking_scan", "axis": "diffractometer.eta", "start": -1, "stop": 1, "n": 41}
GRID = {"x": {"start": 0, "stop": 150, "num": 31}, "y": [0, 5, 10.5]}
AZIMUTHS = [{**ROCKING, "at": [["diffractometer.phi", phi]]} for phi in (0, 180)]


class Queue:
    """What the queue server does with an item before it runs it."""

    def __init__(self, session: Session, folder: Path) -> None:
        self.namespace = session.namespace()
        described, devices, self._plans, self._devices = (
            profile_ops.existing_plans_and_devices_from_nspace(nspace=self.namespace)
        )
        self.described = described
        permissions, existing = folder / "permissions.yaml", folder / "existing.yaml"
        permissions.write_text(
            yaml.safe_dump({"user_groups": {"root": ANYTHING, "primary": ANYTHING}})
        )
        existing.write_text(
            yaml.safe_dump({"existing_plans": described, "existing_devices": devices})
        )
        self.allowed = profile_ops.load_allowed_plans_and_devices(
            path_existing_plans_and_devices=os.fspath(existing),
            path_user_group_permissions=os.fspath(permissions),
        )

    def item(self, name: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        item = {"item_type": "plan", "name": name, "args": args, "kwargs": kwargs}
        return dict(json.loads(json.dumps(item | {"user_group": "primary"})))

    def problem(self, name: str, *args: Any, **kwargs: Any) -> str:
        plans_allowed, devices_allowed = self.allowed
        _, problem = profile_ops.validate_plan(
            self.item(name, *args, **kwargs),
            allowed_plans=plans_allowed["primary"],
            allowed_devices=devices_allowed["primary"],
        )
        return str(problem)

    def prepared(self, name: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        plans_allowed, devices_allowed = self.allowed
        prepared: dict[str, Any] = profile_ops.prepare_plan(
            self.item(name, *args, **kwargs),
            plans_in_nspace=self._plans,
            devices_in_nspace=self._devices,
            allowed_plans=plans_allowed,
            allowed_devices=devices_allowed,
            nspace=self.namespace,
        )
        return prepared


def started(prepared: Mapping[str, Any]) -> None:
    """Let a plan check its arguments, which it does before its first message."""
    messages = prepared["callable"](*prepared["args"], **prepared["kwargs"])
    assert next(messages).command
    messages.close()


def opened(instrument: Any, folder: Path) -> Session:
    return open_session(instrument, data_dir=folder / "data", progress=False)


@pytest.fixture(scope="module")
def queue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Queue]:
    """The queue of a simulated beamline."""
    folder = tmp_path_factory.mktemp("beamline")
    with opened(film("smooth"), folder) as session:
        yield Queue(session, folder)


def test_every_plan_is_described_with_its_types(queue: Queue) -> None:
    described = queue.described
    assert set(described) == {
        name for name in plans.__all__ if not isinstance(getattr(plans, name), type)
    }
    parameters = {p["name"]: p for p in described["find_hotspot"]["parameters"]}
    assert parameters["detectors"]["convert_device_names"]
    assert parameters["budget"]["annotation"] == {"type": "int | None"}
    assert all(plan["description"] for plan in described.values())


@pytest.mark.parametrize(
    ("name", "args", "kwargs"),
    [
        ("find_hotspot", ["det", "stage"], {"monitor": "monitor", "budget": 3, "grid": GRID}),
        ("find_hotspot", [["det"], ["stage.x", "stage.y"]], {"per_point": ROCKING}),
        ("find_hotspot", ["det", "stage"], {"per_point": AZIMUTHS}),
        ("find_hotspot", ["det", "stage"], {"forbidden": [{"box": [[0, 0], [5, 5]]}]}),
        ("map_sample", ["det", "stage"], {"grid": GRID, "exposure_s": 1, "md": {"a": [1]}}),
        ("map_sample", ["det", "stage"], {"grid": GRID, "points": [[0, 5]], "snake": False}),
    ],
)
def test_plans_of_the_beamline_are_taken_with_json_and_get_devices(
    queue: Queue, name: str, args: list[Any], kwargs: dict[str, Any]
) -> None:
    assert queue.problem(name, *args, **kwargs) == ""
    started(queue.prepared(name, *args, **kwargs))


def test_circle_of_a_rocking_scan_is_named_as_a_part_of_a_device(queue: Queue) -> None:
    prepared = queue.prepared("find_hotspot", "det", "stage", per_point=ROCKING)
    eta = queue.namespace["diffractometer"].eta
    assert per_point_of(prepared["kwargs"]["per_point"]) == rocking_scan(eta, -1, 1, 41)


def test_circles_of_several_scans_are_named_in_pairs_with_their_angles(queue: Queue) -> None:
    prepared = queue.prepared("map_sample", "det", "stage", per_point=AZIMUTHS)
    circles = queue.namespace["diffractometer"]
    stub: Any = per_point_of(prepared["kwargs"]["per_point"])
    assert stub.scans == tuple(
        rocking_scan(circles.eta, -1, 1, 41, at={circles.phi: phi}) for phi in (0.0, 180.0)
    )


def test_micrographs_and_slices_are_taken_with_json(tmp_path: Path) -> None:
    with opened(microscope(shape=(64, 64)), tmp_path) as session:
        queue = Queue(session, tmp_path)
        options: dict[str, Any] = {"fields": [[0, 0], [20, 0.5]], "analyses": ["segment"]}
        started(queue.prepared("take_micrographs", "sem", "stage", **options))
    with opened(fibsem(shape=(64, 64)), tmp_path) as session:
        queue = Queue(session, tmp_path)
        started(queue.prepared("slice_and_view", "sem", "mill", n_slices=2, marks=MARKS))


def test_values_of_a_wrong_kind_are_refused_as_an_item_is_added(queue: Queue) -> None:
    assert "budget" in queue.problem("find_hotspot", "det", "stage", budget="many")
    assert "forbidden" in queue.problem("map_sample", "det", "stage", forbidden=[3])
    assert "target" in queue.problem("find_hotspot", "det", "stage", target=1)


@pytest.mark.parametrize(
    ("args", "kwargs", "problem"),
    [
        (["dett", "stage"], {}, "got the name 'dett', which no device here has"),
        (["det", "stag"], {}, "an axis must be a movable device.*got 'stag'"),
        (["det", "stage"], {"per_point": "rock"}, "per_point must be a plan stub.*got 'rock'"),
        (["det", "stage"], {"per_point": {"name": "rock"}}, "must be one of rocking_scan"),
        (
            ["det", "stage"],
            {"per_point": {**ROCKING, "axis": "diffractometer.etta"}},
            "axis of per_point must be a movable device, got 'diffractometer.etta'",
        ),
        (
            ["det", "stage"],
            {"per_point": {"name": "rocking_scan", "axis": "diffractometer.eta", "m": 3}},
            "mend m, n, start, stop",
        ),
    ],
)
def test_name_that_no_device_has_is_told_before_anything_moves(
    queue: Queue, args: list[Any], kwargs: dict[str, Any], problem: str
) -> None:
    prepared = queue.prepared("find_hotspot", *args, **kwargs)
    with pytest.raises((TypeError, ValueError), match=problem):
        next(prepared["callable"](*prepared["args"], **prepared["kwargs"]))


def test_run_to_carry_on_is_named_by_its_uid(queue: Queue) -> None:
    prepared = queue.prepared("map_sample", "det", "stage", resumes="0123abcd")
    with pytest.raises(KeyError, match="0123abcd"):
        next(prepared["callable"](*prepared["args"], **prepared["kwargs"]))
