"""bl_steer: steer a micro-beam diffraction measurement to the spot that matters.

The names offered here are those that sessions, scripts and notebooks need. Each loads on first use,
so that ``import bl_steer`` is light::

    import bl_steer

    with bl_steer.open_session("multi-domain", seed=1) as session:
        session.RE(session.find_hotspot(budget=48))

The contracts are in `bl_steer.protocols`: read that first.
"""

from importlib.metadata import version
from typing import Any

import lazy_loader as lazy

from bl_steer.extras import hint

_load, __dir__, __all__ = lazy.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return version("bl-steer")
    try:
        return _load(name)
    except ImportError as error:
        if line := hint(error):
            raise ImportError(line, name=error.name) from error
        raise
