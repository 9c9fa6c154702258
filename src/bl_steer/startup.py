"""A session's names by one import: ``from bl_steer.startup import *``.

For IPython profiles, Jupyter and the queue server. Importing this module opens the store and the
simulated beamline; everything else in the package waits to be called. ``BL_STEER_SAMPLE``,
``BL_STEER_SEED`` and ``BL_STEER_DATA_DIR`` choose what is opened, and
``BL_STEER_INSTRUMENT`` the simulated ``microscope`` or ``fibsem`` in the beamline's place.
"""

import atexit

from bl_steer.session import interactive_session, simulated
from bl_steer.settings import Settings

_settings = Settings()
session, banner = interactive_session(simulated(_settings.instrument), data_dir=_settings.data_dir)
atexit.register(session.close)
_namespace = session.namespace()
globals().update(_namespace)

__all__ = [*_namespace, "banner"]
