"""What the patterns of a map say of its film, point by point: peaks, composition, strain, tilt."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
