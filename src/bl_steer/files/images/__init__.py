"""Images of microscopes from files: their pages, and what instruments wrote of how they were taken.

`read_micrographs` gives grey fields, `read_colours` the page of a painted mask. Slices and volumes
are read by `bl_steer.files.stacks`, painted masks decoded in `bl_steer.analysis.segmentation`.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
