"""Processes in the sandbox that decode one file each; some are kept ready for the next look.

What a first look waits for is not the file, which takes some milliseconds, but Python, bubblewrap
and their imports: a fifth of a second of processor time for each file, and seconds on a machine
that is busy. A process that is ready has done all that, and waits for its one file. None ever sees
two, so that a hostile file can spoil no other.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from bl_steer.server.sandbox.bubblewrap import JOB
from bl_steer.server.sandbox.limits import Limits
from bl_steer.server.sandbox.run import (
    Outcome,
    SandboxMissing,
    is_kept_apart,
    started_in_sandbox,
    watched,
)
from bl_steer.server.settings import ServerSettings
from bl_steer.server.sizes import MIB
from bl_steer.server.viewing.decoding import READY, Request

__all__ = ["LIMITS", "PREFIX", "Decoder", "Decoders"]

COMMAND = (sys.executable, "-P", "-m", "bl_steer.server.viewing.decoding")
LIMITS = Limits(time_s=90.0, memory=4096 * MIB, disk=2048 * MIB, niceness=0)
KEPT_READY = 3
"""Image, labels and uncertainty of a segmentation."""
START_S, REFILL_S = 3.0, 0.5
"""When those that are ready are made, s: the tiles of the look that took one go first."""
PREFIX = "decoder-"

logger = logging.getLogger(__name__)


class Decoder:
    """A process in the sandbox that waits for the one file that it decodes.

    Parameters
    ----------
    folder : where it gets a folder of its own
    """

    def __init__(self, settings: ServerSettings, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._scratch = Path(tempfile.mkdtemp(prefix=PREFIX, dir=folder))
        self.out, self._given = self._scratch / "out", self._scratch / "in"
        self.out.mkdir()
        self._given.mkdir()
        apart = is_kept_apart(trusted=settings.trust_packages)
        self._seen = JOB / "in" if apart else self._given
        self._seen_out = JOB / "out" if apart else self.out
        self._stack = contextlib.ExitStack()
        self._stack.callback(shutil.rmtree, self._scratch, ignore_errors=True)
        try:
            self._process: subprocess.Popen[bytes] = self._stack.enter_context(
                started_in_sandbox(
                    COMMAND,
                    readable={self._seen: self._given},
                    writable=self.out,
                    limits=LIMITS,
                    hidden=[settings.folder],
                    trusted=settings.trust_packages,
                )
            )
        except BaseException:
            self._stack.close()
            raise

    @property
    def is_alive(self) -> bool:
        """Whether it can still be given a file."""
        return self._process.poll() is None and self.out.is_dir()

    def wait_until_ready(self) -> bool:
        """Wait until it has imported what it needs; return whether it has."""
        pipe = self._process.stdout
        try:
            return pipe is not None and pipe.readline().strip() == READY.encode()
        except ValueError:  # it was closed meanwhile
            return False

    def give(self, name: str, file: Path) -> str:
        """Lay a file where it can read it, and nothing else; return the path that it sees."""
        place = self._given / name
        try:
            os.link(file, place)
        except OSError:  # another disk
            shutil.copyfile(file, place)
        return str(self._seen / name)

    def decode(self, request: Request) -> Outcome:
        """Have it decode what it was given into `out`, and end; return how it ended."""
        asked = {**asdict(request), "out": str(self._seen_out)}
        return watched(self._process, self.out, LIMITS, json.dumps(asked).encode())

    def close(self) -> None:
        """End it, and delete its folder."""
        self._stack.close()


class Decoders:
    """Decoders for those who look at files: ready ones, where they are kept.

    Parameters
    ----------
    folder : for the folders of the decoders
    """

    def __init__(self, settings: ServerSettings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder
        self._ready: list[Decoder] = []
        self._guard = threading.Lock()
        self._kept = 0
        self._closed = threading.Event()
        self._starting: Decoder | None = None
        # A process dies with the thread that started it: this one lives as long as the decoders.
        self._maker = ThreadPoolExecutor(1, thread_name_prefix="decoders")

    def keep_ready(self, number: int = KEPT_READY, *, after_s: float = START_S) -> None:
        """Keep some ready from now on; those that others left here when they died are deleted.

        Parameters
        ----------
        after_s : when the first is started, s: a server that begins has other things to do
        """
        for left in self._folder.glob(f"{PREFIX}*"):
            shutil.rmtree(left, ignore_errors=True)
        self._kept = number
        self.refill(after_s=after_s)

    def take(self) -> Decoder:
        """Return a decoder, a ready one if there is any; `close` it.

        Raises
        ------
        SandboxMissing
            When there is no bubblewrap, and packages are not trusted.
        """
        with self._guard:
            while self._ready:
                decoder = self._ready.pop()
                if decoder.is_alive:
                    return decoder
                decoder.close()
        return Decoder(self._settings, self._folder)

    def refill(self, *, after_s: float = REFILL_S) -> None:
        """Make ready what was taken, one after the other, beside what else happens."""
        if self._kept:
            with contextlib.suppress(RuntimeError):  # it is closed
                self._maker.submit(self._fill, after_s)

    def close(self) -> None:
        """End those that are ready."""
        self._kept = 0
        self._closed.set()
        with self._guard:
            if self._starting is not None:
                self._starting.close()
            for decoder in self._ready:
                decoder.close()
            self._ready.clear()
        self._maker.shutdown()

    def _fill(self, after_s: float) -> None:
        if self._closed.wait(after_s):
            return
        while len(self._ready) < self._kept:
            with self._guard:
                if not self._kept:
                    return
                try:
                    decoder = self._starting = Decoder(self._settings, self._folder)
                except (SandboxMissing, OSError):  # whoever looks at a file is told
                    return
            whole = decoder.wait_until_ready()
            with self._guard:
                self._starting = None
                if whole and self._kept:
                    self._ready.append(decoder)
                    continue
            decoder.close()
            if self._kept:
                logger.error("no process that decodes could be made ready; first looks start one")
            return
