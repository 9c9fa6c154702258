"""Hand a run on: to NeXus, which plots anywhere, or to tables in CSV.

To read a run in Python, `bl_steer.runs.open_run` is all that is needed.
"""

from __future__ import annotations

import os
from pathlib import Path

from bl_steer.diffraction import GriddedFrames
from bl_steer.runs.csv_tables import write_csv
from bl_steer.runs.nexus import FRAMES, write_nexus
from bl_steer.runs.reductions import gridded_of
from bl_steer.runs.run import Run

__all__ = ["export_run"]

NEXUS = (".nxs", ".nx", ".h5", ".hdf5")


def export_run(
    run: Run,
    out: str | os.PathLike[str] | None = None,
    *,
    frames: str = "copy",
    force: bool = False,
    reduction: GriddedFrames | None = None,
) -> list[Path]:
    """Write a run into a NeXus file or into CSV tables; return the files.

    Parameters
    ----------
    out : the file, by its ending NeXus (``.nxs``, ``.h5``) or CSV (``.csv``); ``UID.nxs`` by
        default. The tables of a run beside that of its points are ``NAME_decisions.csv``, …
    frames : in a NeXus file ``"copy"``, ``"link"`` (a virtual dataset that refers to the
        detector's files, which must stay where they are) or ``"none"``
    force : write over files that are there
    reduction : to a grid in reciprocal space: the NeXus file then holds the map of each point, the
        mask and the goniometer. By default that of the run, where it was steered on such maps

    Raises
    ------
    ValueError
        For another ending, another word for the frames, or a run of an earlier version whose maps
        were divided by a flat field, which it does not store.
    FileExistsError
        When a file is there already.
    bl_steer.store.StoreError
        When the frames cannot be read.
    """
    path = Path(out) if out is not None else Path(f"{run.uid[:8]}.nxs")
    if frames not in FRAMES:
        raise ValueError(f"frames must be one of {', '.join(FRAMES)}, got {frames!r}")
    if path.suffix.lower() == ".csv":
        return write_csv(run, path, force=force)
    if path.suffix.lower() not in NEXUS:
        raise ValueError(
            f"an export must end in {', '.join(NEXUS)} or .csv, got {path}; try {path.stem}.nxs"
        )
    gridded = gridded_of(run.start) if reduction is None else reduction
    return [write_nexus(run, path, frames=frames, force=force, reduction=gridded)]
