"""The server's settings from the environment, with a clear line for what is wrong or misspelt."""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from bl_steer.server.retraining.settings import RetrainingSettings
from bl_steer.server.settings import ServerSettings

__all__ = ["PREFIX", "misspelt", "read_settings"]

PREFIX = "BL_STEER_SERVICE_"
OTHERS = ("KEY",)
"""What `bl_steer.server.client` reads."""

logger = logging.getLogger(__name__)


def read_settings(**options: Any) -> ServerSettings:
    """Return the settings of the environment; warn of variables that nobody reads.

    Parameters
    ----------
    options : what the command line gave, which comes before the environment

    Raises
    ------
    ValueError
        When a value does not fit; one line that names the first such and the remedy.
    """
    for name, near in misspelt(os.environ).items():
        hint = f"; did you mean {near}?" if near else "; see bl_steer/server/settings.py"
        logger.warning("warning: %s is no setting of the server and is ignored%s", name, hint)
    try:
        return ServerSettings(**options)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0])
        shown = f"--{name.replace('_', '-')}" if name in options else PREFIX + name.upper()
        rule = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
        rule = rule.partition(", unable")[0]
        raise ValueError(
            f"{shown} must be {rule}, got {first['input']!r}; give another value"
        ) from error


def misspelt(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables with the server's prefix that nobody reads.

    Returns
    -------
    What each may have been meant to be, by its name; empty where nothing is like it
    """
    known = [
        *(name.upper() for name in ServerSettings.model_fields),
        *(f"RETRAIN_{name.upper()}" for name in RetrainingSettings.model_fields),
    ]
    suggestions = {}
    for name in sorted(environment):
        field = name.upper().removeprefix(PREFIX)
        if name.upper().startswith(PREFIX) and field not in (*known, *OTHERS):
            near = difflib.get_close_matches(field, known, 1, 0.75)
            suggestions[name] = PREFIX + near[0] if near else ""
    return suggestions
