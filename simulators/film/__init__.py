"""The simulated Si-Ge film, recorded maps, and the beamline that measures them.

Names load on first use: a session on a microscope loads no film.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
