"""A trained super-resolution: its stages, the values they work on, the card of the training."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bl_steer.analysis.grey_levels import less_mean, mean_and_deviation
from bl_steer.analysis.model_folder import described_by_card, hash_of, read_model, write_model
from bl_steer.analysis.superresolution.checks import check_labels, check_slices
from bl_steer.analysis.superresolution.network import SRRAM, make_network
from bl_steer.analysis.superresolution.training import StageTraining, TrainingSettings
from bl_steer.files.atomic import alone_in, made_folder
from bl_steer.protocols import Progress
from bl_steer.single_thread import single_thread

__all__ = ["Kind", "SuperResolutionModel", "train_model"]

Kind = Literal["grey", "labels"]
CLIP = (0.5, 99.5)
"""Percentiles between which mean and deviation are taken: charging must not set the scale."""


@dataclass(frozen=True)
class SuperResolutionModel:
    """Stages that have learnt from a stack, ready to insert planes between its slices.

    Parameters
    ----------
    stages : in evaluation, the coarsest first
    settings : of the training
    mean, deviation : of the grey levels; 0 and 1 for labels
    card : JSON-compatible: data, history, versions
    """

    stages: tuple[SRRAM, ...]
    settings: TrainingSettings
    mean: float = 0.0
    deviation: float = 1.0
    card: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n_values(self) -> int:
        """1 for grey levels, the number of phases for labels."""
        return self.stages[0].n_values

    @property
    def kind(self) -> Kind:
        """What the slices hold."""
        return "grey" if self.n_values == 1 else "labels"

    @property
    def factor(self) -> int:
        """Planes for each interval between two slices."""
        return self.settings.factor

    @property
    def weights_sha256(self) -> str:
        """Hash of the weights of all stages."""
        return hash_of(self._state())

    def values_of(self, slices: NDArray[Any]) -> NDArray[np.float32]:
        """Return slices (…) as the networks see them, (…, n_values)."""
        if self.kind == "labels":
            return shares_of(slices, self.n_values)
        return standardised(slices, self.mean, self.deviation)

    def _state(self) -> dict[str, Tensor]:
        return {
            f"stages.{number}.{key}": value
            for number, stage in enumerate(self.stages)
            for key, value in stage.state_dict().items()
        }

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``weights.safetensors`` and ``card.json`` into a folder, made if missing."""
        identity = {
            "model": "super-resolution",
            "kind": self.kind,
            "n_values": self.n_values,
            "settings": self.settings.model_dump(mode="json"),
            "mean": self.mean,
            "deviation": self.deviation,
            "weights_sha256": self.weights_sha256,
        }
        return write_model(folder, {**identity, **self.card}, self._state())

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        ModelError
            When a file is missing or damaged, or the weights are not those of the card.
        """
        path = Path(folder)
        card, state = read_model(path, train="superres train")
        with described_by_card(path):
            if card.get("model") != "super-resolution":
                raise ValueError(f"a card of {card.get('network', 'another model')}")
            return cls._from_parts(card, state)

    @classmethod
    def _from_parts(cls, card: dict[str, Any], state: dict[str, Tensor]) -> Self:
        settings = TrainingSettings.model_validate(card["settings"])
        stages = []
        # Not those of the settings: an earlier version trained one more for factors of 5, 9 and 10.
        for number in range(1 + max(int(key.split(".")[1]) for key in state)):
            stage = make_network(card["n_values"], settings.blocks, settings.channels, seed=0)
            prefix = f"stages.{number}."
            stage.load_state_dict(
                {key.removeprefix(prefix): v for key, v in state.items() if key.startswith(prefix)}
            )
            stages.append(stage.eval().requires_grad_(False))
        return cls(tuple(stages), settings, card["mean"], card["deviation"], card)


def train_model(
    slices: NDArray[Any],
    settings: TrainingSettings,
    *,
    n_phases: int | None = None,
    folder: str | os.PathLike[str] | None = None,
    voxel_nm: tuple[float, float, float] | None = None,
    progress: Progress | None = None,
) -> SuperResolutionModel:
    """Train a model on slices; take up an unfinished training of the same folder.

    Parameters
    ----------
    slices : (n_slices, H, W): grey levels, or labels 0 … n_phases-1
    n_phases : None for grey levels
    folder : where the checkpoint is, and the model is saved at the end; None writes nothing
    voxel_nm : of the slices, z, y, x, for the card

    Raises
    ------
    ValueError
        When the slices cannot be learnt from, or the folder holds another training's checkpoint.
    FileExistsError
        When another process trains in the folder.
    """
    check_slices(slices, n_phases)
    mean, deviation = (0.0, 1.0) if n_phases else _scale(slices)
    values = shares_of(slices, n_phases) if n_phases else standardised(slices, mean, deviation)
    path = None if folder is None else Path(folder)
    with made_folder(path), alone_in(path):
        with single_thread():
            training = StageTraining(settings, values, folder=folder)
            stages = training.run(progress)
        card = _card(training, slices, voxel_nm)
        model = SuperResolutionModel(tuple(stages), settings, mean, deviation, card)
        if folder is not None:
            model.save(folder)
    return model


def _card(
    training: StageTraining, slices: NDArray[Any], voxel_nm: tuple[float, float, float] | None
) -> dict[str, Any]:
    data: dict[str, Any] = {"n_slices": len(slices), "shape_px": list(slices.shape[1:])}
    if voxel_nm is not None:
        data["voxel_nm"] = list(voxel_nm)
    return {"history": training.history, "data": data, "versions": _versions()}


def shares_of(labels: NDArray[Any], n_phases: int) -> NDArray[np.float32]:
    """Return labels (…) as shares of the phases (…, n_phases): 1 for the voxel's own."""
    check_labels(labels, n_phases)  # numpy would count negative ones from the end
    return np.asarray(np.eye(n_phases, dtype=np.float32)[labels])


def standardised(slices: NDArray[Any], mean: float, deviation: float) -> NDArray[np.float32]:
    """Return grey levels (…) less their mean, in units of their deviation, (…, 1)."""
    return less_mean(slices, mean, deviation)[..., None]


def _scale(slices: NDArray[Any]) -> tuple[float, float]:
    """Return mean and deviation of the grey levels between two percentiles."""
    some = np.asarray(slices[:, ::2, ::2], np.float64)
    mean, deviation = mean_and_deviation(np.clip(some, *np.percentile(some, CLIP)))
    return mean, deviation or 1.0


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("bl-steer", "torch", "numpy")}
