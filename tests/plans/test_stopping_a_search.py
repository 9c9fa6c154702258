"""Pause, stop, abort and halt of a search, in the middle of a thought and of an event."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.utils import RunEngineInterrupted

from simulators.film.beamline import SimulatedBeamline
from tests.plans.searching import DIAGONAL, ListedAgent, places_of, search


def interrupt_during_thought(RE: RunEngine, plan: Any, agent: ListedAgent) -> None:
    """Ask for a pause in the thought that the agent holds; the run is paused before it ends."""

    def ask() -> None:
        agent.holding.wait(60.0)
        time.sleep(0.05)  # the RunEngine goes on to wait for the thought
        RE.request_pause()

    asking = threading.Thread(target=ask)
    asking.start()
    with pytest.raises(RunEngineInterrupted):
        RE(plan)
    asking.join()
    assert RE.state == "paused"
    assert agent.holding.is_set(), "the pause waited for the thought"


def go_on_soon(agent: ListedAgent) -> None:
    """End the thought that the agent holds, but not before the caller's next step."""
    threading.Timer(0.1, agent.go_on.set).start()


def test_pause_takes_effect_while_a_thought_is_under_way(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    agent = ListedAgent(DIAGONAL, holds=0)
    interrupt_during_thought(RE, search(beamline, agent=agent, budget=2), agent)
    go_on_soon(agent)
    RE.resume()
    assert len(agent.threads) == 2, "the interrupted point was thought about again"
    assert places_of(documents, "primary", "stage_x", "stage_y") == DIAGONAL[:2]
    assert [e["seq_num"] for e in documents.events("decisions")] == [1, 2]


def test_stop_after_a_pause_keeps_the_points_and_reports_the_best_of_them(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    agent = ListedAgent(DIAGONAL, holds=4)
    interrupt_during_thought(RE, search(beamline, agent=agent, budget=9), agent)
    go_on_soon(agent)
    RE.stop()
    run = documents.run
    assert run.status == "success"
    assert run.n_points == 4
    assert run.result["stop_reason"] == "interrupted"
    assert run.result["n_measured"] == 4
    assert run.result["best_value"] == np.nanmax(
        json.loads(documents.column("result", "outcomes")[0].replace("null", "NaN"))
    )
    assert beamline.det.file_path is None


def test_abort_during_a_thought_closes_run_and_file(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    agent = ListedAgent(DIAGONAL, holds=2)
    interrupt_during_thought(RE, search(beamline, agent=agent, budget=9), agent)
    go_on_soon(agent)
    RE.abort()
    assert documents.stop["exit_status"] == "abort"
    assert documents.run.result["stop_reason"] == "interrupted"
    assert beamline.det.file_path is None


def test_stop_before_the_first_point_has_a_result_without_a_spot(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    agent = ListedAgent(DIAGONAL, holds=0)
    interrupt_during_thought(RE, search(beamline, agent=agent), agent)
    go_on_soon(agent)
    RE.stop()
    result = documents.run.result
    assert result["n_measured"] == 0
    assert np.isnan(result["best_x"])


def test_halt_does_not_wait_for_a_thought(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    agent = ListedAgent(DIAGONAL, holds=0)
    interrupt_during_thought(RE, search(beamline, agent=agent), agent)
    RE.halt()
    assert agent.holding.is_set()
    agent.go_on.set()
    assert documents.stop["exit_status"] == "abort"
    assert beamline.det.file_path is None


@pytest.mark.parametrize("stream", ["decisions", "primary"])
def test_stop_in_the_middle_of_an_event_still_records_the_result(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any, stream: str
) -> None:
    read = []

    def hook(message: Any) -> None:
        if message.command == "create" and message.kwargs["name"] == stream:
            read.append(message)
            if len(read) == 3:
                RE.loop.call_soon(lambda: RE.loop.create_task(RE._request_pause_coro()))

    RE.msg_hook = hook
    with pytest.raises(RunEngineInterrupted):
        RE(search(beamline))
    RE.stop()
    RE.msg_hook = None
    assert documents.run.n_points == 2
    assert documents.run.result["n_measured"] == 2
    assert RE.rewindable
