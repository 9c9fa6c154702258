"""A recorded run of a counter over omega and two-theta, as its documents in a file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import numpy as np

UB = (2 * np.pi / 5.43104 * np.eye(3)).tolist()


def documents(
    *,
    n: int = 5,
    energy: float = 8.0478,
    status: str = "success",
    planned: int = 5,
    two_theta: tuple[float, float] = (87.0, 89.0),
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return a run of a linear detector's counter over omega and two-theta."""
    keys = ["diffr_omega", "diffr_tth", "diffr_h", "diffr_k", "diffr_l", "counter"]
    number = {"source": "sim", "dtype": "number", "shape": []}
    uid, time = "run-1", 1.7e9
    yield (
        "start",
        {"uid": uid, "time": time, "detectors": ["counter"], "num_points": planned}
        | {"plan_name": "scan", "energy_kev": energy},
    )
    yield (
        "descriptor",
        {"uid": "d-1", "run_start": uid, "name": "primary", "time": time}
        | {"data_keys": dict.fromkeys(keys, number), "hints": {}, "object_keys": {}}
        | {"configuration": {"diffr": {"data": {"diffr_UB": UB}, "timestamps": {}}}},
    )
    for row, tth in enumerate(np.linspace(*two_theta, planned)[:n]):
        values = [44.0 + 0.1 * row, float(tth), 2.0, 2.0, 4.0, 10 + row]
        data = dict(zip(keys, values, strict=True))
        yield (
            "event",
            {"descriptor": "d-1", "uid": f"e-{row}", "time": time + row, "seq_num": row + 1}
            | {"data": data, "timestamps": dict.fromkeys(keys, time), "filled": {}},
        )
    yield (
        "stop",
        {"uid": "s-1", "run_start": uid, "time": time + 9, "exit_status": status}
        | {"reason": "Ctrl-C" if status == "abort" else ""},
    )


def lines(path: Path, items: Iterable[tuple[str, Any]]) -> Path:
    """Write documents as JSON lines."""
    path.write_text("".join(f"{json.dumps({'name': n, 'doc': d})}\n" for n, d in items))
    return path


def packed(path: Path, items: Iterable[tuple[str, Any]]) -> Path:
    """Write documents as msgpack."""
    path.write_bytes(b"".join(msgpack.packb(list(item)) for item in items))
    return path
