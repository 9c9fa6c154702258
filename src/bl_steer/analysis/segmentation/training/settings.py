"""What determines a training besides the labelled micrographs; loads no torch.

`bl_steer.analysis.segmentation.training.loop` trains with it.
"""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from bl_steer.analysis.segmentation.networks import NETWORKS

__all__ = ["Augmentation", "TrainingSettings"]


class Augmentation(BaseModel):
    """How far training patches vary. Grey levels are in units of the micrograph's own deviation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    turn: bool = Field(
        default=True,
        description="quarter turns; off for samples where up and down differ from left and right, "
        "such as curtained cross-sections; none where the phases lie in layers",
    )
    flip: bool = Field(
        default=True,
        description="mirror images; where the phases lie in layers, none that exchanges them",
    )
    warp_share: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="share of patches turned by any angle and scaled; interpolation smooths their "
        "noise, which no real micrograph has",
    )
    scale: float = Field(default=0.2, ge=0, le=0.5, description="relative change of the pixel size")
    gain: float = Field(default=0.25, ge=0, le=0.9, description="relative change of the contrast")
    offset: float = Field(default=0.25, ge=0, description="change of the brightness, deviations")
    gamma: float = Field(
        default=0.2, ge=0, le=0.9, description="change of the exponent of grey levels"
    )
    noise: float = Field(default=0.2, ge=0, description="largest added noise, deviations")
    blur_px: float = Field(default=0.8, ge=0, description="largest added blur, sigma in pixels")
    shading: float = Field(
        default=0.3, ge=0, description="largest slow change over a patch, deviations"
    )
    foreshortened_share: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="share of patches whose rows are made fewer and stretched again, as those of a "
        "face that was seen at an angle",
    )


class TrainingSettings(BaseModel):
    """What a training is determined by, besides the labelled micrographs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: str = Field(default="unet", description=f"one of {', '.join(NETWORKS)}")
    widths: tuple[int, ...] | None = Field(
        default=None,
        description="channels of each level, the finest first; more levels see farther; of a "
        "forest, trees and leaves of each",
        json_schema_extra={"metavar": "N,N"},
    )
    steps: int = Field(default=600, ge=1, description="batches to train on in a round, at most")
    rounds: int = Field(
        default=3,
        ge=1,
        description="rounds at most: another, with larger patches, begins while the validation "
        "rises, or where a phase is hardly found",
    )
    batch: int = Field(default=6, ge=1, description="patches a step")
    patch_px: int = Field(
        default=128,
        ge=32,
        multiple_of=32,
        description="edge of a patch, px; larger ones show more of what surrounds a pixel",
    )
    learning_rate: float = Field(default=3e-3, gt=0, description="the largest of a round")
    weight_decay: float = Field(default=1e-3, ge=0)
    dice_share: float = Field(
        default=0.5, ge=0, le=1, description="of Dice in the loss, beside entropy"
    )
    boundary_weight: float = Field(
        default=0.0,
        ge=0,
        description="of phase fractions, boundary lengths and triple points in the loss; for exact "
        "labels, since paint has edges of its own, and for a training that goes on from a model",
    )
    boundary_persistence: float = Field(
        default=0.0,
        ge=0,
        description="by what part of a mean error of these the loss leans against it more, step by "
        "step, until none is left that is alike in all patches",
    )
    start_share: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="of the weights of the model that a training goes on from, in those that it "
        "ends with",
    )
    film_log_odds: tuple[float, ...] | None = Field(
        default=None,
        description="of each phase, what is added to the logarithm of its odds where two others "
        "meet: thin films between them are missed otherwise; for exact labels; by default that of "
        "the model that a training goes on from, none without one, or where it is empty",
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

    def for_epochs(self, epochs: float, n_pixels: int) -> Self:
        """Return settings whose rounds cover so many pixels of micrographs `epochs` times."""
        steps = max(1, round(epochs * n_pixels / (self.batch * self.patch_px**2)))
        return self.model_copy(update={"steps": steps, "evaluate_every": looks_every(steps)})


def looks_every(steps: int) -> int:
    """Return the steps between looks at the validation, for a round of so many steps."""
    return max(1, min(60, steps // 10))
