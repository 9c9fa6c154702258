"""Acquisition metadata of micrographs, and the analyses that a plan asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, Protocol

import bluesky.plan_stubs as bps
import numpy as np
from bluesky.protocols import Readable, Triggerable
from bluesky.utils import MsgGenerator

from bl_steer.processing.registry import check_name
from bl_steer.processing.requests import requests_of

__all__ = ["Microscope", "condition_problems", "requested_analyses", "set_conditions"]

RULES = {
    "pixel_size_nm": ("positive and finite", "nm", 10),
    "accelerating_voltage_kV": ("positive and finite", "kV", 2),
    "etching_s": ("0 or above and finite", "s", 0),
}


class Microscope(Readable[Any], Triggerable, Protocol):
    """A microscope that stores its micrographs: `devices.ScanningElectronMicroscope`, …"""

    pixel_size: Any
    accelerating_voltage: Any
    etching_time: Any
    staining: Any


def condition_problems(requested: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with conditions that no microscope has; None leaves the device's own."""
    problems = []
    for name, (rule, unit, example) in RULES.items():
        value = requested[name]
        lowest = 0.0 if name == "etching_s" else np.nextafter(0.0, 1.0)
        if value is not None and not (isinstance(value, Real) and lowest <= float(value) < np.inf):
            problems.append(f"{name} must be {rule}, got {value!r} {unit}; try {name}={example}")
    staining = requested["staining"]
    if staining is not None and not (isinstance(staining, str) and staining.strip()):
        problems.append(f'staining must be a word, got {staining!r}; write "none" for none')
    return problems


def requested_analyses(analyses: Sequence[str | Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the analyses as the start document lists them; refuse those that nobody knows."""
    listed = [analyses] if isinstance(analyses, str) else list(analyses)
    requests = requests_of({"analyses": listed})
    for request in requests:
        check_name(request.name)
    always = {True: {"always": True}, False: {}}
    return [{"name": r.name, "params": dict(r.params), **always[r.always]} for r in requests]


def set_conditions(
    detector: Microscope, requested: Mapping[str, Any]
) -> MsgGenerator[dict[str, Any]]:
    """Set the conditions that are requested, and return all of them."""
    signals = {
        "pixel_size_nm": detector.pixel_size,
        "accelerating_voltage_kV": detector.accelerating_voltage,
        "etching_s": detector.etching_time,
        "staining": detector.staining,
    }
    conditions = {}
    for name, signal in signals.items():
        value = requested[name]
        if value is None:
            value = yield from bps.rd(signal)
        else:
            yield from bps.mv(signal, value)
        conditions[name] = value if isinstance(value, str) else float(value)
    return conditions
