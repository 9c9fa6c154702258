"""The interactive session: names, banner, live map.

``bl-steer session`` embeds IPython here; ``from bl_steer.startup import *`` gives the same names to
an IPython or Jupyter that runs already.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from IPython import display, get_ipython, start_ipython
from traitlets.config import Config

from bl_steer import plotting
from bl_steer.session import refusals
from bl_steer.session.instruments import Instrument
from bl_steer.session.session import Session, open_session

__all__ = ["BANNER", "embed", "interactive_session"]

BANNER = """\
bl_steer session: {title}; runs are kept in {data_dir}

{first_steps}

devices: {devices}{live}
"""


def interactive_session(
    instrument: Instrument, *, data_dir: str | os.PathLike[str]
) -> tuple[Session, str]:
    """Open a session, with a live map where points of a sample are measured; return the banner too.

    The live map is shown in a notebook, and elsewhere written to ``live_map.png`` of `data_dir`.
    """
    session = open_session(instrument, data_dir=data_dir)
    live = ""
    if "det" in instrument.devices:
        path = Path(data_dir) / "live_map.png"
        show = _notebook_display()
        session.watch(plotting.LiveMap(show, path=path))
        live = f"     live map: {'in the notebook' if show else path}"
    if (shell := get_ipython()) is not None:
        refusals.load_ipython_extension(shell)
    banner = BANNER.format(
        title=instrument.title,
        data_dir=data_dir,
        first_steps=instrument.first_steps,
        devices=", ".join(instrument.devices),
        live=live,
    )
    return session, banner


def embed(session: Session, banner: str) -> None:
    """Start IPython with the session's names; return when the user leaves."""
    config = Config()
    config.TerminalInteractiveShell.banner2 = banner
    config.InteractiveShellApp.extensions = [refusals.__name__]
    with session:
        start_ipython(argv=[], user_ns=session.namespace(), config=config)


def _notebook_display() -> Any:
    """Return a function that shows figures in a running notebook, None elsewhere."""
    shell = get_ipython()
    if shell is None or not hasattr(shell, "kernel"):
        return None
    return display.display(display_id=True).update
