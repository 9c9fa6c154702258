"""A soft IOC: a simulated sample behind real Channel Access, and motors that take time."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
