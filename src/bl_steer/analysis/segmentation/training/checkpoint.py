"""The state of a training on disk: replaced in one step, refused where it is another training's."""

from __future__ import annotations

import errno
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from bl_steer.files.atomic import UnwritableError, write_whole

__all__ = ["load_checkpoint", "resumable", "save_checkpoint"]

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def save_checkpoint(path: Path, identity: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Write a checkpoint; a crash leaves the old one or the new one, never half of either.

    Parameters
    ----------
    identity : settings and hash of the data, JSON-compatible; `load_checkpoint` compares them
    state : tensors, numbers and text

    Raises
    ------
    UnwritableError
        When it cannot be written; the old one is as it was.
    """
    # In memory first: torch turns a full disk into errors of its own, without a path.
    written = io.BytesIO()
    torch.save({"identity": dict(identity), "state": dict(state)}, written)
    write_whole(path, written.getbuffer())


def load_checkpoint(path: Path, identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state of a checkpoint.

    Raises
    ------
    ValueError
        When the file is damaged, or belongs to a training with other settings or data.
    """
    try:
        saved = torch.load(path, weights_only=True, map_location="cpu")
        earlier, state = saved["identity"], dict(saved["state"])
    except Exception as error:
        raise ValueError(
            f"a checkpoint must be sound, got {type(error).__name__} in {path}; delete it to train "
            "from the beginning"
        ) from error
    differing = sorted(_differing(earlier["settings"], identity["settings"]))
    if earlier["data"] != identity["data"]:
        differing.append("the pairs")
    if differing:
        raise ValueError(
            f"a training must resume with the settings that it began with, got a change of "
            f"{', '.join(differing)} for {path}; undo the change, or give another folder"
        )
    return state


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> set[str]:
    return {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}


@contextmanager
def resumable(out: Path, name: str, work: str) -> Iterator[None]:
    """Have Ctrl-C say what of the work is saved in `out`, and a full disk where it is.

    Parameters
    ----------
    name : of what is saved in `out`; may be a pattern
    work : in words, for the message
    """
    try:
        yield
    except KeyboardInterrupt:
        if any(out.glob(name)):
            message = f"the {work} so far is in {out / name}; the same command goes on from there"
        else:
            message = f"nothing of the {work} is in {out} yet; the same command begins again"
        raise KeyboardInterrupt(message) from None
    except OSError as error:
        if error.errno not in DISK_FULL:  # it says where and what to do already, or was reading
            raise
        raise UnwritableError.at(out / name, error) from error
