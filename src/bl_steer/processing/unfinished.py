"""Where a long analysis keeps what it has done, so that it goes on after its process was killed.

Who calls an analysis says in which folder; what the analysis keeps there has a name that follows
from all it was computed from.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from pathlib import Path
from tempfile import TemporaryDirectory

from bl_steer.files.atomic import alone_in

__all__ = ["kept_folder", "kept_path", "unfinished_in"]

_FOLDER: ContextVar[Path | None] = ContextVar("unfinished", default=None)


@contextmanager
def unfinished_in(folder: Path) -> Iterator[None]:
    """Have the analyses inside keep in a folder what they have done, until they end by themselves.

    It stays after a kill, Ctrl-C, and where there was no room.
    """
    token = _FOLDER.set(folder)
    try:
        yield
    except KeyboardInterrupt as stop:
        if str(stop) or not (folder.is_dir() and any(folder.iterdir())):
            raise
        raise KeyboardInterrupt(
            f"what is done so far is kept in {folder}; the same command goes on from there"
        ) from None
    except OSError:
        raise
    except Exception:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    else:
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        _FOLDER.reset(token)


def kept_path(name: str) -> Path | None:
    """Return where something of a name is kept, or to be kept; None where nobody keeps anything."""
    folder = _FOLDER.get()
    return None if folder is None else folder / name


@contextmanager
def kept_folder(name: str) -> Iterator[Path]:
    """Give a folder of this process alone: the one of a name that is kept, or a temporary one."""
    path = kept_path(name)
    with ExitStack() as stack:
        if path is not None:
            try:
                stack.enter_context(alone_in(path))
            except FileExistsError:  # another process does the same at this moment
                path = None
        yield path or Path(stack.enter_context(TemporaryDirectory(prefix="bl_steer-")))
