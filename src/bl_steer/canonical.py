"""JSON-compatible data as text that is equal wherever the data are: what digests are made of."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["canonical_json"]


def canonical_json(value: Any) -> str:
    """Return JSON-compatible data as text that does not depend on the order of keys.

    >>> canonical_json({"b": (1, -0.0), "a": None})
    '{"a":null,"b":[1,0.0]}'
    """
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


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
