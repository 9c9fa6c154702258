"""What a mask holds, once decoded, and what its user should know of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.segmentation.phases import UNLABELLED, Colour, Phases

__all__ = ["DecodedMask", "MaskReport", "UnknownColour", "decoded", "paints_of"]

Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class UnknownColour:
    """A colour that is no phase's paint."""

    colour: Colour
    share: float
    """Of the mask's pixels, 0 … 1."""
    position: tuple[int, int]
    """Row and column of one such pixel."""
    nearest: str
    """The phase whose paint comes closest."""

    def __str__(self) -> str:
        row, column = self.position
        return (
            f"{self.colour} in {self.share:.2%} of the pixels, such as row {row}, column {column} "
            f"(nearest is the paint of {self.nearest})"
        )


@dataclass(frozen=True)
class MaskReport:
    """The contents of a mask; shares are of all its pixels, 0 … 1."""

    shares: Mapping[str, float]
    """By phase."""
    unlabelled: float
    smeared: float
    """Edge pixels that took the label of their nearest certain neighbour."""
    unknown: tuple[UnknownColour, ...]
    notes: tuple[str, ...]
    """For the user, one sentence each."""
    first: int | None = None
    """The number of the first phase, 0 or 1, where a mask's own numbers told it; else None."""

    @property
    def missing(self) -> tuple[str, ...]:
        """Phases without a pixel."""
        return tuple(name for name, share in self.shares.items() if share == 0)


@dataclass(frozen=True)
class DecodedMask:
    """Labels of shape (H, W), `UNLABELLED` where nobody can tell, and the contents of the mask."""

    labels: Labels
    report: MaskReport


def decoded(
    labels: Labels,
    phases: Phases,
    told: Sequence[str],
    *,
    smeared: float = 0.0,
    unknown: tuple[UnknownColour, ...] = (),
    first: int | None = None,
) -> DecodedMask:
    """Return labels with their report.

    Raises
    ------
    ValueError
        If nothing is labelled.
    """
    unlabelled = float(np.mean(labels == UNLABELLED))
    if unlabelled == 1.0:
        raise ValueError(f"mask must be painted, got no pixel of {paints_of(phases)}; paint some")
    shares = {name: float(np.mean(labels == label)) for label, name in enumerate(phases.names)}
    notes = [
        *told,
        *(f"No pixel is labelled {name}." for name, share in shares.items() if share == 0),
    ]
    notes += [f"Unknown colour {colour}: left unlabelled." for colour in unknown]
    if unlabelled > 0.5:
        notes.append(f"{unlabelled:.0%} of the pixels are unlabelled.")
    if not told and set(np.unique(labels)) == {0, UNLABELLED}:
        notes.append("Only 0 and 255 occur: 255 is read as unlabelled; write 1 for a second phase.")
    report = MaskReport(shares, unlabelled, smeared, unknown, tuple(notes), first)
    return DecodedMask(labels, report)


def paints_of(phases: Phases) -> str:
    """Return in words which paint is whose."""
    return ", ".join(f"{p.paint} for {p.name}" for p in phases if p.paint is not None)
