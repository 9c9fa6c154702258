"""Masks that an expert or a tool made of a micrograph, decoded into labels; and painted back.

`read_mask` takes a file of any kind: `colours` decodes paint, `label_images` numbers, `outlines`
the regions of annotation tools. What was decoded, and what the user should know of it, is in the
`MaskReport`.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
