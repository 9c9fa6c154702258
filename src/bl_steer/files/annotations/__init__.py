"""Annotations of an image as tools save them: outlines and runs of pixels, each of a named class.

`read_annotation` knows a file by its content: JSON of labelme and COCO, GeoJSON of QuPath, ROIs of
ImageJ. Masks that are images are read by `bl_steer.files.images`; which class is which phase is
told in `bl_steer.analysis.segmentation.masks`.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
