"""Volumes for other programs: ImageJ, OME-TIFF, OME-Zarr and NRRD, each with its voxel.

`write_volume` writes them. `bl_steer.files.stacks` opens them, as any other stack, with the help of
`ome_zarr` and `nrrd_files`.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
