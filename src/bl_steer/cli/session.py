"""Commands at a beamline, simulated or on EPICS: session, ioc."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from bl_steer import session
from bl_steer.cli.options import PRESETS, Parser, axes_option, data_option, prefix_option
from bl_steer.settings import Settings

__all__ = ["add_ioc", "add_session"]

INSTRUMENTS = {
    "--simulate": ("beamline", "on the simulated beamline (default)"),
    "--epics": ("epics", "on the PVs of devices/beamline.py"),
    "--microscope": ("microscope", "on the simulated electron microscope"),
    "--fibsem": ("fibsem", "on the simulated FIB-SEM, which cuts slices and images them"),
}
"""The instrument of each option: a name in `bl_steer.session.SIMULATED`, or EPICS."""


def add_session(parser: Parser, argv: Sequence[str]) -> None:
    """Add the options of ``session``."""
    parser.set_defaults(run=_session)
    data_option(parser)
    settings = Settings()
    parser.set_defaults(instrument="beamline")
    where = parser.add_mutually_exclusive_group()
    for option, (name, text) in INSTRUMENTS.items():
        short = ["--sim"] if option == "--simulate" else []
        where.add_argument(
            option, *short, dest="instrument", action="store_const", const=name, help=text
        )
    parser.add_argument(
        "--sample",
        metavar="PRESET",
        help=f"{', '.join(PRESETS)}, by default {settings.sample}; with --microscope and "
        "--fibsem grains, network, by default grains",
    )
    parser.add_argument(
        "--seed", type=int, help=f"seed of the simulation; {settings.seed} by default"
    )
    prefix_option(parser)
    axes_option(parser)


def add_ioc(parser: Parser, argv: Sequence[str]) -> None:
    """Add the options of ``ioc``."""
    parser.set_defaults(run=_ioc)
    parser.add_argument(
        "--sample", default="multi-domain", choices=PRESETS, help="preset of the film"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the film")
    prefix_option(parser)
    parser.add_argument(
        "--speedup",
        type=float,
        default=1.0,
        metavar="X",
        help="speed of the simulation; 1 is real time",
    )
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="F",
        help="KIND@N[-M][:DEVICE][=SIZE]: what goes wrong at measurement N, as stall@5:y; repeat",
    )


def _session(arguments: argparse.Namespace) -> None:
    if arguments.instrument == "epics":
        instrument = session.epics(arguments.axes, prefix=arguments.prefix)
    else:
        instrument = session.simulated(arguments.instrument, arguments.sample, seed=arguments.seed)
    session.embed(*session.interactive_session(instrument, data_dir=arguments.data))


def _ioc(arguments: argparse.Namespace) -> None:
    # The user's folder may hold modules of the same names: they are looked for first.
    session.check_import_roots()
    from devices.beamline import PREFIX
    from simulators.epics.ioc import process_variables, serve
    from simulators.film.faults import Faults
    from simulators.film.sige_film import SigeFilm

    faults = Faults(arguments.fault)
    channels = process_variables(
        SigeFilm(arguments.sample, seed=arguments.seed),
        prefix=PREFIX if arguments.prefix is None else arguments.prefix,
        speedup=arguments.speedup,
        faults=faults,
    )
    serve(channels, faults=faults, on_ready=lambda: print("READY", flush=True))
