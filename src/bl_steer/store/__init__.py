"""Keep runs: a write-ahead record on disk first, the Tiled catalogue second.

`Store` is what a session opens. `RecordWriter` and `read_record` are its write-ahead record,
usable alone; to read a stored run as arrays use `bl_steer.runs` instead.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
