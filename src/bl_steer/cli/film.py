"""The command on the film of stored maps: map-film."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bl_steer.analysis.film import FilmParams, map_film
from bl_steer.cli.options import (
    Parser,
    data_option,
    figure_option,
    json_option,
    out_option,
    print_ending,
    print_warnings,
)
from bl_steer.cli.params import add_params, read_params
from bl_steer.progress import Bar

__all__ = ["add_map_film"]

SHOWN = {
    "x_ge": "x",
    "relaxation": "R",
    "tilt_deg": "tilt (°)",
    "tilt_across_deg": "tilt across (°)",
    "twist_deg": "twist (°)",
}


def add_map_film(parser: Parser, argv: Sequence[str]) -> None:
    """Add the options of ``map-film``."""
    json_option(parser, _map_film)
    data_option(parser)
    parser.add_argument(
        "uids",
        nargs="+",
        metavar="UID",
        help="maps of the same points, a reflection or azimuth each, as --hkl has them: uid, the "
        "beginning of one, scan id, or -1 for the latest run",
    )
    figure_option(parser, "where the maps go; UID_film.png by default")
    out_option(parser, None, "write tables (CSV) and all figures")
    add_params(parser, FilmParams)


def _map_film(arguments: argparse.Namespace) -> Any:
    figure = arguments.figure or Path(f"{arguments.uids[0][:8]}_film.png")
    with Bar("fitting", "map") as bar:
        report = map_film(
            arguments.uids,
            data_dir=arguments.data,
            params=read_params(arguments),
            figure=figure,
            out=arguments.out,
            progress=bar.show,
        )
    print_warnings(arguments, report)
    print("over the map: median, its spread (half the middle 68 %), error of a point (1 sd)")
    for peak in report["peaks"]:
        print(f"  peak {peak['peak']}: {peak['n_points']} points, {peak['counts']:.4g} counts")
        if peak["chi2"] == peak["chi2"]:  # not NaN
            print(f"    χ² of its places {peak['chi2']:.2f} (1 where maps and assumptions agree)")
        for name, label in SHOWN.items():
            if peak[f"{name}_error"] == peak[f"{name}_error"]:  # not NaN
                values = (peak[name], peak[f"{name}_spread"], peak[f"{name}_error"])
                print(f"    {label:16}" + "".join(f"{value:10.4f}" for value in values))
    print_ending(report)
    return report
