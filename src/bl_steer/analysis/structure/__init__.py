"""What a three-dimensional label volume holds: volumes, contact areas, lines, paths, lengths.

Each module is one measure; `StructureAnalysis` puts them together as the analysis ``structure``.
All of them read a `LabelVolume` slab by slab, so that the memory they need does not grow with its
height. Names load on first use: the loops are compiled, and take a second to load.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
