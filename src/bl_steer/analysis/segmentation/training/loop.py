"""Train a network from labelled micrographs: repeatable, resumable at any moment.

Everything random follows from the seed and the number of the step, so that a training that was
killed and resumed ends with the same weights, bit for bit on one machine.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bl_steer.analysis.segmentation.model import LEAST_IOU, SegmentationModel, uncorrected
from bl_steer.analysis.segmentation.networks import (
    NETWORKS,
    SegmentationNetwork,
    build_network,
)
from bl_steer.analysis.segmentation.passes import ONE_PASS
from bl_steer.analysis.segmentation.phases import Phases
from bl_steer.analysis.segmentation.scores import confusion, iou
from bl_steer.analysis.segmentation.shading import even_levels
from bl_steer.analysis.segmentation.tiles import iterate_tiles, standardise
from bl_steer.analysis.segmentation.training.augmentation import PatchSampler
from bl_steer.analysis.segmentation.training.checkpoint import load_checkpoint, save_checkpoint
from bl_steer.analysis.segmentation.training.loss import SegmentationLoss, count_labels
from bl_steer.analysis.segmentation.training.pairs import Labelled
from bl_steer.analysis.segmentation.training.settings import TrainingSettings
from bl_steer.analysis.torch_device import computing_device
from bl_steer.protocols import Progress

__all__ = ["Training", "check_pairs"]

MAX_GRADIENT = 5.0
SAVE_EVERY_S = 5.0
LARGER_PATCH_PX = 256
"""Edge of the patches from the second round on, where micrographs are as large: the phases that
are not found in the first are often told by what is farther away."""
RISE = 0.005
"""Gain in mean IoU over the last quarter of a round, from which another one is worth its time."""


class Training:
    """One training, step by step.

    Parameters
    ----------
    settings : all that determines it
    phases : of the labels
    train : micrographs with labels
    validation : the weights with the best mean intersection over union on these are used
    folder : for the checkpoint; an earlier one there is resumed; None saves none
    start : a trained model of the same network and phases, whose weights are trained further; where
        boundaries count, with its statistics of normalisation, as it will be used. Where it removes
        shading before it segments, it goes on to do so with its present weights (`quick_look`), and
        those that are trained see micrographs without

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
        check_pairs(phases, train, validation)
        self.settings, self.phases = settings, phases
        self.step = 0
        self.history: list[dict[str, float]] = []
        """A row for each evaluation on the validation pairs: ``step``, ``loss``, ``miou``, and
        ``least``, the intersection over union of the phase that is found least."""
        self._device = computing_device()
        torch.manual_seed(settings.seed)
        # Built on the processor, so that a seed gives the same start everywhere.
        self._network = self._build().to(self._device)
        if start is not None:
            self._network.load_state_dict(_weights_of(start, settings, phases))
        # Where patches are normalised by themselves, edges are some per cent longer than in use.
        self._normalises = start is None or not settings.boundary_weight
        self._averaged = self._build().eval().to(self._device)
        self._averaged.load_state_dict(self._network.state_dict())
        self._optimiser = torch.optim.AdamW(
            self._network.parameters(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
        )
        self.quick_look = None if start is None else _quick_look(start, settings)
        """The network that removes shading before the one that is trained; None for none."""
        self._train = [(self._seen(image), labels) for image, labels in train]
        self.validation = [(self._seen(image), labels) for image, labels in validation]
        """The validation pairs as the network sees them."""
        self._sampler = self._sampler_of(0)
        self._loss_of = SegmentationLoss(
            settings, [labels for _, labels in train], len(phases), self._device
        )
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
        """Whether no round is due any more, or the validation has not got better for long enough.

        A round begins with a high learning rate again, at which scores fall before they rise: only
        in the first is patience lost, and not while a phase is hardly found.
        """
        rounds, within = divmod(self.step, self.settings.steps)
        if rounds and not within:
            return rounds >= self.settings.rounds or not (self.rising or self._weak)
        scores = [row["miou"] for row in self.history]
        since_best = len(scores) - 1 - int(np.argmax(scores)) if scores else 0
        return not rounds and since_best >= self.settings.patience and not self._weak

    @property
    def rising(self) -> bool:
        """Whether the validation still got better in the last quarter of a round."""
        before = self.step - self.settings.steps / 4
        early = [row["miou"] for row in self.history if row["step"] <= before]
        late = [row["miou"] for row in self.history if row["step"] > before]
        return bool(early and late) and max(late) > max(early) + RISE

    @property
    def _weak(self) -> bool:
        """Whether a phase is hardly found: what surrounds it, in larger patches, may tell it."""
        best = max(self.history, key=lambda row: row["miou"])
        return best.get("least", 1.0) < LEAST_IOU

    def run(self, progress: Progress | None = None) -> SegmentationNetwork:
        """Train to the end; return the network with the weights that scored best."""
        while not self.finished:
            total = (self.step // self.settings.steps + 1) * self.settings.steps
            self.advance()
            if progress is not None:
                progress(self.step, total)
        self._averaged.load_state_dict(self._best)
        return self._averaged.to("cpu")

    def advance(self) -> None:
        """Take one step, with an evaluation and a checkpoint when they are due."""
        number = self.step // self.settings.steps
        if self._sampler.patch_px != self._patches(number)[0]:
            self._sampler = self._sampler_of(number)
        self._descend(*self._sampler(self.step))
        self.step += 1
        self._average()
        due = 0 in (self.step % self.settings.evaluate_every, self.step % self.settings.steps)
        if due:
            self._evaluate()
        if due or time.monotonic() - self._saved_at > SAVE_EVERY_S:
            self.save()

    def save(self) -> None:
        """Write the checkpoint, if there is a folder for it."""
        if self._checkpoint is not None:
            save_checkpoint(self._checkpoint, self._identity, self._state())
            self._saved_at = time.monotonic()

    def _build(self) -> SegmentationNetwork:
        network = build_network(
            self.settings.network, len(self.phases), widths=self.settings.widths
        )
        # torch's stubs have no overload of `to` with a memory format alone.
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def _patches(self, number: int) -> tuple[int, int]:
        """Return edge and count of the patches of a round: after the first larger and fewer."""
        edge, batch = self.settings.patch_px, self.settings.batch
        room = max(min(image.shape) for image, _ in self._train)
        larger = min(2 * edge, LARGER_PATCH_PX, room // 32 * 32)
        if not number or larger <= edge:
            return edge, batch
        return larger, max(min(2, batch), round(batch * (edge / larger) ** 2))

    def _sampler_of(self, number: int) -> PatchSampler:
        s = self.settings
        patch_px, batch = self._patches(number)
        return PatchSampler(
            [image for image, _ in self._train],
            [labels for _, labels in self._train],
            n_phases=len(self.phases),
            patch_px=patch_px,
            batch=batch,
            augmentation=s.augmentation,
            rare_share=s.rare_share,
            seed=s.seed,
        )

    def _seen(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """Return an image as the network sees it: standardised, and without shading."""
        grey = standardise(image)
        if self.quick_look is None:
            return grey
        return even_levels(self.quick_look, grey, len(self.phases), ONE_PASS)

    def _descend(self, images: NDArray[np.float32], labels: NDArray[np.uint8]) -> None:
        for group in self._optimiser.param_groups:
            group["lr"] = self.settings.learning_rate * _schedule(self.step, self.settings.steps)
        x = torch.from_numpy(images).contiguous(memory_format=torch.channels_last)
        truth = torch.from_numpy(labels.astype(np.int64)).to(self._device)
        logits = self._network.train(self._normalises)(x.to(self._device))
        loss = self._loss_of(logits, truth)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), MAX_GRADIENT)
        self._optimiser.step()
        self._loss = float(loss.detach())

    def _average(self) -> None:
        """Let the averaged weights follow; early on they follow at once."""
        # A running mean: over few steps the start weights would weigh too much.
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
            for image, labels in self.validation
        )
        found = iou(np.asarray(counts))
        miou = float(np.nanmean(found))
        if not self.history or miou > max(row["miou"] for row in self.history):
            self._best = {k: v.clone() for k, v in self._averaged.state_dict().items()}
        least = float(np.nanmin(found))
        row = {"step": self.step, "loss": self._loss, "miou": miou, "least": least}
        self.history.append(row)

    def _labels_of(self, image: NDArray[np.float32]) -> NDArray[np.uint8]:
        labels = np.empty(image.shape, np.uint8)
        for window, probability in iterate_tiles(self._averaged, image):
            labels[window] = probability.argmax(axis=0)
        return labels

    def _state(self) -> dict[str, Any]:
        boundaries = self._loss_of.boundaries
        return {
            "step": self.step,
            "history": self.history,
            "loss": self._loss,
            "network": self._network.state_dict(),
            "averaged": self._averaged.state_dict(),
            "best": self._best,
            "optimiser": self._optimiser.state_dict(),
            "multipliers": None if boundaries is None else boundaries.multipliers,
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self.step, self.history, self._loss = state["step"], state["history"], state["loss"]
        self._network.load_state_dict(state["network"])
        self._averaged.load_state_dict(state["averaged"])
        self._best = state["best"]
        self._optimiser.load_state_dict(state["optimiser"])
        if self._loss_of.boundaries is not None:
            self._loss_of.boundaries.multipliers = state["multipliers"]


def _weights_of(
    start: SegmentationModel, settings: TrainingSettings, phases: Phases
) -> dict[str, Tensor]:
    """Return the weights to begin with, without a correction by earlier validation pairs."""
    expected = settings.network, tuple(settings.widths or NETWORKS[settings.network]), phases.names
    if (start.name, start.widths, start.phases.names) != expected:
        raise ValueError(
            f"a model must have the network and phases of its training to be trained further, got "
            f"{start.name} {start.widths} of {', '.join(start.phases.names)}; set network and "
            "widths to these"
        )
    return uncorrected(start.network).state_dict()


def _quick_look(start: SegmentationModel, settings: TrainingSettings) -> SegmentationNetwork | None:
    """Return what goes on to remove shading while the weights of a model are trained further."""
    if start.quick_look is None and start.even_levels and settings.boundary_weight:
        # Boundaries are learnt where labels are drawn, without shading, which is forgotten there.
        return uncorrected(start.network)
    return start.quick_look


def _schedule(step: int, steps: int) -> float:
    """Return the share of the learning rate: up over a twentieth of a round, down as a cosine.

    Each round repeats it (I. Loshchilov and F. Hutter, 2017, "SGDR", arXiv:1608.03983).
    """
    step %= steps
    rise = min(1.0, (step + 1) / max(1, steps // 20))
    return float(rise * (0.5 + 0.5 * np.cos(np.pi * step / steps)) + 1e-3)


def check_pairs(phases: Phases, train: Sequence[Labelled], validation: Sequence[Labelled]) -> None:
    """Raise `ValueError` where pairs do not suffice to train and to validate on."""
    if not train or not validation:
        raise ValueError(
            f"a training must have pairs to train and to validate on, got {len(train)} and "
            f"{len(validation)}; label at least two samples"
        )
    counts = count_labels([labels for _, labels in train], len(phases))
    missing = [phase.name for phase, n in zip(phases, counts, strict=True) if n == 0]
    if missing:
        raise ValueError(
            f"every phase must be painted in the training pairs, got no pixel of "
            f"{', '.join(missing)}; paint it, or leave it out of the phases, which "
            "numbers in masks count from 0"
        )


def _hash(pairs: Sequence[Labelled]) -> str:
    digest = hashlib.sha256()
    for image, labels in pairs:
        for array in (image, labels):
            digest.update(f"{array.dtype} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
