"""The user's hand on a search that is under way: a point that is taken back is not measured.

`bl_steer.steering.Requests` takes what the user asks for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import bluesky.plan_stubs as bps
import numpy as np
from bluesky.utils import Msg, MsgGenerator

from bl_steer.agents import Space
from bl_steer.steering import Requests
from plans.stubs.messages import carried_out
from plans.stubs.paths import where_are

__all__ = ["leaving", "unless_taken_back"]

BEGIN = ("set", "trigger", "kickoff", "prepare")
"""Messages that begin what has to be waited for."""
RECORD = ("create", "collect")


class _TakenBack(Exception):
    """The point under way is not to be measured."""


def unless_taken_back(plan: MsgGenerator[Any], requests: Requests) -> MsgGenerator[bool]:
    """Measure a point, up to where the user takes it back; return whether it was measured.

    It can be taken back until its first event: between motions and exposures while the run goes
    on, and at a pause at any time. The RunEngine answers a pause by repeating messages, which
    begin with one that asks whether the point still stands: a stage that was stopped on its way
    does not go on.
    """
    is_waited_for, is_decided = True, False

    def gate() -> asyncio.Future[None]:
        if requests.is_taken_back:
            raise _TakenBack
        passed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        passed.set_result(None)
        return passed

    def send(msg: Msg) -> MsgGenerator[Any]:
        nonlocal is_waited_for, is_decided
        try:
            if not is_decided:
                if msg.command in RECORD:
                    if not requests.commit():
                        raise _TakenBack
                    is_decided = True
                elif is_waited_for and requests.is_taken_back:
                    raise _TakenBack
            is_waited_for = msg.command not in BEGIN and (is_waited_for or msg.command == "wait")
            answer = yield msg
            if msg.command == "checkpoint" and not is_decided:
                yield from bps.wait_for([gate])
        except _TakenBack:
            is_decided = True  # what is to be put in order behind the point, is
            raise
        return answer

    def point() -> MsgGenerator[None]:
        yield from bps.checkpoint()
        yield from plan

    try:
        yield from carried_out(point(), send)
    except _TakenBack:
        return False
    return True


def leaving(space: Space, n_first: int, axes: Sequence[Any]) -> MsgGenerator[Space]:
    """Return a space without the zones that are new, and that the stage stands in: it may leave.

    Parameters
    ----------
    n_first : zones that the run began with
    """
    if len(space.forbidden) == n_first:
        return space
    here = yield from where_are(axes)
    if None in here:  # nobody answers
        return space
    left = [
        zone
        for number, zone in enumerate(space.forbidden)
        if number < n_first or not zone.contains(np.array([here], dtype=float))[0]
    ]
    return space if len(left) == len(space.forbidden) else replace(space, forbidden=tuple(left))
