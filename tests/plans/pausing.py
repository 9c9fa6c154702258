"""Pauses before every message of a plan: several to a run, as a run for each would take long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from bluesky import RunEngine
from bluesky.utils import Msg, RunEngineInterrupted

EVERY = 9
"""Messages from one pause of a run to the next."""


class Counts(NamedTuple):
    messages: int
    replays: int
    """Pauses after which the RunEngine repeated messages."""


def run_paused(RE: RunEngine, plan: Any, first: int | None = None) -> Counts:
    """Run a plan, paused before its message number `first` and each `EVERY` after; none for None.

    Messages are counted when they come for the first time: what is repeated moves no pause.
    """
    seen: list[Msg] = []
    replays = 0
    has_resumed = False

    def hook(message: Msg) -> None:
        nonlocal replays, has_resumed
        is_new = all(message is not other for other in seen)
        replays += has_resumed and not is_new
        has_resumed = False
        if is_new:
            seen.append(message)
            if first is not None and len(seen) >= first and (len(seen) - first) % EVERY == 0:
                RE.loop.call_soon(lambda: RE.loop.create_task(RE._request_pause_coro()))

    RE.msg_hook = hook
    go_on: Callable[[], Any] = lambda: RE(plan)  # noqa: E731
    while True:
        try:
            go_on()
            break
        except RunEngineInterrupted:
            if RE.state != "paused":  # idle where the pause came with the last message
                break
            has_resumed, go_on = True, RE.resume
    RE.msg_hook = None
    return Counts(len(seen), replays)


def paused_runs(RE: RunEngine, make_plan: Callable[[], Any], n_messages: int) -> Iterator[int]:
    """Run plans, each paused elsewhere, until every message but the first has been paused at.

    Yields, after each run, the number of the first message that it was paused at.
    """
    replays = 0
    for first in range(2, 2 + EVERY):
        replays += run_paused(RE, make_plan(), first).replays
        yield first
    assert replays > n_messages // 4
