"""Every wait has a time-out, and the first device that fails is the cause that is told."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
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
    """
    under_way: dict[Any, list[tuple[Msg, float]]] = {}
    statuses: list[tuple[Any, Any]] = []

    def send(msg: Msg) -> MsgGenerator[Any]:
        waited: list[tuple[Msg, float]] = []
        if msg.command in ("set", "trigger") and msg.kwargs.get("group") is not None:
            allowed = timeout_s if timeout_s is not None else _allowed_s(msg)
            under_way.setdefault(msg.kwargs["group"], []).append((msg, allowed))
        elif msg.command == "wait":
            waited = under_way.pop(msg.args[0] if msg.args else msg.kwargs.get("group"), [])
            if waited and msg.kwargs.get("timeout") is None:
                limit = max(allowed for _, allowed in waited)
                msg = msg._replace(kwargs={**msg.kwargs, "timeout": limit})
        try:
            answer = yield msg
            if msg.command in ("set", "trigger") and answer is not None:
                statuses[:] = [(device, status) for device, status in statuses if not status.done]
                statuses.append((msg.obj, answer))
            return answer
        except FailedStatus:  # a device has said itself what is wrong
            yield from _ended(statuses)
            raise
        except TimeoutError as failure:
            if not waited:
                raise
            raise _named(failure, waited) from failure

    return (yield from carried_out(plan, send))


def _ended(statuses: Sequence[tuple[Any, Any]]) -> MsgGenerator[None]:
    """Stop what is under way beside what has failed, until it has ended or failed too."""
    patience_s = STOP_S
    for device, status in statuses:
        if not status.done and hasattr(device, "stop"):
            with suppress(Exception):  # it may be as lost
                yield from bps.stop(device)
    while patience_s > STOP_S - LATE_S or not all(status.done for _, status in statuses):
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
    if msg.command == "trigger":
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


def _named(failure: TimeoutError, waited: list[tuple[Msg, float]]) -> WaitTimeoutError:
    late = [(msg, allowed) for msg, allowed in waited if not _has_arrived(msg)] or waited
    said = []
    for msg, allowed in late:
        if msg.command == "trigger":
            said.append(f"{msg.obj.name} must end its exposure within {allowed:.3g} s, got no end")
        else:
            where = getattr(msg.obj, "position", None)
            here = f"it stand at {where:g}" if isinstance(where, int | float) else "no end"
            said.append(
                f"{msg.obj.name} must arrive at {msg.args[0]:g} within {allowed:.3g} s, got {here}"
            )
    error = WaitTimeoutError("; ".join(said) + "; check the device, or allow more with timeout_s")
    error.__cause__ = failure
    return error


def _has_arrived(msg: Msg) -> bool:
    moving = getattr(msg.obj, "moving", None)
    return msg.command == "set" and moving is False
