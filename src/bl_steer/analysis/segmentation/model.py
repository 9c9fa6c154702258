"""A trained model: network, weights, phases and the card that says where it comes from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from bl_steer.analysis.model_folder import (
    ModelError,
    described_by_card,
    hash_of,
    read_model,
    write_model,
)
from bl_steer.analysis.segmentation.networks import (
    CalibratedNetwork,
    FilmNetwork,
    SegmentationNetwork,
    build_network,
)
from bl_steer.analysis.segmentation.phases import Phases
from bl_steer.files.pixel_size import check_pixel_size

__all__ = ["LEAST_IOU", "ModelError", "SegmentationModel"]

QUICK_LOOK = "quick_look."
"""Before the names of its weights, where a model has a network of its own for the first pass."""
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
    quick_look : another network of the same build, that tells these changes where `network` was
        trained without them; None where `network` tells them itself
    """

    network: SegmentationNetwork
    name: str
    widths: tuple[int, ...]
    phases: Phases
    pixel_size_nm: float | None = None
    card: Mapping[str, Any] = field(default_factory=dict)
    even_levels: bool = False
    quick_look: SegmentationNetwork | None = None

    @property
    def first_network(self) -> SegmentationNetwork:
        """The network of the first pass, by which changes of brightness are removed."""
        return self.network if self.quick_look is None else self.quick_look

    @property
    def calibrated(self) -> bool:
        """Whether its probabilities are corrected by the validation pairs."""
        network = self.network.network if self.finds_films else self.network
        return isinstance(network, CalibratedNetwork)

    @property
    def finds_films(self) -> bool:
        """Whether a phase is more probable where two others meet (`FilmNetwork`)."""
        return isinstance(self.network, FilmNetwork)

    @property
    def film_log_odds(self) -> tuple[float, ...]:
        """What is added to the logarithm of each phase's odds there; empty where nothing is."""
        network = self.network
        # Single precision, as it is stored: .8 and not .800000012.
        return (
            tuple(float(f"{odds:g}") for odds in network.log_odds.tolist())
            if isinstance(network, FilmNetwork)
            else ()
        )

    @property
    def weak_phases(self) -> dict[str, float]:
        """Phases that it did not find in the validation or test pairs, with their lower IoU there.

        IoU is the intersection of what model and masks call so, over their union.
        """
        weak: dict[str, float] = {}
        for part in ("validation", "test"):
            for name, (iou, *_) in ((self.card.get(part) or {}).get("iou") or {}).items():
                if iou is not None and iou < LEAST_IOU:
                    weak[name] = min(iou, weak.get(name, iou))
        return weak

    @property
    def most_views(self) -> int:
        """Views of the test-time augmentation that leave the layers it has learnt in their order.

        The second is mirrored left to right; those after it turn up and down round.
        """
        across: int | None = self.card.get("layers_across")
        return 8 if across is None else 2 - across

    @property
    def weights_sha256(self) -> str:
        """Hash of the weights of all its networks: names, types, shapes and values."""
        return hash_of(self._state())

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``weights.safetensors`` and ``card.json`` into a folder, created if missing."""
        identity = self._identity()
        return write_model(folder, {**identity, **self.card, **identity}, self._state())

    def _state(self) -> dict[str, Tensor]:
        state = dict(self.network.state_dict())
        if self.quick_look is not None:
            looks = self.quick_look.state_dict()
            state |= {f"{QUICK_LOOK}{key}": value for key, value in looks.items()}
        return state

    def _identity(self) -> dict[str, Any]:
        return {
            "network": self.name,
            "widths": list(self.widths),
            "calibrated": self.calibrated,
            "finds_films": self.finds_films,
            "even_levels": self.even_levels,
            "quick_look": self.quick_look is not None,
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
            quick_look = None
            if card.get("quick_look", False):
                own = [key for key in state if key.startswith(QUICK_LOOK)]
                looks = {key.removeprefix(QUICK_LOOK): state.pop(key) for key in own}
                quick_look = build_network(card["network"], len(phases), widths=card["widths"])
                quick_look.load_state_dict(looks)
            network = build_network(card["network"], len(phases), widths=card["widths"])
            if card.get("calibrated", False):
                network = CalibratedNetwork(network, len(phases))
            if card.get("finds_films", False):
                network = FilmNetwork(network, [0.0] * len(phases))
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
            quick_look=None if quick_look is None else prepared(quick_look),
        )


def uncorrected(network: SegmentationNetwork) -> SegmentationNetwork:
    """Return a network as it was trained, without what corrects its probabilities afterwards."""
    while isinstance(network, CalibratedNetwork | FilmNetwork):
        network = network.network
    return network


def prepared(network: SegmentationNetwork) -> SegmentationNetwork:
    """Return a network in evaluation, laid out as the processor likes it."""
    # Channels last halves the time of a convolution on one core; torch's stubs have no overload
    # of `to` with a memory format alone.
    network.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network
