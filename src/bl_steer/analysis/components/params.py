"""What the factorisation of a map can be told."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator

from bl_steer.features import parse_reference

__all__ = ["ComponentParams"]


class ComponentParams(BaseModel):
    """What the factorisation of a map can be told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    n_components: int = Field(4, ge=1, le=32, description="Number of components K")
    seed: int = Field(0, ge=0, lt=2**32, description="Of the factorisation and the bootstrap")
    reference: str = Field(
        "",
        description="Names a component of interest as in the target nmf:K@REF, e.g. "
        "x=0.45,R=0.9,tilt=0; empty for none",
    )
    max_components: int = Field(
        0,
        ge=0,
        le=32,
        description="Compare 1 to so many components by count splitting; 0 to leave that out",
    )
    n_bootstrap: int = Field(
        1000, ge=100, le=100_000, description="Resamplings for the interval of each share"
    )

    @field_validator("reference")
    @classmethod
    def _is_reference(cls, text: str) -> str:
        return str(parse_reference(text.removeprefix("ref:"))) if text.strip() else ""
