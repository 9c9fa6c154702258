"""The slicing loop without an instrument: where slices of a FIB-SEM lie, and how good they are.

The plan `plans.slice_and_view` judges each slice with this as it comes; the analysis
``align-slices`` (`bl_steer.analysis.slices`) does it for the whole stack afterwards.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
