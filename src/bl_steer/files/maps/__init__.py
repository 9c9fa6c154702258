"""Maps over a sample and tables of points from files: CSV as laboratories write it, HDF5, NumPy.

`any_map` reads a map in its owner's form, `points` makes the inputs of an analysis of a table or
map, `tables` reads a table alone, and `map_file` the ``.npz`` of a recorded map. Scans of
diffractometers are read by `bl_steer.files.scans`.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
