"""Stored runs as arrays, whichever way they are stored: record, Tiled or databroker.

Analyses, figures and replays start here. To store runs use `bl_steer.store` instead.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
