"""What the command ``bl-steer structure`` does; it returns what is printed and written as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bl_steer.files.atomic import check_place
from bl_steer.protocols import Progress

__all__ = ["measure_structure"]

LONG = ("directions", "chord_lengths", "correlation")
"""Tables that go into files alone."""


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
    from bl_steer.analysis.segmentation.files import write_result
    from bl_steer.analysis.structure.files import inputs_from_file
    from bl_steer.files.stacks import check_apart
    from bl_steer.processing.digest import digest_of
    from bl_steer.processing.registry import find_analysis, make_params

    if out is not None:
        check_apart(path, out)
        check_place(out)
    analysis = find_analysis("structure")
    made = make_params(analysis, params)
    inputs, notes = inputs_from_file(path)
    result = analysis.run(inputs, made, progress)
    written = [] if out is None else write_result(result, out)
    told = result.provenance
    return {
        "volume": str(path),
        "shape": told["shape"],
        "voxel_size_nm": told["params"]["voxel_size_nm"],
        "phases": told["phases"],
        "directions": told["params"]["directions"],
        "edge_correction": told["params"]["edge_correction"],
        "flat_interface_seen": told["flat_interface_seen"],
        "straight_line_seen": told["straight_line_seen"],
        **{
            name: {
                key: [_plain(value) for value in column.tolist()] for key, column in table.items()
            }
            for name, table in result.tables.items()
            if name not in LONG
        },
        "warnings": [*notes, *result.warnings],
        "digest": digest_of(result),
        "duration_s": told["duration_s"],
        "files": [str(file) for file in written],
    }


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and value != value else value
