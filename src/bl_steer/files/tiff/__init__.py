"""TIFF: `pages` of micrographs as viewers show them, `voxels` of stacks as they are stored."""
