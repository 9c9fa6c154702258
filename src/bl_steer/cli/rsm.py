"""The command on scans of diffractometers: rsm."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bl_steer.analysis.rsm import RsmParams, map_files
from bl_steer.cli.options import (
    Parser,
    figure_option,
    json_option,
    out_option,
    print_ending,
    print_row,
    print_warnings,
)
from bl_steer.cli.params import add_params, read_params
from bl_steer.files.scans import SCAN_FORMATS
from bl_steer.progress import Bar

__all__ = ["add_rsm"]

OBLONG = 1.2
"""From which ratio of its widths on a peak has two of them."""


def add_rsm(parser: Parser, argv: Sequence[str]) -> None:
    """Add the options of ``rsm``."""
    json_option(parser, _rsm)
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help=f"scans of one map: {SCAN_FORMATS}"
    )
    figure_option(parser, "where the picture goes; FILE_rsm.png by default")
    out_option(parser, None, "write peaks (CSV) and the map (.npy, NeXus)")
    add_params(parser, RsmParams)


def _rsm(arguments: argparse.Namespace) -> Any:
    figure = arguments.figure or Path(f"{arguments.files[0].stem}_rsm.png")
    with Bar("mapping", "block") as bar:
        report = map_files(
            arguments.files,
            params=read_params(arguments),
            figure=figure,
            out=arguments.out,
            progress=bar.show,
        )
    print_warnings(arguments, report)
    print_row("energy", f"{report['energy_kev']:.5g} keV")
    for name in ("q_par", "q_perp"):
        low, high = report[name]
        print_row(name, f"{low:.4f} … {high:.4f} 1/Å")
    unit = {"arbitrary": "in arbitrary units"}.get(report["stored_unit"], report["stored_unit"])
    print("peaks, 1/Å:")
    for number, peak in enumerate(report["peaks"], start=1):
        print(
            f"  {number}  q_par {peak['q_par']:9.5f}  q_perp {peak['q_perp']:9.5f}  width "
            f"{peak['width']:.5f}{_axes(peak)}  {peak['counts']:.6g} {unit}"
        )
    print_ending(report)
    return report


def _axes(peak: Mapping[str, float]) -> str:
    """Return the widths of an oblong peak's axes, and which way the longer one lies."""
    major, minor = peak["width_major"], peak["width_minor"]
    if major < OBLONG * minor:
        return ""
    return f" ({major:.5f} × {minor:.5f}, {peak['tilt_deg']:.0f}°)"
