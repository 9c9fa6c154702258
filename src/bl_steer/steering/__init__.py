"""The steering loop without an instrument: patterns in, decisions out.

`Steering` joins an agent and a feature; `plans.find_hotspot` drives it, and `replay` repeats the
decisions of a stored run. Its twin for slices is `bl_steer.slicing`.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
