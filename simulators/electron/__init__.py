"""Simulated specimens, and the electron microscope and FIB-SEM that image them.

Names load on first use: a session on a film loads no specimen.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
