"""Steer through a queue server: an agent in a process of its own, which only submits points.

    with RunQueue("tcp://127.0.0.1:60615") as queue, Store.open("bl_steer_data") as store:
        steer_through_queue(queue, store, grid={"x": …, "y": …}, target="total", monitor="monitor")

Others may put items into the same queue, pause it, and stop it; what the agent submits are single
points for `plans.map_sample`. To steer within one run, submit `plans.find_hotspot` to the queue.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import zmq

from bl_steer.agents import Space, SpaceExhausted
from bl_steer.diffraction import FrameAxes
from bl_steer.protocols import Agent
from bl_steer.runs import Points, RecordsAlone, open_run
from bl_steer.steering import Decision, Steering, build_steering
from bl_steer.steering.decision import Best
from bl_steer.store import Store
from plans.stubs.axes import check_points, grid_of

__all__ = ["QueueError", "QueueSteered", "RunQueue", "steer_through_queue"]

POLL_S = 0.1
ANSWER_MS = 10_000


class QueueError(RuntimeError):
    """The queue server refused a plan, or did not carry it out."""


@dataclass(frozen=True)
class QueueSteered:
    """What steering through a queue came to."""

    best: Best
    uids: tuple[str, ...]
    """The runs, one for each measurement."""
    stop_reason: str
    """``"budget"``, ``"exhausted"`` (every cell is measured) or ``"declined"`` by a person."""


class RunQueue:
    """A queue server, as one who submits plans sees it.

    Parameters
    ----------
    address : of the server's control socket
    user, group : as whom plans are submitted; the group must be allowed to
    start : start the queue where it stands still; otherwise a person does
    timeout_s : time for a plan to be carried out, pauses and the plans before it included
    """

    def __init__(
        self,
        address: str = "tcp://127.0.0.1:60615",
        *,
        user: str = "bl_steer",
        group: str = "primary",
        start: bool = True,
        timeout_s: float = 3600.0,
    ) -> None:
        self.address = address
        self.start = start
        self.timeout_s = timeout_s
        self._who = {"user": user, "user_group": group}
        self._context = zmq.Context()
        self._socket = self._connected()

    def _connected(self) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.REQ)
        socket.set(zmq.LINGER, 0)
        socket.set(zmq.RCVTIMEO, ANSWER_MS)
        socket.connect(self.address)
        return socket

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the server's interface, such as ``status`` or ``queue_get``.

        Raises
        ------
        QueueError
            When it does not answer, or refuses.
        """
        try:
            self._socket.send_json({"method": method, "params": params})
            answer: Any = self._socket.recv_json()
        except zmq.Again as error:
            self._socket.close()  # it would go on waiting for this answer
            self._socket = self._connected()
            raise QueueError(
                f"the queue server must answer at {self.address}, got nothing in "
                f"{ANSWER_MS / 1000:g} s; start it, or check the address"
            ) from error
        if not answer.get("success", True):
            raise QueueError(f"the queue server refused {method}: {answer.get('msg', answer)}")
        return dict(answer)

    def run(self, name: str, *args: Any, **kwargs: Any) -> str:
        """Have a plan of one run carried out, in its turn; return the run's uid.

        Parameters
        ----------
        name, args, kwargs : the plan and its arguments, as JSON: devices by their names

        Raises
        ------
        QueueError
            When it is refused, fails, is aborted, or is not done in time. It is then taken out of
            the queue.
        """
        item = {"item_type": "plan", "name": name, "args": list(args), "kwargs": kwargs}
        uid = self.call("queue_item_add", item=item, **self._who)["item"]["item_uid"]
        try:
            if self.start and self.call("status")["manager_state"] == "idle":
                self.call("queue_start")
            return self._wait(uid, name)
        finally:
            self._take_out(uid)

    def _wait(self, uid: str, name: str) -> str:
        history, idle = None, 0
        deadline = time.monotonic() + self.timeout_s
        while time.monotonic() < deadline:
            status = self.call("status")
            if status["plan_history_uid"] != history:
                history = status["plan_history_uid"]
                for item in self.call("history_get")["items"]:
                    if item["item_uid"] == uid:
                        return _only_run(item)
            idle = idle + 1 if status["manager_state"] == "idle" else 0
            if self.start and idle > 10:
                raise QueueError(
                    f"the queue must run until {name} is done, got it stopped before; see to what "
                    "stopped it, then begin again"
                )
            time.sleep(POLL_S)
        raise QueueError(
            f"{name} must be done within {self.timeout_s:g} s, got it waiting still; start or "
            "resume the queue, or give timeout_s"
        )

    def _take_out(self, uid: str) -> None:
        """Remove a plan from the queue, where one that was not done stands again.

        It has another uid there, and the result that the history has of it.
        """
        items = self.call("history_get")["items"]
        results = [item["result"] for item in items if item["item_uid"] == uid]
        for queued in self.call("queue_get")["items"]:
            if queued["item_uid"] == uid or queued.get("result") in results:
                self.call("queue_item_remove", uid=queued["item_uid"])

    def close(self) -> None:
        """Close the socket."""
        self._context.destroy(linger=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def steer_through_queue(
    queue: RunQueue,
    store: Store | RecordsAlone,
    *,
    target: str = "total",
    detectors: str | Sequence[str] = "det",
    axes: str | Sequence[str] = "stage",
    grid: Space | Mapping[str, Any] | None = None,
    forbidden: Sequence[Mapping[str, Any]] = (),
    budget: int = 48,
    seed: int = 0,
    agent: str | Agent = "bayesian",
    agent_options: Mapping[str, Any] | None = None,
    approve: Callable[[Decision], bool] | None = None,
    md: Mapping[str, Any] | None = None,
    **options: Any,
) -> QueueSteered:
    """Steer to the brightest spot by points that a queue server measures.

    Each point is checked against grid and forbidden zones before it is submitted, and again by the
    plan, which also checks the limits of the axes. The decision behind it is in its run's metadata.

    Parameters
    ----------
    queue : carries the points out
    store : where the queue server's runs are kept
    detectors, axes : names in the queue server
    target, grid, forbidden, budget, seed, agent, agent_options : as for `plans.find_hotspot`
    approve : asked before each point is submitted; False ends the steering
    md : metadata for every run
    options : of `plans.map_sample`, as JSON: ``monitor="monitor"``, ``exposure_s=1``, ``per_point``

    Raises
    ------
    ValueError
        For settings that cannot work, and for a point that may not be measured.
    QueueError
        When the queue server does not carry a point out.
    bl_steer.steering.DetectorDeadError
        After several dead frames in a row; all earlier points are in the store.
    """
    space = grid_of(grid, forbidden)
    settings = {
        "target": target,
        "agent": agent,
        "agent_options": dict(agent_options or {}),
        "seed": seed,
        "budget": budget,
        "grid": space.to_dict(),
        "noise_per_point": True,
        "scales": True,
        "sparing": True,
        "gives_up": True,
        "exact": True,
        "explores": True,
        "textured": True,
        "masks": True,
        "careful": True,
        "even": True,
    }
    seen: list[FrameAxes] = []  # of the first frames
    steering = build_steering(
        settings, lambda: seen[0], agent=None if isinstance(agent, str) else agent
    )
    judge: Points | None = None  # of all runs: one alone cannot tell whether there is beam
    uids: list[str] = []
    try:
        while steering.n_observed < budget:
            decision = steering.decide()
            position = [getattr(decision, name) for name in space.names]
            check_points([position], space)
            if approve is not None and not approve(decision):
                return _steered(steering, uids, "declined")
            uid = queue.run(
                "map_sample",
                detectors,
                axes,
                points=[position],
                grid=space.to_dict(),
                max_retakes=0,
                md={**(md or {}), "decision": _as_json(decision)},
                **({"target": target} if target.startswith("field:") else {}),
                **options,
            )
            uids.append(uid)
            run = open_run(store, uid)
            judge = judge or Points.from_start(run.start)
            seen[:] = seen or [run.axes]
            for result in run.results(judge=judge):
                steering.observe(result)
    except SpaceExhausted:
        pass
    return _steered(steering, uids, steering.stop_reason())


def _steered(steering: Steering, uids: Sequence[str], stop_reason: str) -> QueueSteered:
    return QueueSteered(steering.report(), tuple(uids), stop_reason)


def _as_json(decision: Decision) -> dict[str, Any]:
    """Return a decision without what does not apply to it, and without the outcomes so far."""
    return {
        name: value
        for name, value in asdict(decision).items()
        if name != "outcomes" and not (isinstance(value, float) and math.isnan(value))
    }


def _only_run(item: Mapping[str, Any]) -> str:
    result = item["result"]
    if result["exit_status"] != "completed":
        raise QueueError(
            f"{item['name']} must be carried out, got it {result['exit_status']}"
            f"{': ' * bool(result['msg'])}{result['msg']}; see the queue server's history"
        )
    uids = result["run_uids"]
    if len(uids) != 1:
        raise QueueError(
            f"{item['name']} must open one run, got {len(uids)}; submit it to the queue yourself"
        )
    return str(uids[0])
