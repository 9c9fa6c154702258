"""A client that steers beside forbidden zones, is interrupted, and carries the run on.

Usage: zones_client.py PREFIX DATA_DIR
"""

from __future__ import annotations

import sys
from typing import Any

from bl_steer.session import epics, open_session

ZONES: list[dict[str, Any]] = [
    {"circle": [75.0, 75.0, 40.0]},
    {"polygon": [[0.0, 120.0], [60.0, 120.0], [60.0, 135.0], [0.0, 135.0]]},
    {"box": [[110.0, 20.0], [140.0, 25.0]]},
]
BUDGET, FIRST_PART = 9, 6


class Enough(Exception):
    """Ends the first part of the run."""


def main(prefix: str, data_dir: str) -> None:
    """Steer in two parts."""
    with open_session(
        epics(prefix=prefix, settle_s=0.02), data_dir=data_dir, progress=False
    ) as session:
        measured: list[str] = []

        def count(name: str, doc: dict[str, Any]) -> None:
            if name == "event" and "det_total" in doc["data"]:
                measured.append(doc["uid"])
                if len(measured) == FIRST_PART:
                    raise Enough

        token = session.RE.subscribe(count)
        options: dict[str, Any] = {"exposure_s": 1.0, "target": "total"}
        try:
            session.RE(session.find_hotspot(budget=BUDGET, forbidden=ZONES, **options))
        except Enough:
            session.RE.unsubscribe(token)
        session.RE(session.find_hotspot(resumes="-1"))


if __name__ == "__main__":
    main(*sys.argv[1:])
