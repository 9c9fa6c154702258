"""Train a network from labelled micrographs: repeatable, resumable at any moment.

Everything random follows from the seed and the number of the step, so that a training that was
killed and resumed ends with the same weights, bit for bit on one machine.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from bl_steer.analysis.segmentation.networks import NETWORKS, build_network
from bl_steer.analysis.segmentation.phases import UNLABELLED, Phases
from bl_steer.analysis.segmentation.scores import confusion, iou
from bl_steer.analysis.segmentation.tiles import iterate_tiles, standardise
from bl_steer.analysis.segmentation.training.augmentation import Augmentation, PatchSampler
from bl_steer.analysis.segmentation.training.checkpoint import load_checkpoint, save_checkpoint
from bl_steer.analysis.torch_device import computing_device
from bl_steer.protocols import Progress

if TYPE_CHECKING:
    from torch import Tensor

    from bl_steer.analysis.segmentation.model import SegmentationModel
    from bl_steer.analysis.segmentation.networks.layers import SegmentationNetwork

__all__ = ["Labelled", "Training", "TrainingSettings"]

Labelled = tuple[NDArray[Any], NDArray[np.uint8]]
"""A micrograph (H, W) and its labels (H, W)."""

MAX_GRADIENT = 5.0
WEIGHT_RANGE = (0.5, 3.0)
"""Of a phase in the entropy. Weights in full proportion to rarity paint rare phases too large."""
SAVE_EVERY_S = 5.0


class TrainingSettings(BaseModel):
    """What a training is determined by, besides the labelled micrographs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: str = Field(default="segnet", description=f"one of {', '.join(NETWORKS)}")
    widths: tuple[int, ...] | None = Field(default=None, description="channels of each level")
    steps: int = Field(default=600, ge=1, description="batches to train on, at most")
    batch: int = Field(default=6, ge=1, description="patches a step")
    patch_px: int = Field(default=128, ge=32, multiple_of=32)
    learning_rate: float = Field(default=3e-3, gt=0)
    weight_decay: float = Field(default=1e-3, ge=0)
    dice_share: float = Field(
        default=0.5, ge=0, le=1, description="of Dice in the loss, beside entropy"
    )
    averaging: float = Field(
        default=0.98, ge=0, lt=1, description="of the weights, from step to step"
    )
    evaluate_every: int = Field(
        default=60, ge=1, description="steps between looks at the validation"
    )
    patience: int = Field(
        default=6, ge=1, description="looks without a better score before it stops"
    )
    rarity_power: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="weight of a phase in the entropy: its rarity to this power",
    )
    rare_share: float = Field(
        default=0.5, ge=0, le=1, description="share of patches centred on a phase drawn evenly"
    )
    calibrate: bool = Field(
        default=True, description="correct the probabilities by the validation pairs at the end"
    )
    seed: int = Field(default=0, ge=0)
    augmentation: Augmentation = Augmentation()


