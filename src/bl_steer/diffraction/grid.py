"""Even cells in reciprocal space, in which `bl_steer.diffraction.gridded` gathers pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bl_steer.diffraction.axes import FrameAxes
from bl_steer.diffraction.detector import check_keys
from bl_steer.protocols import Array

__all__ = ["QGrid"]

IN_PLANE = ("length", "along")


@dataclass(frozen=True)
class QGrid:
    """A grid over (q_par, q_perp), or over three components of q.

    Parameters
    ----------
    q_par, q_perp : (first centre, last centre, number of cells), 1/Å; q_perp is along the surface
        normal
    q_across : likewise, for a grid in three dimensions: along the surface, at right angles to the
        goniometer's `in_plane`; None for two
    in_plane : what q_par is in two dimensions: ``"length"``, the length of the part of q along the
        surface, with the sign of its component along the goniometer's `in_plane` (a turn about the
        normal leaves it as it is); or ``"along"``, this component itself (for symmetric
        reflections, at q_par = 0). In three dimensions it is always the component.

    Raises
    ------
    ValueError
        When an axis does not rise, or has fewer than two cells.

    Examples
    --------
    >>> grid = QGrid((2.24, 2.345, 33), (2.24, 2.345, 33))
    >>> grid.shape, grid.n_cells
    ((33, 33), 1089)
    """

    q_par: tuple[float, float, int]
    q_perp: tuple[float, float, int]
    q_across: tuple[float, float, int] | None = None
    in_plane: str = "length"

    def __post_init__(self) -> None:
        for name in ("q_par", "q_perp", "q_across"):
            axis = getattr(self, name)
            if axis is None and name == "q_across":
                continue
            values = tuple(axis) if isinstance(axis, list | tuple) else ()
            if (
                len(values) != 3
                or not np.isfinite(values).all()
                or values[1] <= values[0]
                or values[2] != int(values[2])
                or values[2] < 2
            ):
                raise ValueError(
                    f"{name} must be the first centre, a greater last one, and a number of cells "
                    f"of at least 2, got {axis!r}; for example (2.24, 2.345, 33) in 1/Å"
                )
            object.__setattr__(self, name, (float(values[0]), float(values[1]), int(values[2])))
        if self.in_plane not in IN_PLANE:
            raise ValueError(
                f"in_plane must be one of {', '.join(IN_PLANE)}, got {self.in_plane!r}; 'length' "
                "keeps q_par when the sample turns about its normal"
            )

    @property
    def spans(self) -> tuple[tuple[float, float, int], ...]:
        """The axes, slowest first: q_perp, q_across where there is one, q_par."""
        middle = () if self.q_across is None else (self.q_across,)
        return (self.q_perp, *middle, self.q_par)

    @property
    def centres(self) -> tuple[Array, ...]:
        """Centres of the cells along each of `spans`, 1/Å."""
        return tuple(np.linspace(*span) for span in self.spans)

    @property
    def shape(self) -> tuple[int, ...]:
        """Cells along each of `spans`."""
        return tuple(n for _, _, n in self.spans)

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return int(np.prod(self.shape))

    @property
    def axes(self) -> FrameAxes:
        """The axes of a map in two dimensions, to which a target refers.

        Raises
        ------
        ValueError
            When the grid has three.
        """
        if self.q_across is not None:
            raise ValueError(
                f"a target must have a map in two dimensions, got a grid of {self.shape}; leave "
                "out q_across"
            )
        q_perp, q_par = self.centres
        return FrameAxes(q_par, q_perp)

    def cells(
        self, along: Array, across: Array, normal: Array
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return which pixels lie in the grid, and in which cells.

        Parameters
        ----------
        along, across, normal : shape (n,), components of q, 1/Å, from `Goniometer.components`

        Returns
        -------
        pixels, cells : shape (n_inside,), indices of the pixels, and of the cells in row order

        Notes
        -----
        All cells are equally wide: they reach half a step beyond the first and last centre.
        """
        inside = self._steps(normal, self.q_perp)[1].nonzero()[0]
        along, across, normal = along[inside], across[inside], normal[inside]
        values = [normal, along]
        if self.q_across is not None:
            values = [normal, across, along]
        elif self.in_plane == "length":
            values[1] = np.copysign(np.sqrt(along * along + across * across), along)
        total = np.zeros(len(inside), dtype=np.intp)
        within = np.ones(len(inside), dtype=bool)
        for value, span in zip(values, self.spans, strict=True):
            steps, lies_in = self._steps(value, span)
            within &= lies_in
            total *= span[2]
            total += steps.astype(np.intp)
        return inside[within], total[within]

    @staticmethod
    def _steps(value: Array, span: tuple[float, float, int]) -> tuple[Array, NDArray[np.bool_]]:
        """Return the distance from the axis' lower edge in cells, and whether it lies within."""
        first, last, n = span
        step = (last - first) / (n - 1)
        steps = (value - (first - 0.5 * step)) / step
        return steps, (steps >= 0.0) & (steps < n)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-compatible data."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the grid of `to_dict`."""
        check_keys(data, cls, "a grid")
        return cls(**data)
