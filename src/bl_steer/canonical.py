"""Data as text: equal wherever they are, for digests, and unlike where they are, for messages."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["canonical_json", "told_apart"]


def canonical_json(value: Any) -> str:
    """Return JSON-compatible data as text that does not depend on the order of keys.

    >>> canonical_json({"b": (1, -0.0), "a": None})
    '{"a":null,"b":[1,0.0]}'
    """
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def told_apart(*numbers: float) -> list[str]:
    """Return numbers as short text, with as many digits as it takes to see that they differ.

    >>> told_apart(-5.0, -5.00000012), told_apart(2.0, 2.0, 3.25)
    (['-5', '-5.0000001'], ['2', '2', '3.25'])
    """
    for digits in range(6, 17):
        texts = [f"{number:.{digits}g}" for number in numbers]
        if len({*texts}) == len({*numbers}):
            return texts
    return [repr(float(number)) for number in numbers]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isnan(value):
        return value + 0.0  # makes 0.0 of -0.0
    return value
