"""A trained model: network, weights, phases and the card that says where it comes from."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from bl_steer.analysis.segmentation.networks import (
    CalibratedNetwork,
    SegmentationNetwork,
    build_network,
)
from bl_steer.analysis.segmentation.phases import Phases
from bl_steer.files.atomic import draft_of
from bl_steer.files.pixel_size import check_pixel_size

__all__ = ["ModelError", "SegmentationModel"]

WEIGHTS_FILE = "weights.safetensors"
CARD_FILE = "card.json"


class ModelError(ValueError):
    """A model's folder cannot be read; the message names the file and the remedy."""


@dataclass(frozen=True)
class SegmentationModel:
    """A network with its weights, ready to segment, and what a user must know of it.

    Parameters
    ----------
    network : in evaluation
    name, widths : arguments of `build_network`
    phases : the label of a phase is its index
    pixel_size_nm : of the training micrographs as the network saw them; None where not known
    card : JSON-compatible: data, acquisition metadata, metrics, versions and hashes
    even_levels : whether it segments better once slow changes of brightness are removed
    """

    network: SegmentationNetwork
    name: str
    widths: tuple[int, ...]
    phases: Phases
    pixel_size_nm: float | None = None
    card: Mapping[str, Any] = field(default_factory=dict)
    even_levels: bool = False

    @property
    def calibrated(self) -> bool:
        """Whether its probabilities are corrected by the validation pairs."""
        return isinstance(self.network, CalibratedNetwork)

    @property
    def weights_sha256(self) -> str:
        """Hash of the weights: names, types, shapes and values."""
        return hash_of(self.network.state_dict())

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``weights.safetensors`` and ``card.json`` into a folder, created if missing."""
        path = Path(folder)
        state = {key: value.contiguous() for key, value in self.network.state_dict().items()}
        identity = self._identity()
        text = json.dumps({**identity, **self.card, **identity}, indent=2, ensure_ascii=False)
        with draft_of(path / CARD_FILE) as card, draft_of(path / WEIGHTS_FILE) as weights:
            # Both are complete before either is renamed, so that they belong together.
            weights.write_bytes(save(state))
            card.write_text(text + "\n", encoding="utf-8")
        return path

    def _identity(self) -> dict[str, Any]:
        return {
            "network": self.name,
            "widths": list(self.widths),
            "calibrated": self.calibrated,
            "even_levels": self.even_levels,
            "phases": self.phases.to_list(),
            "pixel_size_nm": self.pixel_size_nm,
            "weights_sha256": self.weights_sha256,
        }

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        ModelError
            When a file is missing or damaged, or the weights are not those of the card.
        """
        path = Path(folder)
        try:
            card = json.loads((path / CARD_FILE).read_text())
            state = load_file(path / WEIGHTS_FILE)
        except FileNotFoundError as error:
            raise ModelError(
                f"a model must be a folder with {WEIGHTS_FILE} and {CARD_FILE}, got {path}; train "
                "one with 'bl-steer segment train'"
            ) from error
        except (OSError, ValueError, SafetensorError) as error:
            raise ModelError(
                f"a model's files must be sound, got {error} in {path}; copy or train it again"
            ) from error
        return cls._from_parts(path, card, state)

    @classmethod
    def _from_parts(cls, path: Path, card: dict[str, Any], state: dict[str, Tensor]) -> Self:
        try:
            phases = Phases.from_list(card["phases"])
            network = build_network(card["network"], len(phases), widths=card["widths"])
            if card.get("calibrated", False):
                network = CalibratedNetwork(network, len(phases))
            network.load_state_dict(state)
            check_pixel_size(card["pixel_size_nm"])
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ModelError(
                f"a model's card must describe its weights, got {reason!r} in {path}; copy or "
                "train it again"
            ) from error
        if hash_of(state) != card.get("weights_sha256"):
            raise ModelError(
                f"a model's weights must be those of its card, got others in {path}; copy or train "
                "it again"
            )
        return cls(
            network=prepared(network),
            name=card["network"],
            widths=tuple(card["widths"]),
            phases=phases,
            pixel_size_nm=card["pixel_size_nm"],
            card=card,
            even_levels=bool(card.get("even_levels", False)),
        )


def prepared(network: SegmentationNetwork) -> SegmentationNetwork:
    """Return a network in evaluation, laid out as the processor likes it."""
    # Channels last halves the time of a convolution on one core; torch's stubs have no overload
    # of `to` with a memory format alone.
    network.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def hash_of(state: Mapping[str, Tensor]) -> str:
    """Return the sha256 of a network's state, whatever the order of its parts."""
    digest = hashlib.sha256()
    for key in sorted(state):
        value = state[key].detach().cpu().contiguous()
        digest.update(f"{key} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()
