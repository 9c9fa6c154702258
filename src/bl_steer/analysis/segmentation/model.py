"""A trained model: network, weights, phases and the card that says where it comes from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch

from bl_steer.analysis.model_folder import (
    ModelError,
    described_by_card,
    hash_of,
    read_model,
    write_model,
)
from bl_steer.analysis.segmentation.networks import (
    CalibratedNetwork,
    SegmentationNetwork,
    build_network,
)
from bl_steer.analysis.segmentation.phases import Phases
from bl_steer.files.pixel_size import check_pixel_size

__all__ = ["LEAST_IOU", "ModelError", "SegmentationModel"]

LEAST_IOU = 0.3
"""Of a phase on the validation pairs: below it, more of what is shown is wrong than right."""


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
    def weak_phases(self) -> dict[str, float]:
        """Phases that it did not find in the validation pairs, with their overlap (IoU) there."""
        scored = (self.card.get("validation") or {}).get("iou", {})
        return {
            name: iou for name, (iou, *_) in scored.items() if iou is not None and iou < LEAST_IOU
        }

    @property
    def most_views(self) -> int:
        """Views of the test-time augmentation that leave the layers it has learnt in their order.

        The second is mirrored left to right; those after it turn up and down round.
        """
        across: int | None = self.card.get("layers_across")
        return 8 if across is None else 2 - across

    @property
    def weights_sha256(self) -> str:
        """Hash of the weights: names, types, shapes and values."""
        return hash_of(self.network.state_dict())

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``weights.safetensors`` and ``card.json`` into a folder, created if missing."""
        identity = self._identity()
        return write_model(folder, {**identity, **self.card, **identity}, self.network.state_dict())

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
        card, state = read_model(path, train="segment train")
        with described_by_card(path):
            phases = Phases.from_list(card["phases"])
            network = build_network(card["network"], len(phases), widths=card["widths"])
            if card.get("calibrated", False):
                network = CalibratedNetwork(network, len(phases))
            network.load_state_dict(state)
            check_pixel_size(card["pixel_size_nm"])
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
