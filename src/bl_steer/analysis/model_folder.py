"""A trained model in a folder: its weights, and the card that says what they are."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from bl_steer.files.atomic import draft_of

__all__ = ["ModelError", "described_by_card", "hash_of", "read_model", "write_model"]

WEIGHTS_FILE = "weights.safetensors"
CARD_FILE = "card.json"


class ModelError(ValueError):
    """A model's folder cannot be read; the message names the file and the remedy."""


def write_model(
    folder: str | os.PathLike[str], card: Mapping[str, Any], state: Mapping[str, Tensor]
) -> Path:
    """Write ``weights.safetensors`` and ``card.json`` into a folder, made if missing."""
    path = Path(folder)
    text = json.dumps(card, indent=2, ensure_ascii=False)
    with draft_of(path / CARD_FILE) as drafted, draft_of(path / WEIGHTS_FILE) as weights:
        # Both are complete before either is renamed, so that they belong together.
        weights.write_bytes(save({key: value.contiguous() for key, value in state.items()}))
        drafted.write_text(text + "\n", encoding="utf-8")
    return path


def read_model(path: Path, *, train: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return card and weights of a folder.

    Parameters
    ----------
    train : the command that trains such a model

    Raises
    ------
    ModelError
        When a file is missing or damaged, or the weights are not those of the card.
    """
    try:
        card = dict(json.loads((path / CARD_FILE).read_text()))
        state = load_file(path / WEIGHTS_FILE)
    except FileNotFoundError as error:
        raise ModelError(
            f"a model must be a folder with {WEIGHTS_FILE} and {CARD_FILE}, got {path}; train "
            f"one with 'bl-steer {train}'"
        ) from error
    except (OSError, TypeError, ValueError, SafetensorError) as error:
        raise ModelError(
            f"a model's files must be sound, got {error} in {path}; copy or train it again"
        ) from error
    if hash_of(state) != card.get("weights_sha256"):
        raise ModelError(
            f"a model's weights must be those of its card, got others in {path}; copy or train "
            "it again"
        )
    return card, state


@contextmanager
def described_by_card(path: Path) -> Iterator[None]:
    """Raise `ModelError` where a card does not tell how to make a network for its weights."""
    try:
        yield
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"a model's card must describe its weights, got {reason!r} in {path}; copy or "
            "train it again"
        ) from error


def hash_of(state: Mapping[str, Tensor]) -> str:
    """Return the sha256 of a network's state, whatever the order of its parts."""
    digest = hashlib.sha256()
    for key in sorted(state):
        value = state[key].detach().cpu().contiguous()
        digest.update(f"{key} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()
