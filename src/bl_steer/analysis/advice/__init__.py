"""Where to measure next, from points in a file: the analysis ``advise``."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
