"""A stack of slices into one aligned volume: the analysis ``align-slices``."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
