"""Scans of diffractometers from files, one reader for each format; all give a `Scan`.

`open_scan` knows a file by its content. Maps over a sample are read by `bl_steer.files.maps`, and
runs of one's own store by `bl_steer.runs`.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
