"""The state of a training on disk: replaced as a whole, refused where it is another training's."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bl_steer.files.atomic import write_whole

__all__ = ["load_checkpoint", "save_checkpoint"]


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
    import torch

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
    import torch

    try:
        saved = torch.load(path, weights_only=True, map_location="cpu")
        found, state = saved["identity"], dict(saved["state"])
    except Exception as error:
        raise ValueError(
            f"a checkpoint must be sound, got {type(error).__name__} in {path}; delete it to train "
            "from the beginning"
        ) from error
    differing = sorted(_differing(found["settings"], identity["settings"]))
    if found["data"] != identity["data"]:
        differing.append("the pairs")
    if differing:
        raise ValueError(
            f"a training must resume with the settings that it began with, got a change of "
            f"{', '.join(differing)} for {path}; undo the change, or give another folder"
        )
    return state


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> set[str]:
    return {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}
