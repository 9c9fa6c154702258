"""Decisions are the same under any number of threads, and what differs is told apart."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from bl_steer.single_thread import single_thread
from bl_steer.steering import build_steering
from bl_steer.steering.decision import difference_of
from simulators.film import SigeFilm

SETTINGS = {
    "target": "nmf:4@x=0.45,R=0.9,tilt=0",
    "agent": "random",
    "agent_options": {},
    "seed": 0,
    "budget": 45,
    "grid": {axis: {"start": 0, "stop": 150, "num": 31} for axis in "xy"},
    "masks": True,
}
FILM = SigeFilm("multi-domain", seed=3)


def decisions(n_threads: int) -> list[str]:
    """Decide over the film with so many threads; return every number of each decision."""
    steering, made = build_steering(SETTINGS, FILM.axes), []
    with threadpool_limits(limits=n_threads):
        torch.set_num_threads(n_threads)
        try:
            for _ in range(45):
                decision = replace(steering.decide(), think_s=0.0, think_cpu_s=0.0)
                made.append(repr(decision))
                x, y = np.array([decision.x]), np.array([decision.y])
                steering.observe(FILM.rates(x, y).ravel() * 10.0)
        finally:
            torch.set_num_threads(1)
    return made


def test_decisions_do_not_depend_on_the_number_of_threads() -> None:
    assert decisions(2) == decisions(1)


def test_all_libraries_are_held_and_let_go() -> None:
    def limits() -> list[int]:
        return [pool["num_threads"] for pool in threadpool_info()]

    with threadpool_limits(limits=2):
        before = limits()
        with single_thread():
            with single_thread():
                assert set(limits()) == {1}
            assert set(limits()) == {1}
            assert torch.get_num_threads() == 1
        assert limits() == before


def test_the_number_of_threads_comes_back_where_threads_leave_in_any_order() -> None:
    inside, is_left = threading.Event(), threading.Event()
    seen: list[int] = []

    def other() -> None:
        with single_thread():
            inside.set()
            is_left.wait(60)
            seen.append(torch.get_num_threads())

    torch.set_num_threads(2)
    try:
        thread = threading.Thread(target=other)
        with single_thread():
            thread.start()
            inside.wait(60)
        is_left.set()
        thread.join()
        fresh = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        fresh.start()
        fresh.join()
        assert (torch.get_num_threads(), seen) == (2, [1, 2])
    finally:
        torch.set_num_threads(1)


def test_how_decisions_differ_is_told() -> None:
    steering = build_steering(SETTINGS, FILM.axes)
    decision = steering.decide()
    assert difference_of(decision, replace(decision, think_s=9.0)) == ""
    elsewhere = replace(decision, x=decision.x + 5.0)
    assert difference_of(elsewhere, decision).startswith("another place: (")
    first, second = replace(decision, mean=1.0), replace(decision, mean=1.0 + 2e-15)
    told = difference_of(first, second)
    assert told == "the same place, numbers differ by 2e-15 of their size: mean"
    assert "by inf of their size: reason" in difference_of(replace(decision, reason="x"), decision)
