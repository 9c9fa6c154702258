"""Label volumes from files, and what ``bl-steer structure`` does with them.

`bl_steer.files.stacks` opens the files; `stored` takes labels from the runs of a store.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bl_steer.files.atomic import check_place
from bl_steer.files.stacks import KNOWN, check_apart, open_stack
from bl_steer.processing.digest import digest_of
from bl_steer.processing.registry import find_analysis, make_params
from bl_steer.processing.result_folder import write_result
from bl_steer.protocols import Inputs, Progress

__all__ = ["inputs_from_file", "measure_structure"]

LONG = ("directions", "chord_lengths", "correlation")
"""Tables that go into files alone."""


def inputs_from_file(path: str | Path) -> Inputs:
    """Return a label volume with what its file says of voxel and phases.

    Large volumes stay on disk. The errors are those of `open_stack`.

    Parameters
    ----------
    path : of a stack, or of one plane as an image; an ``.npz`` or a Zarr group may hold ``labels``
        beside other arrays, and ``voxel_size_nm`` (z, y, x) and ``phases``, which are among the
        attributes of a Zarr
    """
    stored = open_stack(path, "labels", or_plane=True)
    wanted = (*KNOWN, "pitch_nm", "pixel_size_nm", "stated_voxel", "lossy")
    known = {key: stored.known[key] for key in wanted if key in stored.known}
    if "pixel_size_nm" in known and "voxel_size_nm" not in known:
        said = (
            f"{Path(path).name} states pixels of {known['pixel_size_nm']:g} nm, and no distance "
            "of the planes"
        )
        known = {"stated_voxel": said, **known}
    return Inputs(
        {"labels": stored.array}, known, {"files": [str(path)]}, [*stored.notes, *stored.gaps]
    )


def measure_structure(
    path: Path,
    *,
    params: Mapping[str, Any],
    out: Path | None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure a label volume; with `out`, write tables as CSV and figures there.

    Returns
    -------
    report : JSON-compatible; NaN, where there is no interval, is None
    """
    if out is not None:
        check_apart(path, out)
        check_place(out)
    analysis = find_analysis("structure")
    settings = make_params(analysis, params)
    result = analysis.run(inputs_from_file(path), settings, progress)
    written = [] if out is None else write_result(result, out)
    about = result.provenance
    return {
        "volume": str(path),
        "shape": about["shape"],
        "voxel_size_nm": about["params"]["voxel_size_nm"],
        "phases": about["phases"],
        "directions": about["params"]["directions"],
        "edge_correction": about["params"]["edge_correction"],
        "flat_interface_seen": about["flat_interface_seen"],
        "straight_line_seen": about["straight_line_seen"],
        **{
            name: {
                key: [_finite_or_none(value) for value in column.tolist()]
                for key, column in table.items()
            }
            for name, table in result.tables.items()
            if name not in LONG
        },
        "warnings": list(result.warnings),
        "digest": digest_of(result),
        "duration_s": about["duration_s"],
        "files": [str(file) for file in written],
    }


def _finite_or_none(value: Any) -> Any:
    return None if isinstance(value, float) and value != value else value
