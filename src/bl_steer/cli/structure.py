"""The command on label volumes: structure."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bl_steer.cli.options import plain_command, write_json
from bl_steer.progress import Bar

__all__ = ["add_commands"]

VOXEL_HELP = "edges of a voxel, nm, e.g. 100,10,10; those that the file tells by default"
PHASES_HELP = (
    "names of the labels 0, 1, …, or LABEL:NAME,…; those that the file tells, or all labels that "
    "occur, by default"
)
LAG_HELP = "longest lag of the correlation; a quarter of the shortest edge by default"


def add_commands(commands: Any) -> None:
    """Add the command ``structure``."""
    text = "measure a label volume: volumes, contact areas, triple lines, connectivity, lengths"
    parser = plain_command(commands, "structure", _structure, text)
    parser.add_argument(
        "volume",
        type=Path,
        metavar="VOLUME",
        help="TIFF stack, folder of TIFFs or PNGs, .npy, .npz, .zarr",
    )
    parser.add_argument("--voxel", metavar="Z,Y,X", help=VOXEL_HELP)
    parser.add_argument("--phases", default="", metavar="P", help=PHASES_HELP)
    parser.add_argument(
        "--directions",
        type=int,
        choices=(13, 49),
        default=13,
        help="of the lines that count interfaces; 49 is more even, but steps over thin films",
    )
    parser.add_argument(
        "--edge-correction",
        choices=("on", "off"),
        default="on",
        help="off for a body that lies wholly inside the box",
    )
    parser.add_argument("--blocks", type=int, default=4, help="along each axis, for the intervals")
    parser.add_argument("--max-lag-nm", type=float, metavar="NM", help=LAG_HELP)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result as JSON")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write tables (CSV), figures (PNG)")


def _structure(arguments: argparse.Namespace) -> None:
    from bl_steer.analysis.structure.from_files import measure_structure

    params: dict[str, Any] = {
        "phases": arguments.phases,
        "directions": arguments.directions,
        "edge_correction": arguments.edge_correction == "on",
        "blocks": arguments.blocks,
    }
    if arguments.voxel is not None:
        params["voxel_size_nm"] = _voxel(arguments.voxel)
    if arguments.max_lag_nm is not None:
        params["max_lag_nm"] = arguments.max_lag_nm
    with Bar("measuring", "plane") as bar:
        report = measure_structure(
            arguments.volume, params=params, out=arguments.out, progress=bar.show
        )
    _print(report)
    write_json(arguments, report)


def _voxel(text: str) -> list[float]:
    try:
        edges = [float(part) for part in text.split(",")]
    except ValueError:
        edges = []
    if len(edges) != 3:
        raise ValueError(f"--voxel must be Z,Y,X in nm, got {text!r}; try 100,10,10")
    return edges


def _print(report: dict[str, Any]) -> None:
    for warning in report["warnings"]:
        print(f"warning: {warning}")
    box = " × ".join(map(str, report["shape"]))
    voxel = " × ".join(f"{edge:g}" for edge in report["voxel_size_nm"])
    print(f"{'volume':22}{box} voxels (z, y, x) of {voxel} nm")
    print("with 95 % intervals over blocks of the volume:")
    for row in _rows(report["volumes"]):
        share = 100 * row["fraction"]
        _print_amount(row["phase"], row, "volume", "um3", f"{share:6.2f} %")
    for row in _rows(report["areas"]):
        least, largest = (f"{row[f'if_flat_{end}_um2']:.4g}" for end in ("least", "largest"))
        name = f"{row['phase_a']}–{row['phase_b']}"
        _print_amount(name, row, "area", "um2", f"if flat {least} … {largest}")
    for row in _rows(report["triple_lines"]):
        _print_amount("–".join(row[f"phase_{k}"] for k in "abc"), row, "length", "um", "")
    print("connected:")
    for row in _rows(report["connectivity"]):
        if row["largest"] is None:
            continue
        through = ", ".join(f"{k} {100 * row[f'percolating_{k}']:.1f} %" for k in "zyx")
        print(
            f"  {row['phase']:20}largest of {row['n_parts']} parts {100 * row['largest']:.1f} %; "
            f"reaches through along {through}"
        )
    if report["files"]:
        print(f"{'results':22}{Path(report['files'][0]).parent}, {len(report['files'])} files")
    print(f"{'digest':22}{report['digest']}")


def _print_amount(name: str, row: dict[str, Any], key: str, unit: str, note: str) -> None:
    shown = {"um3": "µm³", "um2": "µm²", "um": "µm"}[unit]
    low, high = row[f"{key}_low_{unit}"], row[f"{key}_high_{unit}"]
    between = "no interval" if low is None else f"{low:.4g} … {high:.4g}"
    print(f"  {name:20}{row[f'{key}_{unit}']:10.4g} {shown:4}({between})  {note}".rstrip())


def _rows(table: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
