"""Slices into volumes: SRRAM networks that learn from the plane what lies between the slices.

`train_model` learns from a stack, `super_resolve` inserts planes in memory, `super_resolve_zarr`
from Zarr to Zarr; `SuperResolutionAnalysis` does it as the analysis ``superres``. `baselines` has
what it is compared with; `leave_out`, `measure_isotropy` and `resolution` say how far it can be
trusted. Names load on first use, so that importing this package loads no torch.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
