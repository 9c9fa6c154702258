"""The phases that a micrograph is split into: their names and colours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

__all__ = ["FIBSEM_PHASES", "OPTICAL_PHASES", "UNLABELLED", "Phase", "Phases"]

UNLABELLED = 255
"""Label of pixels that nobody painted: training and scores leave them out."""

Colour = tuple[int, int, int]
"""Red, green, blue, each 0 … 255."""


@dataclass(frozen=True)
class Phase:
    """A phase and its two colours.

    Parameters
    ----------
    name : as it appears in tables
    paint : the colour in which an expert paints it; None for what is left unpainted
    show : its colour in figures, chosen to differ for colour-blind readers too
    """

    name: str
    paint: Colour | None
    show: Colour


@dataclass(frozen=True)
class Phases:
    """The phases of a material; the label of a phase is its index in the sequence.

    At most one phase may have no paint: then unpainted (grey) pixels belong to it. Otherwise they
    are `UNLABELLED`.
    """

    members: tuple[Phase, ...]

    def __post_init__(self) -> None:
        names = [phase.name for phase in self.members]
        paints = [phase.paint for phase in self.members]
        if not 2 <= len(names) < UNLABELLED:
            raise ValueError(
                f"phases must be 2 to {UNLABELLED - 1}, got {len(names)}: {names}; name each phase "
                "once"
            )
        if len(set(names)) < len(names) or len(set(paints)) < len(paints):
            raise ValueError(
                f"phases must differ in name and paint, got {names} painted {paints}; give each "
                "its own"
            )

    def __len__(self) -> int:
        return len(self.members)

    def __iter__(self) -> Iterator[Phase]:
        return iter(self.members)

    def __getitem__(self, label: int) -> Phase:
        return self.members[label]

    @property
    def names(self) -> tuple[str, ...]:
        """Names in the order of the labels."""
        return tuple(phase.name for phase in self.members)

    def bare_label(self, unpainted: str | None = None) -> int:
        """Return the label of what is left unpainted.

        Parameters
        ----------
        unpainted : a phase's name or ``unlabelled``; None for the phase without paint, if any

        Raises
        ------
        ValueError
            When there is no such phase.
        """
        if unpainted is None:
            bare = [label for label, phase in enumerate(self.members) if phase.paint is None]
            return bare[0] if bare else UNLABELLED
        if unpainted == "unlabelled":
            return UNLABELLED
        if unpainted not in self.names:
            raise ValueError(
                f"unpainted must be a phase ({', '.join(self.names)}) or unlabelled, got "
                f"{unpainted!r}; give one"
            )
        return self.names.index(unpainted)

    def to_list(self) -> list[dict[str, Any]]:
        """Return the phases as JSON-compatible data."""
        return [{"name": p.name, "paint": p.paint, "show": p.show} for p in self.members]

    @classmethod
    def from_list(cls, rows: Sequence[dict[str, Any]]) -> Self:
        """Restore what `to_list` returned."""
        return cls(
            tuple(
                Phase(row["name"], _colour(row["paint"]), _colour(row["show"]) or (0, 0, 0))
                for row in rows
            )
        )


def _colour(value: Sequence[int] | None) -> Colour | None:
    if value is None:
        return None
    red, green, blue = (int(channel) for channel in value)
    return red, green, blue


FIBSEM_PHASES = Phases(
    (
        Phase("oxide", (255, 0, 0), (213, 94, 0)),
        Phase("carbon", (255, 255, 0), (240, 228, 66)),
        Phase("void", (0, 128, 0), (0, 90, 115)),
    )
)
"""The battery electrode of the paper: painted red, yellow and green."""

OPTICAL_PHASES = Phases(
    (
        Phase("ferrite", (0, 0, 255), (86, 180, 233)),
        Phase("pearlite", (255, 0, 0), (120, 28, 60)),
        Phase("boundary", (255, 255, 0), (240, 228, 66)),
    )
)
"""An etched steel under the light microscope; the grain boundaries are a phase of their own."""
