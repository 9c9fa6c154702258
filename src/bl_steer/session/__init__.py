"""A beamline session: RunEngine, store, devices and plans under their usual names.

`open_session` opens one; ``bl-steer session`` and `bl_steer.startup` give it to IPython.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
