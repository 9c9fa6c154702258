"""What a plan asks of a stub of a user's own that measures a point."""

from __future__ import annotations

import inspect
from typing import Any

from bluesky.utils import Msg, MsgGenerator

from plans.stubs.messages import carried_out
from plans.stubs.per_point import described

__all__ = ["check_recorded", "check_stub", "saved_once", "started"]


def check_stub(per_point: Any) -> None:
    """Refuse a stub that does not take detectors and position.

    Raises
    ------
    TypeError
        Naming the stub.
    """
    try:
        inspect.signature(per_point).bind([], {})
    except TypeError as error:
        raise TypeError(
            f"per_point must take (detectors, position), got {_name(per_point)}: {error}; see "
            "plans.stubs.per_point"
        ) from error
    except ValueError:  # what is not written in Python has no signature
        return


def started(per_point: Any, devices: list[Any], where: dict[Any, float]) -> MsgGenerator[Any]:
    """Return the plan of one point.

    Raises
    ------
    TypeError
        Where the stub is no generator of messages.
    """
    stub: Any = per_point(devices, where)
    if not hasattr(stub, "send"):
        raise TypeError(
            f"per_point must give a plan, got {stub!r} of {_name(per_point)}; write it with "
            "'yield from'"
        )
    plan: MsgGenerator[Any] = stub
    return plan


def check_recorded(per_point: Any, *, has_begun: bool) -> None:
    """Refuse a point without an event, where the run's documents come.

    Raises
    ------
    ValueError
        Naming the stub.
    """
    if has_begun:
        raise ValueError(
            f"per_point must record an event in the stream 'primary' at each point, got none of "
            f"{_name(per_point)}; end it with 'yield from "
            "bluesky.plan_stubs.trigger_and_read(detectors)'"
        )


def _name(per_point: Any) -> str:
    return str(described(per_point)["name"])


def saved_once(plan: MsgGenerator[Any]) -> MsgGenerator[Any]:
    """Let a pause repeat no event that a stub of a user's own has saved.

    From ``create`` to ``save`` nothing is replayed, and a checkpoint follows.
    """

    def send(msg: Msg) -> MsgGenerator[Any]:
        if msg.command == "create":
            yield Msg("rewindable", None, False)
        answer = yield msg
        if msg.command in ("save", "drop"):
            yield Msg("rewindable", None, True)
            yield Msg("checkpoint")
        return answer

    return (yield from carried_out(plan, send))
