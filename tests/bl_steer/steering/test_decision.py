"""When two decisions count as the same: all but times, bit for bit."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np
import pytest

from bl_steer.steering.decision import Decision, same_decision

TIMES = ["previous_move_s", "previous_expose_s", "think_s", "think_cpu_s"]
BASED_ON = [field.name for field in fields(Decision) if field.name not in TIMES]


def decision() -> Decision:
    numbers = {field.name: math.nan for field in fields(Decision)}
    return Decision(
        **{
            **numbers,
            "point": 3,
            "x": 5.0,
            "y": 10.0,
            "reason": "model",
            "basis_version": 2,
            "previous_alarm": False,
            "seed": 7,
            "outcomes": np.array([1.0, 2.0, math.nan]),
        }
    )


def test_a_decision_is_the_same_as_its_copy_though_it_holds_nan() -> None:
    assert same_decision(decision(), decision())


@pytest.mark.parametrize("name", TIMES)
def test_times_depend_on_the_machine_and_do_not_count(name: str) -> None:
    assert same_decision(decision(), replace(decision(), **{name: 12.5}))


@pytest.mark.parametrize("name", BASED_ON)
def test_everything_else_counts(name: str) -> None:
    other = {"reason": "start", "outcomes": np.array([1.0, 2.5, math.nan]), "previous_alarm": True}
    changed = replace(decision(), **{name: other.get(name, 99)})
    assert not same_decision(decision(), changed)
    assert not same_decision(changed, decision())


def test_the_last_bit_of_a_number_counts() -> None:
    assert not same_decision(decision(), replace(decision(), x=np.nextafter(5.0, 6.0)))


@pytest.mark.parametrize("outcomes", [[1.0, 2.0], [1.0, 2.0, 0.0], [1.0, math.nan, 2.0]])
def test_outcomes_of_another_length_or_order_count(outcomes: list[float]) -> None:
    assert not same_decision(decision(), replace(decision(), outcomes=np.array(outcomes)))
