"""Commands at a beamline, simulated or on EPICS: session, ioc."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from bl_steer import session
from bl_steer.cli.options import PRESETS, Parser, data_option
from bl_steer.settings import Settings

__all__ = ["add_ioc", "add_session"]


def add_session(parser: Parser, argv: Sequence[str]) -> None:
    """Add the options of ``session``."""
    parser.set_defaults(run=_session)
    data_option(parser)
    settings = Settings()
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--simulate", action="store_true", help="on the simulated beamline (default)"
    )
    where.add_argument("--epics", action="store_true", help="on the PVs of devices/beamline.py")
    where.add_argument(
        "--microscope", action="store_true", help="on the simulated electron microscope"
    )
    parser.add_argument(
        "--sample",
        metavar="PRESET",
        help=f"{', '.join(PRESETS)}, by default {settings.sample}; with --microscope grains, "
        "network, by default grains",
    )
    parser.add_argument("--seed", type=int, help=f"of the simulation; {settings.seed} by default")
    _prefix_option(parser)
    parser.add_argument(
        "--axes", type=Path, metavar="FILE", help=".npz with qx, qz in 1/Å; the film's by default"
    )


def add_ioc(parser: Parser, argv: Sequence[str]) -> None:
    """Add the options of ``ioc``."""
    parser.set_defaults(run=_ioc)
    parser.add_argument("--sample", default="multi-domain", choices=PRESETS, help="the film")
    parser.add_argument("--seed", type=int, default=0, help="of the film")
    _prefix_option(parser)
    parser.add_argument("--speedup", type=float, default=1.0, metavar="X", help="1 is real time")


def _prefix_option(parser: Parser) -> None:
    parser.add_argument("--prefix", metavar="P", help="of the PVs; the beamline's by default")


def _session(arguments: argparse.Namespace) -> None:
    settings = Settings()
    seed = settings.seed if arguments.seed is None else arguments.seed
    if arguments.epics:
        instrument = session.epics(arguments.axes, prefix=arguments.prefix)
    elif arguments.microscope:
        instrument = session.microscope(arguments.sample or "grains", seed=seed)
    else:
        instrument = session.film(arguments.sample or settings.sample, seed=seed)
    session.embed(*session.interactive_session(instrument, data_dir=arguments.data))


def _ioc(arguments: argparse.Namespace) -> None:
    # The user's folder may hold modules of the same names: they are looked for first.
    session.check_import_roots()
    from devices.beamline import PREFIX
    from simulators.epics.ioc import process_variables, serve
    from simulators.film.sige_film import SigeFilm

    channels = process_variables(
        SigeFilm(arguments.sample, seed=arguments.seed),
        prefix=PREFIX if arguments.prefix is None else arguments.prefix,
        speedup=arguments.speedup,
    )
    serve(channels, on_ready=lambda: print("READY", flush=True))
