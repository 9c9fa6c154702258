"""From angles and frames to reciprocal space, and from composition and strain to peaks."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
