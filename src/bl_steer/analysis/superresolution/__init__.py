"""Slices into volumes: SRRAM networks that learn from the plane what lies between the slices.

`model.train_model` learns from a stack, `volume.super_resolve` inserts planes in memory,
`zarr_volume.super_resolve_zarr` from Zarr to Zarr; `baselines` has what it is compared with, and
`leave_out`, `isotropy` and `resolution` say how far it can be trusted.
"""
