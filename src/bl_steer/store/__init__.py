"""Keep runs: a write-ahead record on disk first, the Tiled catalogue second.

`Store` is what a session opens. `RecordWriter` and `read_record` are its write-ahead record,
usable alone; to read a stored run as arrays use `bl_steer.runs` instead.
"""

from bl_steer.store.broker import open_broker
from bl_steer.store.metadata import RunMetadata
from bl_steer.store.record import (
    Document,
    RecordWriter,
    StoreError,
    find_records,
    is_being_written,
    path_of,
    read_record,
)
from bl_steer.store.store import Store

__all__ = [
    "Document",
    "RecordWriter",
    "RunMetadata",
    "Store",
    "StoreError",
    "find_records",
    "is_being_written",
    "open_broker",
    "path_of",
    "read_record",
]
