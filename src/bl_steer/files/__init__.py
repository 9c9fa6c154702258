"""Files from outside, one reader for each format; nothing else reads an image, a stack or a map.

`read_micrographs` takes any image file of a microscope, `open_stack` a stack of slices, `read_map`
and `read_table` maps and tables; `write_volume` writes volumes for other programs. Each refuses
what it cannot read with a `ValueError` that names the value and the remedy. `bl_steer.files.atomic`
writes files whole or not at all.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
