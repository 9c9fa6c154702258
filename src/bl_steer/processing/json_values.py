"""Values of any kind as JSON gives them back: what goes into documents, inputs and results.

`bl_steer.processing.digest.canonical_json` is the text for digests; `bl_steer.store.record` refuses
what this turns into text, since a document of a measurement must lose nothing unseen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["json_values"]


def json_values(value: Any) -> Any:
    """Return a copy as JSON would give it back, with numbers and arrays of NumPy as Python's.

    >>> import pathlib
    >>> json_values({"steps": (np.int64(1), 2), "model": pathlib.PurePosixPath("a")})
    {'steps': [1, 2], 'model': 'a'}
    """
    return json.loads(json.dumps(value, default=_plain))


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return dict(value) if isinstance(value, Mapping) else str(value)
