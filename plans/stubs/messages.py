"""Messages that the plans share; nothing here opens a run.

The RunEngine answers a pause by replaying the messages since the last checkpoint. A motion and an
exposure may be repeated; an event may not. `record` therefore saves an event in a section that is
never replayed, and `think` keeps its result, so that thinking again costs nothing.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.protocols import Readable
from bluesky.utils import Msg, MsgGenerator

__all__ = ["carried_out", "describe", "record", "think"]

T = TypeVar("T")
MAX_READS = 100
"""How often a read that a pause interrupted is asked for again."""


def record(devices: Iterable[Readable[Any]], stream: str) -> MsgGenerator[dict[str, Any]]:
    """Read `devices` into one event of `stream`, exactly once, whenever the run is paused.

    Returns
    -------
    readings : the event's readings, by data key; none where nobody answers, as in
        `bluesky.simulators`
    """
    rewindable = yield Msg("rewindable", None, None)
    answered = rewindable is not None  # a RunEngine says True or False

    def event() -> MsgGenerator[dict[str, Any]]:
        yield Msg("rewindable", None, False)
        return (yield from _event(devices, stream, answered=answered))

    def restore() -> MsgGenerator[None]:
        yield Msg("rewindable", None, rewindable)

    readings: dict[str, Any] = yield from bpp.finalize_wrapper(event(), restore)
    return readings


def _event(
    devices: Iterable[Readable[Any]], stream: str, *, answered: bool
) -> MsgGenerator[dict[str, Any]]:
    readings: dict[str, Any] = {}
    try:
        yield Msg("create", None, name=stream)
        for device in devices:
            reading = yield Msg("read", device)
            for _ in range(MAX_READS if answered else 0):
                if reading is not None:
                    break
                reading = yield Msg("read", device)  # a pause interrupted an asynchronous device
            if reading is None and answered:
                raise RuntimeError(
                    f"{device.name} must answer a read, got nothing {1 + MAX_READS} times; check "
                    "the device, or give the simulator a handler for read"
                )
            readings.update(reading or {})
    except Exception:
        yield Msg("drop")  # else the run's last row, its result, could not be recorded
        raise
    yield Msg("save")
    return readings


def think(executor: Executor, thought: Callable[[], T]) -> MsgGenerator[T]:
    """Run `thought` off the RunEngine's loop, once, and return its result.

    A pause takes effect at once; the thought goes on, and a resumed run picks up its result.
    """
    future: Future[T] = executor.submit(thought)

    def in_the_loop() -> asyncio.Future[T]:
        # No coroutine: of that the RunEngine makes a task, which an interrupted run leaves behind.
        waiting = asyncio.wrap_future(future)
        waiting.add_done_callback(asyncio.Future.exception)  # raised below: else asyncio logs it
        return waiting

    while not future.done():
        yield from bps.wait_for([in_the_loop])
    return future.result()


def describe(device: Any) -> MsgGenerator[Mapping[str, Any]]:
    """Return what a device says of its data keys; empty where it cannot tell yet.

    A detector that is described by its file's writer can only tell once it is staged.
    """
    try:  # whatever it raises: what is wrong with the device is told when it is read
        description = device.describe()
        if inspect.isawaitable(description):
            if inspect.iscoroutine(description):
                description.close()
            tasks = yield from bps.wait_for([device.describe])
            description = tasks[0].result() if tasks else {}
    except Exception:
        return {}
    return dict(description)


def carried_out(
    plan: MsgGenerator[Any], send: Callable[[Msg], MsgGenerator[Any]]
) -> MsgGenerator[Any]:
    """Let `send` carry out each message of a plan; it yields the message and returns its answer.

    What it raises is raised in the plan, at the message.
    """
    answer: Any = None
    error: BaseException | None = None
    while True:
        try:
            msg = plan.send(answer) if error is None else plan.throw(error)
        except StopIteration as stop:
            return stop.value
        answer, error = None, None
        try:
            answer = yield from send(msg)
        except GeneratorExit:
            plan.close()
            raise
        except BaseException as failure:
            error = failure
