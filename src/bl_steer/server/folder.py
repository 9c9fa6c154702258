"""The folder of a server: for the eyes of its owner alone, and one server at a time in it."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bl_steer.files.atomic import UnwritableError, alone_in, made_folder
from bl_steer.server.settings import ServerSettings

__all__ = ["PARTS", "alone", "make_private"]

PARTS = ("web", "worker", "keeper")


def make_private(folder: Path) -> None:
    """Make a folder if missing, for the eyes of its owner alone."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
    except OSError as error:
        raise UnwritableError.at(folder, error) from error


@contextmanager
def alone(settings: ServerSettings, parts: Sequence[str]) -> Iterator[None]:
    """Keep the parts in the folder for this process; other machines may run the same parts.

    The folder is made if missing, for the eyes of its owner alone.
    """
    machine = socket.gethostname()[:60]
    with ExitStack() as locks:
        locks.enter_context(made_folder(settings.folder))
        make_private(settings.folder)
        for part in sorted(set(parts)):
            folder = settings.folder / "locks" / f"{machine}-{part}"
            try:
                locks.enter_context(made_folder(folder))
                locks.enter_context(alone_in(folder))
            except FileExistsError as error:
                raise FileExistsError(
                    f"a server must have a folder of its own, got {settings.folder}, where a "
                    f"server is at work already with its part {part!r}; end that one, or give "
                    "another --folder"
                ) from error
        yield
