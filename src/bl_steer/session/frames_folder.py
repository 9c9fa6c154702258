"""Where the detectors of a session write frames: into its store, unless they have a folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from weakref import WeakSet

import bluesky.preprocessors as bpp
from bluesky.utils import Msg, MsgGenerator

__all__ = ["FramesFolder"]


class FramesFolder:
    """A preprocessor that gives each device a folder for its frames before it is staged.

    A user's own detector is not among the devices of the instrument, and a plan makes writers of
    frames by itself: what has a ``frames_dir`` that is None writes to the folder, as long as the
    session is open.

    Parameters
    ----------
    folder : of the store, for frames
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # A plan's writers come and go with each run.
        self._devices: WeakSet[Any] = WeakSet()

    def __call__(self, plan: MsgGenerator[Any]) -> MsgGenerator[Any]:
        """Return the plan with the folder given."""
        return (yield from bpp.msg_mutator(plan, self._staged))

    def give(self, devices: Iterable[Any]) -> None:
        """Give the folder to those devices that have none."""
        for device in devices:
            if getattr(device, "frames_dir", self.folder) is None:
                device.frames_dir = self.folder
                self._devices.add(device)

    def take_back(self) -> None:
        """Leave the devices without a folder, as they were."""
        while self._devices:
            self._devices.pop().frames_dir = None

    def _staged(self, msg: Msg) -> Msg:
        if msg.command == "stage":
            self.give([msg.obj])
        return msg
