"""Train the stages of a super-resolution from the slices of the user's own stack.

No other data are needed. Everything random follows from the seed, the stage and the number of the
step, so that a training that was killed and resumed ends with the same weights, bit for bit on one
machine.
"""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional

from bl_steer.analysis.segmentation.training.checkpoint import load_checkpoint, save_checkpoint
from bl_steer.analysis.superresolution.decimation import Decimation, LessonSampler
from bl_steer.analysis.superresolution.effort import n_doublings
from bl_steer.analysis.superresolution.network import SRRAM, make_network
from bl_steer.analysis.superresolution.sections import insert_rows
from bl_steer.analysis.torch_device import computing_device
from bl_steer.protocols import Progress

__all__ = ["StageTraining", "TrainingSettings"]

MAX_GRADIENT = 5.0
SAVE_EVERY_S = 10.0
HUBER = 0.5
"""Deviations of the grey levels up to which errors count by their square.

L1, the published loss, asks for the median. Where an edge may lie to one side or the other, the
mean of both has the smaller square error.
"""
LOSS_SPAN = 25
"""Steps that a row of the history averages over."""


class TrainingSettings(BaseModel):
    """What a training is determined by, besides the slices."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    factor: int = Field(default=8, ge=2, le=16, description="planes for each slice, about")
    decimation: Decimation = Decimation()
    blocks: int = Field(default=4, ge=1, description="RAM blocks of each stage")
    channels: int = Field(default=24, ge=4)
    steps: int = Field(
        default=300, ge=1, description="of each stage; the first takes twice as many"
    )
    batch: int = Field(default=6, ge=1, description="lessons a step")
    rows: int = Field(default=21, ge=4, description="rows of a lesson that a stage starts from")
    columns: int = Field(default=64, ge=16, description="columns of a lesson")
    learning_rate: float = Field(default=3e-3, gt=0)
    averaging: float = Field(
        default=0.98, ge=0, lt=1, description="of the weights, from step to step"
    )
    seed: int = Field(default=0, ge=0)

    @property
    def n_stages(self) -> int:
        """Doublings of the slices."""
        return n_doublings(self.factor)

    def at_twice_the_pitch(self) -> TrainingSettings:
        """Return how one stage is trained that halves a distance of two pitches."""
        known = self.decimation
        twice = Decimation.model_validate({**known.model_dump(), "pitch_px": 2 * known.pitch_px})
        return self.model_copy(update={"factor": 2, "decimation": twice})


class StageTraining:
    """The training of all stages, step by step, the coarsest stage first.

    Parameters
    ----------
    settings : all that determines it
    slices : (n_slices, H, W, n_values), f32: standardised grey levels, or shares of the phases
    folder : for the checkpoint, where an earlier one is taken up again; None keeps none

    Raises
    ------
    ValueError
        When the slices are too small, or the checkpoint is that of another training.

    Notes
    -----
    Stage k learns to halve the distance pitch / 2^k. Its lessons are what the stages before it
    make of the measured rows, so that it learns to work on their output and not on the truth. It
    starts from the weights of the stage before: structures look much alike at half the scale.
    The loss is Huber's for grey levels, cross-entropy for phases.
    """

    def __init__(
        self,
        settings: TrainingSettings,
        slices: NDArray[np.float32],
        *,
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        self.settings = settings
        self.stages: list[SRRAM] = []
        """Finished ones."""
        self.step = 0
        """Of the stage in training."""
        self.history: list[dict[str, float]] = []
        """Rows of ``stage``, ``step``, ``loss`` and ``loss_between``, that of the mean of the rows
        around."""
        self._slices = slices
        self._checkpoint = None if folder is None else Path(folder) / "checkpoint.pt"
        self._identity = {
            "settings": settings.model_dump(mode="json"),
            "data": _hash(slices),
        }
        self._losses: list[Tensor] = []
        self._start_stage()
        self._saved_at = time.monotonic()
        if self._checkpoint is not None and self._checkpoint.exists():
            self._restore(load_checkpoint(self._checkpoint, self._identity))

    @property
    def finished(self) -> bool:
        """Whether all stages are trained."""
        return len(self.stages) == self.settings.n_stages

    @property
    def n_steps(self) -> int:
        """Steps of all stages together."""
        return self.settings.steps * (self.settings.n_stages + 1)

    @property
    def n_done(self) -> int:
        """Steps done so far."""
        before = sum(self._steps_of(k) for k in range(len(self.stages)))
        return before if self.finished else before + self.step

    def run(self, progress: Progress | None = None) -> list[SRRAM]:
        """Train to the end; return the stages."""
        while not self.finished:
            self.advance()
            if progress is not None:
                progress(self.n_done, self.n_steps)
        return self.stages

    def advance(self) -> None:
        """Make one step, with a checkpoint when it is due."""
        lessons = self._sampler(len(self.stages), self.step)
        self._descend(lessons.measured, lessons.between)
        self.step += 1
        self._average()
        if self.step % LOSS_SPAN == 0 or self.step == self._steps_of(len(self.stages)):
            self._note()
        if self.step == self._steps_of(len(self.stages)):
            self.stages.append(self._averaged.cpu().eval().requires_grad_(False))
            if not self.finished:
                self._start_stage()
            self.save()
        elif time.monotonic() - self._saved_at > SAVE_EVERY_S:
            self.save()

    def save(self) -> None:
        """Write the checkpoint, if there is a folder for it."""
        if self._checkpoint is not None:
            save_checkpoint(self._checkpoint, self._identity, self._state())
            self._saved_at = time.monotonic()

    def _steps_of(self, stage: int) -> int:
        return self.settings.steps * (2 if stage == 0 else 1)

    def _start_stage(self) -> None:
        s, stage = self.settings, len(self.stages)
        self.step = 0
        self._network, self._averaged = self._build(), self._build()
        if self.stages:
            self._network.load_state_dict(self.stages[-1].state_dict())
            self._averaged.load_state_dict(self.stages[-1].state_dict())
        self._optimiser = torch.optim.Adam(self._network.parameters(), lr=s.learning_rate)
        self._sampler = LessonSampler(
            self._slices,
            s.decimation,
            # Not fewer than the stages before need around them to work as they do on a stack.
            n_rows=max((s.rows - 1) // 2**stage + 1, 9),
            n_columns=s.columns,
            batch=s.batch,
            seed=s.seed,
        )

    def _build(self) -> SRRAM:
        s = self.settings
        network = make_network(self._slices.shape[3], s.blocks, s.channels, seed=s.seed)
        return network.to(computing_device())

    def _descend(self, measured: NDArray[np.float32], between: NDArray[np.float32]) -> None:
        stage = len(self.stages)
        rate = self.settings.learning_rate * _schedule(self.step, self._steps_of(stage))
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        x = torch.from_numpy(insert_rows(self.stages, measured))
        x, truth = self._cropped(x, torch.from_numpy(between))
        x, truth = (part.to(computing_device()) for part in (x, truth))
        x = x.contiguous(memory_format=torch.channels_last)
        loss = _loss(self._network(x), truth)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), MAX_GRADIENT)
        self._optimiser.step()
        with torch.inference_mode():
            start = _loss(self._network.between(x), truth)
            # Read at the end of a span: a GPU works on while the next lessons are prepared.
            self._losses.append(torch.stack([loss.detach(), start]))

    def _cropped(self, x: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """Return as many rows as a lesson has, from a row that the step determines."""
        extra = x.shape[2] - self.settings.rows
        # The stages before have doubled the rows, so that a lesson of a late stage has more than it
        # needs: all of them would only take longer.
        if extra <= 0:
            return x, truth
        rng = np.random.default_rng((self.settings.seed, len(self.stages), self.step, 1))
        top = int(rng.integers(extra + 1))
        last = top + self.settings.rows
        return x[:, :, top:last], truth[:, :, top : last - 1]

    def _average(self) -> None:
        """Let the averaged weights follow; early on they follow at once."""
        # A fixed weight would keep some of the untrained start for a few hundred steps.
        keep = min(self.settings.averaging, self.step / (self.step + 10))
        latest = self._network.state_dict()
        with torch.no_grad():
            for key, value in self._averaged.state_dict().items():
                value.lerp_(latest[key], 1 - keep)

    def _note(self) -> None:
        loss, start = np.mean([pair.tolist() for pair in self._losses], axis=0)
        self.history.append(
            {
                "stage": len(self.stages),
                "step": self.step,
                "loss": float(loss),
                "loss_between": float(start),
            }
        )
        self._losses = []

    def _state(self) -> dict[str, Any]:
        return {
            "stages": [stage.state_dict() for stage in self.stages],
            "step": self.step,
            "history": self.history,
            "losses": [pair.tolist() for pair in self._losses],
            "network": self._network.state_dict(),
            "averaged": self._averaged.state_dict(),
            "optimiser": self._optimiser.state_dict(),
        }

    def _restore(self, state: dict[str, Any]) -> None:
        for weights in state["stages"]:
            stage = self._build().cpu().eval().requires_grad_(False)
            stage.load_state_dict(weights)
            self.stages.append(stage)
        if not self.finished:
            self._start_stage()
            self._network.load_state_dict(state["network"])
            self._averaged.load_state_dict(state["averaged"])
            self._optimiser.load_state_dict(state["optimiser"])
        self.step, self.history = state["step"], state["history"]
        self._losses = [torch.tensor(pair, dtype=torch.float64) for pair in state["losses"]]


def _loss(answer: Tensor, truth: Tensor) -> Tensor:
    """Return Huber's loss of grey levels (one value), or the cross-entropy of shares of phases."""
    if truth.shape[1] == 1:
        return functional.smooth_l1_loss(answer, truth, beta=HUBER)
    return functional.cross_entropy(answer, truth)


def _schedule(step: int, steps: int) -> float:
    """Return the share of the learning rate: up over a twentieth of the steps, down as a cosine."""
    rise = min(1.0, (step + 1) / max(1, steps // 20))
    return float(rise * (0.5 + 0.5 * np.cos(np.pi * step / steps)) + 1e-3)


def _hash(slices: NDArray[np.float32]) -> str:
    digest = hashlib.sha256(f"{slices.dtype} {slices.shape}\n".encode())
    for plane in slices:
        digest.update(np.ascontiguousarray(plane).tobytes())
    return digest.hexdigest()
