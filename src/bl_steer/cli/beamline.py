"""Commands that stand at a beamline, simulated or on EPICS: session, ioc."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bl_steer.cli.options import PRESETS, data_option, plain_command
from bl_steer.settings import Settings

__all__ = ["add_commands"]


def add_commands(commands: Any) -> None:
    """Add the commands at the beamline."""
    session = plain_command(commands, "session", _session, "an IPython session at the beamline")
    settings = Settings()
    where = session.add_mutually_exclusive_group()
    where.add_argument("--sim", action="store_true", help="on the simulated beamline (default)")
    where.add_argument("--epics", action="store_true", help="on the PVs of devices/beamline.py")
    where.add_argument(
        "--microscope", action="store_true", help="on the simulated electron microscope"
    )
    session.add_argument(
        "--sample",
        default=None,
        metavar="PRESET",
        help=f"{', '.join(PRESETS)}, by default {settings.sample}; with --microscope grains, "
        "network, by default grains",
    )
    session.add_argument(
        "--seed", type=int, default=None, help=f"of the simulation; {settings.seed} by default"
    )
    session.add_argument("--prefix", metavar="P", help="of the PVs; the beamline's by default")
    session.add_argument(
        "--axes", type=Path, metavar="FILE", help=".npz with qx, qz in 1/Å; the film's by default"
    )
    data_option(session)

    ioc = plain_command(commands, "ioc", _ioc, "serve a simulated film over Channel Access")
    ioc.add_argument("--sample", default="multi-domain", choices=PRESETS, help="the film")
    ioc.add_argument("--seed", type=int, default=0, help="of the film")
    ioc.add_argument("--prefix", metavar="P", help="of the PVs; the beamline's by default")
    ioc.add_argument("--speedup", type=float, default=1.0, metavar="S", help="1 is real time")


def _session(arguments: argparse.Namespace) -> None:
    from bl_steer.session.interactive import (
        embed,
        interactive_epics_session,
        interactive_microscope_session,
        interactive_session,
    )

    if arguments.epics:
        session, banner = interactive_epics_session(
            arguments.axes, prefix=arguments.prefix, data_dir=arguments.data
        )
        embed(session, banner)
        return
    settings = Settings()
    seed = settings.seed if arguments.seed is None else arguments.seed
    if arguments.microscope:
        microscope, banner = interactive_microscope_session(
            arguments.sample or "grains", seed=seed, data_dir=arguments.data
        )
        embed(microscope, banner)
        return
    session, banner = interactive_session(
        arguments.sample or settings.sample, seed=seed, data_dir=arguments.data
    )
    embed(session, banner)


def _ioc(arguments: argparse.Namespace) -> None:
    from bl_steer.session.session import check_import_roots

    check_import_roots()
    from devices.beamline import PREFIX
    from simulators.film.sige_film import SigeFilm

    try:
        from simulators.epics.ioc import process_variables, serve
    except ModuleNotFoundError as error:
        raise ImportError(
            f"the soft IOC must have caproto to serve with, got: {error}; pip install caproto"
        ) from error
    channels = process_variables(
        SigeFilm(arguments.sample, seed=arguments.seed),
        prefix=PREFIX if arguments.prefix is None else arguments.prefix,
        speedup=arguments.speedup,
    )
    serve(channels, on_ready=lambda: print("READY", flush=True))
