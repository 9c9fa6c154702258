"""The networks behind one interface: micrographs (B, 1, H, W) to logits (B, n_phases, H, W).

`build_network` builds one by its name. Each says its `stride` (H and W must be multiples of it) and
its `halo` (pixels around a tile that its output depends on), so that tiles are cut without seams.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
