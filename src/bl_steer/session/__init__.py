"""Sessions: RunEngine, store, an instrument's devices and the plans under their usual names.

`open_session` opens one, on an instrument of `film`, `epics`, `microscope`, `fibsem` or of your own
(`Instrument`); ``bl-steer session`` and `bl_steer.startup` give it to IPython.
"""

from typing import Any

import lazy_loader as lazy

from bl_steer.session.import_roots import check_import_roots

_load, __dir__, __all__ = lazy.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    # Before a `plans.py` in the user's folder is imported in place of ours, and runs.
    check_import_roots()
    return _load(name)
