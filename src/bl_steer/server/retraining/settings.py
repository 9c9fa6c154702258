"""When and how models are retrained: ``BL_STEER_SERVICE_RETRAIN_EVERY_DAYS`` and so on."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["RetrainingSettings"]


class RetrainingSettings(BaseSettings):
    """All that an operator can set about retraining."""

    model_config = SettingsConfigDict(env_prefix="BL_STEER_SERVICE_RETRAIN_", frozen=True)

    every_days: float = Field(default=0.0, ge=0.0)
    """Shortest time between retrainings that begin by themselves, days; 0 for none of these."""
    new_pairs: int = Field(default=8, ge=1)
    """Pairs that must have come since the last snapshot for one to begin by itself."""
    package: str = "segment-retrained"
    """Name of the packages that candidates become."""
    champion: str = "fibsem"
    """The shipped model to begin with, while no such package is released."""
    steps: int = Field(default=600, ge=1)
    batch: int = Field(default=4, ge=1)
    patch_px: int = Field(default=128, ge=32, multiple_of=32)
    learning_rate: float = Field(default=1e-3, gt=0.0)
    """A third of a first training's: the weights are good already."""
    time_s: float = Field(default=6 * 3600.0, gt=0.0)
    memory_mib: int = Field(default=8192, ge=64)
    hold_out_share: float = Field(default=0.2, gt=0.0, lt=0.5)
    """Of the samples: they never train, and are what champion and candidate are held against."""
    validation_share: float = Field(default=0.2, gt=0.0, lt=0.5)
