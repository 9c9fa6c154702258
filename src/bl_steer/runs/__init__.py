"""Stored runs as arrays, whichever way they are stored: record, Tiled or databroker.

Analyses, figures and replays start here. To store runs use `bl_steer.store` instead.
"""

from bl_steer.runs.frames import Frames, FrameSource
from bl_steer.runs.listing import RecordsAlone, RunRow, list_runs, open_named, open_run
from bl_steer.runs.run import Run, read_outcomes

__all__ = [
    "FrameSource",
    "Frames",
    "RecordsAlone",
    "Run",
    "RunRow",
    "list_runs",
    "open_named",
    "open_run",
    "read_outcomes",
]
