"""Every wait has a time-out, and the first device that fails is the cause that is told."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import bluesky.plan_stubs as bps
from bluesky.utils import FailedStatus, Msg, MsgGenerator

from plans.stubs.messages import carried_out

__all__ = ["WaitTimeoutError", "bounded", "exposure_s_of"]

MOVE_S = 60.0
EXPOSURE_S = 120.0
"""For a device that does not say how fast it is."""
MARGIN_S = 30.0
"""For what a device does besides: to start, settle and read out."""
FACTOR = 3.0
"""A motor may be this much slower than its velocity says: it accelerates, and corrects backlash."""

POLL_S = 0.02
LATE_S = 0.2
"""In which what failed together has told so."""
STOP_S = 10.0
"""For what is stopped to come to an end."""

NO_STATUS = "'NoneType' object has no attribute 'finished_cb'"
"""What the RunEngine fails with where a device returns no status."""

_MUST = {
    "set": "arrive at",
    "trigger": "end its exposure",
    "stage": "be staged",
    "unstage": "be unstaged",
    "prepare": "be prepared",
    "kickoff": "begin to fly",
    "complete": "end its flight",
}
"""What is waited for, by the message that began it."""


@dataclass(frozen=True)
class _Task:
    msg: Msg
    allowed_s: float
    status: Any
    told: threading.Event
    """Set when the RunEngine, too, has been told of the end: a device that is lost may need seconds
    from one to the other."""


class WaitTimeoutError(TimeoutError):
    """A device did not end in time what it was told to do."""


def bounded(plan: MsgGenerator[Any], timeout_s: float | None = None) -> MsgGenerator[Any]:
    """Give each wait of a plan that has no time-out one, and let what fails together end together.

    Where a control system goes away, one device after the other fails. The RunEngine would throw
    the second failure into whatever follows the first: into the record of the result.

    Parameters
    ----------
    timeout_s : of a wait; by default from the distance and velocity of what moves, and from the
        exposure time and number of frames of what exposes

    Raises
    ------
    WaitTimeoutError
        Naming the device, what it was told, and where it is.
    TypeError
        Naming the device whose method returns no status.
    """
    under_way: dict[Any, list[_Task]] = {}
    begun: list[_Task] = []

    def send(msg: Msg) -> MsgGenerator[Any]:
        waited: list[_Task] = []
        allowed = math.inf
        group = msg.kwargs.get("group")  # of which the RunEngine may rob the message
        if msg.command in _MUST:
            allowed = timeout_s if timeout_s is not None else _allowed_s(msg)
        elif msg.command == "wait":
            waited = under_way.pop(msg.args[0] if msg.args else group, [])
            if waited and msg.kwargs.get("timeout") is None:
                limit = max(task.allowed_s for task in waited)
                msg = msg._replace(kwargs={**msg.kwargs, "timeout": limit})
        try:
            answer = yield msg
        except AttributeError as failure:
            if msg.command not in _MUST or str(failure) != NO_STATUS:
                raise
            if not _has_exposed(msg):
                raise TypeError(
                    f"{msg.obj.name}.{msg.command}() must return a status, got None; return one "
                    "that ends with what was begun, such as ophyd.DeviceStatus(self)"
                ) from failure
            answer = None
        except FailedStatus:  # a device has said itself what is wrong
            yield from _ended(begun)
            raise
        except TimeoutError as failure:
            if not waited:
                raise
            raise _named(failure, waited) from failure
        # What answers with no status, as most that are staged, is done.
        if msg.command in _MUST and (answer is None or hasattr(answer, "done")):
            task = _Task(msg, allowed, answer, threading.Event())
            if hasattr(answer, "add_callback"):
                answer.add_callback(lambda _: task.told.set())  # after the RunEngine's own
            else:
                task.told.set()
            if group is not None:
                under_way.setdefault(group, []).append(task)
            if answer is not None:
                begun[:] = [*(other for other in begun if not other.told.is_set()), task]
        return answer

    return (yield from carried_out(plan, send))


def _has_exposed(msg: Msg) -> bool:
    """Whether a trigger has ended already, and ophyd's area detector has let go of its status.

    Its ``trigger`` starts the acquisition, and then returns the attribute that the callback of the
    end of the acquisition sets to None: where the frame is there first, nothing is returned.
    """
    acquisition = getattr(msg.obj, "_acquisition_signal", None)
    return msg.command == "trigger" and acquisition is not None and acquisition.get() == 0


def _ended(tasks: Sequence[_Task]) -> MsgGenerator[None]:
    """Stop what is under way beside what has failed, until it has ended or failed too."""
    patience_s = STOP_S
    for task in tasks:
        if not task.status.done and hasattr(task.msg.obj, "stop"):
            with suppress(Exception):  # it may be as lost
                yield from bps.stop(task.msg.obj)
    while patience_s > STOP_S - LATE_S or not all(task.told.is_set() for task in tasks):
        if patience_s < 0.0:
            break
        patience_s -= POLL_S
        with suppress(FailedStatus):  # not the first one
            yield from bps.sleep(POLL_S)


def exposure_s_of(detector: Any) -> float:
    """Return how long a trigger of a detector takes by its own settings, s; NaN where unknown."""
    for exposure, number in (
        ("exposure_time", "n_frames"),
        ("cam.acquire_time", "cam.num_images"),
        ("preset_time", None),
        ("count_time", None),
    ):
        seconds = _number(detector, exposure)
        if not math.isnan(seconds):
            n = _number(detector, number) if number else 1.0
            return seconds * (1.0 if math.isnan(n) else max(n, 1.0))
    return math.nan


def _allowed_s(msg: Msg) -> float:
    device = msg.obj
    if msg.command != "set":
        seconds = exposure_s_of(device)
        return EXPOSURE_S if math.isnan(seconds) else 2.0 * seconds + MARGIN_S
    velocity, settle = _number(device, "velocity"), getattr(device, "settle_time", 0.0)
    try:
        distance = abs(float(msg.args[0]) - float(device.position))
    except (AttributeError, IndexError, TypeError, ValueError):
        return MOVE_S
    if not velocity > 0.0 or not math.isfinite(distance):
        return MOVE_S
    return FACTOR * distance / velocity + MARGIN_S + (settle if isinstance(settle, float) else 0.0)


def _number(device: Any, path: str) -> float:
    """Return the value of a signal below a device; NaN where it has none, or it does not answer."""
    value: Any = device
    with suppress(Exception):
        for name in path.split("."):
            value = getattr(value, name)
        return float(value.get())
    return math.nan


def _named(failure: TimeoutError, waited: list[_Task]) -> WaitTimeoutError:
    late = [task for task in waited if not getattr(task.status, "done", False)] or waited
    error = WaitTimeoutError(
        "; ".join(map(_told, late)) + "; check the device, or allow more with timeout_s"
    )
    error.__cause__ = failure
    return error


def _told(task: _Task) -> str:
    device, must = task.msg.obj, _MUST[task.msg.command]
    end = "no end"
    if task.msg.command == "set":
        goal = task.msg.args[0]
        must = f"{must} {goal:g}" if isinstance(goal, int | float) else f"{must} {goal!r}"
        where = getattr(device, "position", None)
        end = f"it stand at {where:g}" if isinstance(where, int | float) else end
    return f"{device.name} must {must} within {task.allowed_s:.3g} s, got {end}"
