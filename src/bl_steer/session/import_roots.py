"""Make sure that ``devices``, ``plans`` and ``simulators`` are ours, before they are imported."""

from __future__ import annotations

import importlib.util
from pathlib import Path

__all__ = ["CollisionError", "check_import_roots"]

IMPORT_ROOTS = ("devices", "plans", "simulators")


class CollisionError(ImportError):
    """A module of the user's has the name of one of our import roots."""


def check_import_roots() -> None:
    """Refuse to go on where a module of the user's stands in the place of one of ours.

    Raises
    ------
    CollisionError
        Naming the file that stands in their place, usually a ``plans.py`` in the folder that the
        session was started in.
    """
    for root in IMPORT_ROOTS:
        spec = importlib.util.find_spec(root)
        origin = None if spec is None else spec.origin
        if origin is None or not Path(origin).with_name("py.typed").exists():
            raise CollisionError(
                f"the module {root!r} must be bl_steer's, got {origin}; rename that file, or start "
                "the session in another folder"
            )
