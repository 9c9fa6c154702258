"""What a reciprocal-space map can be told."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["RsmParams"]


class RsmParams(BaseModel):
    """What a reciprocal-space map can be told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cells: int | None = Field(
        None,
        ge=8,
        le=2000,
        description="Cells of the map along each axis; by default as many as its steps fill",
    )
    n_peaks: int = Field(5, ge=1, le=100, description="Peaks to list, the highest first")
    goniometer: Literal["auto", "omega-2theta", "four-circle", "4S+2D", "psic"] = Field(
        "auto", description="Circles and their axes; auto: by the circles that the file names"
    )
    energy_kev: float | None = Field(
        None,
        ge=0.1,
        le=500,
        description="Of the photons, keV, in place of what the file says",
    )
    angle_unit: Literal["deg", "rad"] = Field("deg", description="Of angles in the file")
    pixel_size_mm: float | None = Field(None, gt=0, description="Of an area or linear detector")
    distance_mm: float | None = Field(None, gt=0, description="From sample to detector")
    beam_row: float | None = Field(
        None, description="Pixel that the primary beam hits with the arm at zero"
    )
    beam_column: float | None = Field(None, description="As beam_row; a linear detector's channel")
    mask: str = Field(
        "",
        description="File of pixels that are not to be used, besides the mask in the scan's own: "
        "npy, npz, NeXus or an image of the frames' shape, where it is not 0",
    )
    directions: str = Field(
        "", description="Ways in which rows and columns count, e.g. z-,x+; the preset's by default"
    )
