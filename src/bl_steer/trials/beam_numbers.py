"""The numbers of a beam time to plan: what was given, what is assumed, and what contradicts.

What is made of them is in `bl_steer.trials.planning`.
"""

from __future__ import annotations

import math
from typing import Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from bl_steer.agents import Space
from bl_steer.protocols import Array

__all__ = ["BeamNumbers"]

UNITS = {"um": ("µm", 1.0), "mm": ("mm", 1e-3), "nm": ("nm", 1e3)}
"""How a unit of length is shown, and how many of it a µm is."""
LEAST_CELLS, MOST_CELLS, MOST_ON_GRID = 2, 1000, 100_000
USUAL_CELLS, PITCH_UM, WIDTH_UM, SPEED_UM_S = 31, 5.0, 20.0, 50.0
"""Assumed where nothing is said, as on the simulated beamline."""
LEAST_S = 0.01
AGREES = 0.01
"""Steps that the extent may differ by from what cells and pitch make of it."""


def _length(usual: str, what: str) -> Any:
    return Field(None, gt=0, allow_inf_nan=False, description=f"{what}; by default {usual}")


def _seconds(default: float, what: str) -> Any:
    return Field(default, ge=0, allow_inf_nan=False, description=f"{what}, s")


class BeamNumbers(BaseModel):
    """The numbers of a beam time; `complete` fills in what was not given, and refuses nonsense."""

    model_config = ConfigDict(frozen=True)

    unit: Literal["um", "mm", "nm"] = Field("um", description="of all lengths")
    grid: str | None = Field(
        None, description="cells along x and y, as 31x31 (so many where nothing else is given)"
    )
    pitch: str | None = Field(
        None, description="distance of the cells, one or as 5x2; by default 5 µm"
    )
    extent: str | None = Field(
        None,
        description="of the sample, one or as 150x80; cells follow from it and the pitch, or the "
        "pitch from it and the cells",
    )
    width: float | None = _length(
        "20 µm", "full width at half maximum of the narrowest hill that matters"
    )
    exposure_s: float = Field(
        10.0, gt=0, allow_inf_nan=False, description="exposure of a frame in full quality, s"
    )
    frames: int = Field(1, ge=1, le=100_000, description="frames of a point, as of a rocking scan")
    turn_s: float | None = Field(
        None,
        ge=0,
        allow_inf_nan=False,
        description="to turn the circle from frame to frame of a rocking scan, s; 0 for a sweep; "
        "by default as to settle",
    )
    count_rate: float = Field(
        100.0, gt=0, allow_inf_nan=False, description="counts/s of the target at its brightest"
    )
    least_s: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="shortest exposure of a frame, also in a series, s; by default .01",
    )
    speed: float | None = _length("50 µm/s", "of the stage, in the unit a second")
    settling_s: float = _seconds(0.9, "to settle after a move")
    readout_s: float = _seconds(0.2, "to read out a frame, or a series in flight")
    drift: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="of the sample, in the unit an hour"
    )
    hours: float = Field(8.0, gt=0, allow_inf_nan=False, description="hours of beam left")
    seed: int = Field(0, ge=0, description="of the simulated films")
    assumed: tuple[str, ...] = Field((), exclude=True, repr=False)
    """Names of what was not given, once complete."""

    @model_validator(mode="before")
    @classmethod
    def _numbers_as_text(cls, values: Any) -> Any:
        """Take numbers, and pairs of them, where text is asked for."""
        if not isinstance(values, dict):
            return values
        written = dict(values)
        for name in ("grid", "pitch", "extent"):
            value = written.get(name)
            if isinstance(value, int | float):
                written[name] = repr(value)
            elif isinstance(value, list | tuple):
                written[name] = "x".join(map(repr, value))
        return written

    def complete(self) -> Self:
        """Return the numbers with what was not given.

        Raises
        ------
        ValueError
            For numbers that make no grid, contradict each other, or are in unlike units.
        """
        symbol, per_um = UNITS[self.unit]
        shape, pitch, extent = self._layout(symbol, per_um)
        width = WIDTH_UM * per_um if self.width is None else self.width
        said = "" if self.width is not None else ", the default"
        if width < max(pitch):
            raise ValueError(
                f"width must be at least the pitch, {max(pitch):g} {symbol}, else hills lie "
                f"between cells, got {width:g} {symbol}{said}; give --width, a finer --pitch, or "
                "--unit"
            )
        if width > max(extent):
            raise ValueError(
                f"width must lie within the sample, {_by(extent)} {symbol}, got {width:g} {symbol}"
                f"{said}; give --width, a larger --extent, or --unit"
            )
        if math.prod(shape) > MOST_ON_GRID:
            raise ValueError(
                f"a grid must have at most {MOST_ON_GRID} cells, got {_by(shape)}; plan for a "
                "coarser --pitch, or a part of the sample"
            )
        least_s = min(LEAST_S, self.exposure_s) if self.least_s is None else self.least_s
        if least_s > self.exposure_s:
            raise ValueError(
                f"least_s must be at most exposure_s, {self.exposure_s:g} s, got {least_s:g} s; "
                "lower it, or expose longer"
            )
        given = self.model_fields_set
        # Of cells, pitch and extent one follows from the others.
        follows = "pitch" if {"grid", "extent"} <= given else "extent"
        follows = "grid" if "extent" in given and "grid" not in given else follows
        known = {"assumed", "seed", "unit", follows} | given
        assumed = [name for name in type(self).model_fields if name not in known]
        filled: dict[str, Any] = {
            "grid": _by(shape, "x"),
            "pitch": _by(pitch, "x"),
            "extent": _by(extent, "x"),
            "width": width,
            "turn_s": self.settling_s if self.turn_s is None else self.turn_s,
            "least_s": least_s,
            "speed": SPEED_UM_S * per_um if self.speed is None else self.speed,
            "assumed": tuple(assumed),
        }
        return self.model_copy(update=filled)

    def _layout(
        self, symbol: str, per_um: float
    ) -> tuple[tuple[int, int], tuple[float, float], tuple[float, float]]:
        """Return cells, pitch and extent along x and y."""
        shape, pitch, extent = self._shape(), _pair("pitch", self.pitch), self._extent()
        if pitch is None and (extent is None or shape is None):
            pitch = (PITCH_UM * per_um,) * 2
        if shape is None and extent is None:
            shape = (USUAL_CELLS, USUAL_CELLS)
        if shape is None and extent is not None and pitch is not None:
            counted = [1 + math.floor(e / p + AGREES) for e, p in zip(extent, pitch, strict=True)]
            shape = counted[0], counted[1]
            if not all(LEAST_CELLS <= n <= MOST_CELLS for n in shape):
                said = "" if self.pitch is not None else ", the default"
                raise ValueError(
                    f"extent over pitch must make {LEAST_CELLS} to {MOST_CELLS} cells along each "
                    f"axis, got {_by(extent)} over {_by(pitch)} {symbol}{said}; give another "
                    "--pitch, or --unit"
                )
        elif shape is not None and extent is not None:
            even = tuple(e / (n - 1) for e, n in zip(extent, shape, strict=True))
            pitch = pitch or (even[0], even[1])
            if not np.allclose(even, pitch, rtol=AGREES, atol=0.0):
                raise ValueError(
                    f"grid, pitch and extent must agree, got {_by(shape)} cells every {_by(pitch)} "
                    f"{symbol} on {_by(extent)} {symbol}; leave one of them out"
                )
        if shape is None or pitch is None:
            raise RuntimeError(f"a layout must have cells and pitch, got {shape} and {pitch}")
        covered = tuple(p * (n - 1) for p, n in zip(pitch, shape, strict=True))
        return shape, pitch, (covered[0], covered[1])

    def _shape(self) -> tuple[int, int] | None:
        if self.grid is None:
            return None
        parts = self.grid.lower().replace("×", "x").split("x")
        whole = len(parts) == 2 and all(p.strip().isdigit() for p in parts)
        if not whole or not all(LEAST_CELLS <= int(p) <= MOST_CELLS for p in parts):
            raise ValueError(
                f"grid must be cells along x and y, {LEAST_CELLS} to {MOST_CELLS} each, got "
                f"{self.grid!r}; try 31x31"
            )
        return int(parts[0]), int(parts[1])

    def _extent(self) -> tuple[float, float] | None:
        return _pair("extent", self.extent)

    @property
    def symbol(self) -> str:
        """How the unit of lengths is shown."""
        return UNITS[self.unit][0]

    @property
    def shape(self) -> tuple[int, int]:
        """Cells along x and y; of complete numbers."""
        nx, ny = str(self.grid).split("x")
        return int(nx), int(ny)

    @property
    def steps(self) -> Array:
        """Distance of the cells along x and y, shape (2,); of complete numbers."""
        return np.array([float(p) for p in str(self.pitch).split("x")])

    @property
    def space(self) -> Space:
        """The grid; of complete numbers."""
        x, y = (step * np.arange(n) for step, n in zip(self.steps, self.shape, strict=True))
        return Space.grid(x, y)

    @property
    def full_s(self) -> float:
        """Exposure of a point in full quality, s."""
        return self.exposure_s * self.frames

    @property
    def besides_s(self) -> float:
        """What the frames of a point take besides motion and exposure, s."""
        return self.readout_s * self.frames + float(self.turn_s or 0.0) * (self.frames - 1)

    def move_s(self, way: Any) -> Any:
        """Return what a move takes until the stage has settled, s.

        Parameters
        ----------
        way : of the slowest axis, in the unit
        """
        return way / float(self.speed or math.nan) + self.settling_s


def _pair(name: str, text: str | None) -> tuple[float, float] | None:
    """Return one length for both axes, or one for each."""
    if text is None:
        return None
    try:
        values = [float(part) for part in text.lower().replace("×", "x").split("x")]
    except ValueError:
        values = []
    if len(values) not in (1, 2) or not all(0.0 < v < math.inf for v in values):
        raise ValueError(
            f"{name} must be a length above 0, or one for x and one for y, got {text!r}; try "
            f"--{name} 5 or --{name} 5x2"
        )
    return values[0], values[-1]


def _by(values: Any, between: str = " × ") -> str:
    return between.join(f"{value:.10g}" for value in values)
