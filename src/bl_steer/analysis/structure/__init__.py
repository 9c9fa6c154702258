"""What a three-dimensional label volume holds: volumes, contact areas, lines, paths, lengths.

Each module is one measure; `analysis` puts them together as the analysis ``structure``. All of them
read a `LabelVolume` slab by slab, so that the memory they need does not grow with its height.
"""

from bl_steer.analysis.structure.volume import LabelVolume

__all__ = ["LabelVolume"]
