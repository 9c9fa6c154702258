"""Reciprocal-space maps of scans, from any file or run: the analysis ``rsm``."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
