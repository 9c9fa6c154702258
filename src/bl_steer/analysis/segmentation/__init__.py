"""Micrographs into phases: networks, training, inference, and planning of the training set.

`SegmentMicrographs` is the analysis, `segment` does one micrograph. `training` makes a model from
painted pairs, `planning` says which pairs to paint. Names load on first use, so that importing
this package loads no torch.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