class Training:
    """One training, step by step.

    Parameters
    ----------
    settings : all that determines it
    phases : of the labels
    train : micrographs with labels
    validation : the weights with the best mean intersection over union on these are kept
    folder : for the checkpoint, where an earlier one is taken up again; None keeps none
    start : a trained model of the same network and phases, whose weights are trained further

    Raises
    ------
    ValueError
        When a phase has no pixel in `train`, `start` is another network or of other phases, or the
        checkpoint is that of another training.
    """

    def __init__(
        self,
        settings: TrainingSettings,
        phases: Phases,
        train: Sequence[Labelled],
        validation: Sequence[Labelled],
        *,
        folder: str | os.PathLike[str] | None = None,
        start: SegmentationModel | None = None,
    ) -> None:
        import torch

        _check(phases, train, validation)
        self.settings, self.phases = settings, phases
        self.step = 0
        self.history: list[dict[str, float]] = []
        """A row for each look at the validation: ``step``, ``loss``, ``miou``."""
        self._device = computing_device()
        torch.manual_seed(settings.seed)
        # Made on the processor, so that a seed gives the same start everywhere.
        self._network = self._build().to(self._device)
        if start is not None:
            self._network.load_state_dict(_weights_of(start, settings, phases))
        self._averaged = self._build().eval().to(self._device)
        self._averaged.load_state_dict(self._network.state_dict())
        self._optimiser = torch.optim.AdamW(
            self._network.parameters(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
        )
        self._sampler = self._make_sampler(train)
        self._validation = [(standardise(image), labels) for image, labels in validation]
        self._weights = torch.from_numpy(
            class_weights([one for _, one in train], len(phases), power=settings.rarity_power)
        ).to(self._device)
        self._best: dict[str, Tensor] = {}
        self._loss = 0.0
        self._checkpoint = None if folder is None else Path(folder) / "checkpoint.pt"
        self._identity = {
            "settings": {
                **settings.model_dump(mode="json"),
                **({} if start is None else {"start": start.weights_sha256}),
            },
            "data": _hash([*train, *validation]),
        }
        self._saved_at = time.monotonic()
        if self._checkpoint is not None and self._checkpoint.exists():
            self._restore(load_checkpoint(self._checkpoint, self._identity))

    @property
    def finished(self) -> bool:
        """Whether all steps are done, or the validation has not got better for long enough."""
        scores = [row["miou"] for row in self.history]
        looks_since = len(scores) - 1 - int(np.argmax(scores)) if scores else 0
        return self.step >= self.settings.steps or looks_since >= self.settings.patience

    def run(self, progress: Progress | None = None) -> SegmentationNetwork:
        """Train to the end; return the network with the weights that scored best."""
        while not self.finished:
            self.advance()
            if progress is not None:
                progress(self.step, self.settings.steps)
        self._averaged.load_state_dict(self._best)
        return self._averaged.to("cpu")

    def advance(self) -> None:
        """Make one step, with a look at the validation and a checkpoint when they are due."""
        images, labels = self._sampler(self.step)
        self._descend(images, labels)
        self.step += 1
        self._average()
        looked = self.step % self.settings.evaluate_every == 0 or self.step == self.settings.steps
        if looked:
            self._evaluate()
        if looked or time.monotonic() - self._saved_at > SAVE_EVERY_S:
            self.save()

    def save(self) -> None:
        """Write the checkpoint, if there is a folder for it."""
        if self._checkpoint is not None:
            save_checkpoint(self._checkpoint, self._identity, self._state())
            self._saved_at = time.monotonic()

    def _build(self) -> SegmentationNetwork:
        import torch

        network = build_network(
            self.settings.network, len(self.phases), widths=self.settings.widths
        )
        # torch's stubs have no overload of `to` with a memory format alone.
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def _make_sampler(self, train: Sequence[Labelled]) -> PatchSampler:
        s = self.settings
        return PatchSampler(
            [standardise(image) for image, _ in train],
            [labels for _, labels in train],
            n_phases=len(self.phases),
            patch_px=s.patch_px,
            batch=s.batch,
            augmentation=s.augmentation,
            rare_share=s.rare_share,
            seed=s.seed,
        )

    def _descend(self, images: NDArray[np.float32], labels: NDArray[np.uint8]) -> None:
        import torch

        for group in self._optimiser.param_groups:
            group["lr"] = self.settings.learning_rate * _schedule(self.step, self.settings.steps)
        x = torch.from_numpy(images).contiguous(memory_format=torch.channels_last)
        truth = torch.from_numpy(labels.astype(np.int64)).to(self._device)
        loss = self._loss_of(self._network.train()(x.to(self._device)), truth)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), MAX_GRADIENT)
        self._optimiser.step()
        self._loss = float(loss.detach())

    def _loss_of(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return entropy and Dice together; unlabelled pixels count in neither."""
        from monai.losses.dice import MaskedDiceLoss
        from torch.nn import functional

        entropy = functional.cross_entropy(
            logits, labels, weight=self._weights, ignore_index=UNLABELLED
        )
        known = (labels != UNLABELLED)[:, None].float()
        target = functional.one_hot(labels.clamp(max=len(self.phases) - 1), len(self.phases))
        dice = MaskedDiceLoss(softmax=True, batch=True)
        overlap: Tensor = dice(logits, target.movedim(-1, 1).float(), known)
        share = self.settings.dice_share
        return (1 - share) * entropy + share * overlap

    def _average(self) -> None:
        """Let the averaged weights follow; early on they follow at once."""
        import torch

        keep = min(self.settings.averaging, self.step / (self.step + 10))
        latest = self._network.state_dict()
        with torch.no_grad():
            for key, value in self._averaged.state_dict().items():
                if value.is_floating_point():
                    value.lerp_(latest[key], 1 - keep)
                else:
                    value.copy_(latest[key])

    def _evaluate(self) -> None:
        counts = sum(
            confusion(labels, self._labels_of(image), len(self.phases))
            for image, labels in self._validation
        )
        miou = float(np.nanmean(iou(np.asarray(counts))))
        if not self.history or miou > max(row["miou"] for row in self.history):
            self._best = {k: v.clone() for k, v in self._averaged.state_dict().items()}
        self.history.append({"step": self.step, "loss": self._loss, "miou": miou})

    def _labels_of(self, image: NDArray[np.float32]) -> NDArray[np.uint8]:
        labels = np.empty(image.shape, np.uint8)
        for place, probability in iterate_tiles(self._averaged, image):
            labels[place] = probability.argmax(axis=0)
        return labels

    def _state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "history": self.history,
            "loss": self._loss,
            "network": self._network.state_dict(),
            "averaged": self._averaged.state_dict(),
            "best": self._best,
            "optimiser": self._optimiser.state_dict(),
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self.step, self.history, self._loss = state["step"], state["history"], state["loss"]
        self._network.load_state_dict(state["network"])
        self._averaged.load_state_dict(state["averaged"])
        self._best = state["best"]
        self._optimiser.load_state_dict(state["optimiser"])


def _weights_of(
    start: SegmentationModel, settings: TrainingSettings, phases: Phases
) -> dict[str, Tensor]:
    """Return the weights to begin with, without a correction by earlier validation pairs."""
    own = settings.network, tuple(settings.widths or NETWORKS[settings.network]), phases.names
    if (start.name, start.widths, start.phases.names) != own:
        raise ValueError(
            f"a model must have the network and phases of its training to be trained further, got "
            f"{start.name} {start.widths} of {', '.join(start.phases.names)}; set network and "
            "widths to these"
        )
    from bl_steer.analysis.segmentation.training.calibration import CalibratedNetwork

    network = start.network
    return (network.network if isinstance(network, CalibratedNetwork) else network).state_dict()


def class_weights(
    labels: Sequence[NDArray[np.uint8]], n_phases: int, *, power: float
) -> NDArray[np.float32]:
    """Return the weight of each phase in the entropy: its rarity to a power, within limits."""
    counts = _counts(labels, n_phases)
    rarity = counts.sum() / n_phases / np.maximum(counts, 1)
    return np.asarray(np.clip(rarity**power, *WEIGHT_RANGE), np.float32)


def _counts(labels: Sequence[NDArray[np.uint8]], n_phases: int) -> NDArray[np.int64]:
    counts = np.zeros(256, np.int64)
    for one in labels:
        counts += np.bincount(one.ravel(), minlength=256)
    return counts[:n_phases]


def _schedule(step: int, steps: int) -> float:
    """Return the share of the learning rate: up over a twentieth of the steps, down as a cosine."""
    rise = min(1.0, (step + 1) / max(1, steps // 20))
    return float(rise * (0.5 + 0.5 * np.cos(np.pi * step / steps)) + 1e-3)


def _check(phases: Phases, train: Sequence[Labelled], validation: Sequence[Labelled]) -> None:
    if not train or not validation:
        raise ValueError(
            f"a training must have pairs to train and to validate on, got {len(train)} and "
            f"{len(validation)}; label at least two samples"
        )
    counts = _counts([labels for _, labels in train], len(phases))
    missing = [phase.name for phase, n in zip(phases, counts, strict=True) if n == 0]
    if missing:
        raise ValueError(
            f"every phase must be painted in the training pairs, got no pixel of "
            f"{', '.join(missing)}; paint it, or leave it out of the phases"
        )


def _hash(pairs: Sequence[Labelled]) -> str:
    import hashlib

    digest = hashlib.sha256()
    for image, labels in pairs:
        for array in (image, labels):
            digest.update(f"{array.dtype} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
