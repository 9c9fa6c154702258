"""Which micrographs to take and to paint: designs, learning curves, the next to label."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
