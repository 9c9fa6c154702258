"""Figures of maps and runs: data in, Axes or Figure out.

`draw_run` is the figure of a stored run; `LiveMap` and `Progress` watch one that goes on. Figures
of analyses are drawn beside them, in `bl_steer.analysis`.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
