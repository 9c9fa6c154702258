"""What the analysis of a film can be told."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator

from bl_steer.analysis.film.written import (
    assumed_from_text,
    peaks_from_text,
    reflections_from_text,
    written_assumptions,
    written_peaks,
)

__all__ = ["FilmParams"]


class FilmParams(BaseModel):
    """What the analysis of a film can be told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hkl: str = Field(
        "0,2,2",
        description="Reflection of each map, parted by semicolons; 0,2,2;0,-2,2 is one and the "
        "same with the sample turned by 180°",
    )
    peaks: str = Field(
        "",
        description="Where the film's peaks are about, e.g. x=0.18;x=0.45,R=0.9; empty: where they "
        "stand out of the mean pattern",
    )
    substrate: bool = Field(
        True, description="The substrate's peak is in the map: fit it, and align on it"
    )
    assume: str = Field(
        "",
        description="What is known beforehand, e.g. R=0.9+-0.05 or tilt=0; empty: R=0.9+-0.05 "
        "where the reflections do not tell, else nothing",
    )
    significance: float = Field(
        7.0,
        ge=3.0,
        description="Counts of a peak over their error, below which nothing is said of the film",
    )

    @field_validator("hkl")
    @classmethod
    def _are_reflections(cls, text: str) -> str:
        reflections_from_text(text)
        return text.replace(" ", "")

    @field_validator("peaks")
    @classmethod
    def _are_peaks(cls, text: str) -> str:
        return written_peaks(peaks_from_text(text))

    @field_validator("assume")
    @classmethod
    def _are_assumptions(cls, text: str) -> str:
        return written_assumptions(assumed_from_text(text))
