"""The interactive session: names, banner, live map.

``bl-steer session`` embeds IPython here; ``from bl_steer.startup import *`` gives the same names to
an IPython or Jupyter that runs already.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bl_steer.session import SimulatedSession, open_session

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["BANNER", "embed", "interactive_session"]

BANNER = """\
bl_steer session: simulated film {sample!r}, seed {seed}; runs are kept in {data_dir}

    RE(find_hotspot(det, stage, monitor=monitor, budget=48))   steer to the brightest spot
    RE(map_sample(det, stage, monitor=monitor))                measure the whole grid
    db[-1]    list_runs()    open_run(-1).result               look at what was stored

devices: det, stage, monitor, diffractometer     live map: {live}
"""


def interactive_session(
    sample: str, *, seed: int, data_dir: str | os.PathLike[str]
) -> tuple[SimulatedSession, str]:
    """Open a simulated session with a live map; return it and the banner."""
    from bl_steer.live import LiveMap

    session = open_session(sample, seed=seed, data_dir=data_dir)
    path = Path(data_dir) / "live_map.png"
    show = _notebook_display()
    session.RE.subscribe(LiveMap(show, path=path))
    live = "in the notebook" if show else str(path)
    return session, BANNER.format(sample=sample, seed=seed, data_dir=data_dir, live=live)


def embed(sample: str, *, seed: int, data_dir: str | os.PathLike[str]) -> None:
    """Start IPython with the session's names; return when the user leaves."""
    from IPython import start_ipython
    from traitlets.config import Config

    session, banner = interactive_session(sample, seed=seed, data_dir=data_dir)
    config = Config()
    config.TerminalInteractiveShell.banner2 = banner
    with session:
        start_ipython(argv=[], user_ns=session.namespace(), config=config)


def _notebook_display() -> Any:
    """Return a function that shows figures in a running notebook, None elsewhere."""
    from IPython import get_ipython

    shell = get_ipython()
    if shell is None or not hasattr(shell, "kernel"):
        return None
    from IPython.display import display

    handle = display(display_id=True)

    def show(figure: Figure) -> None:
        handle.update(figure)

    return show
