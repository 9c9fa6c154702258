"""From the angles of a goniometer to reciprocal space: circles, beam and detector as data.

`bl_steer.diffraction.directions` says which way the axes run, `bl_steer.diffraction.presets` has
the usual goniometers, `bl_steer.diffraction.gridded` makes maps of frames with them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from bl_steer.canonical import canonical_json
from bl_steer.diffraction.detector import Detector, check_keys
from bl_steer.diffraction.directions import Direction, rotations, unit_vector
from bl_steer.protocols import Array

__all__ = ["HC_KEV_ANGSTROM", "Circle", "Goniometer"]

HC_KEV_ANGSTROM = 12.398419843320026
"""h·c, keV Å: exact in the SI of 2019."""


@dataclass(frozen=True)
class Circle:
    """A circle that turns the sample or the detector.

    Parameters
    ----------
    name : such as ``"mu"``
    axis : it turns right-handed about, such as ``"x+"``
    zero_deg : reading at which it stands at zero, degrees
    """

    name: str
    axis: Direction
    zero_deg: float = 0.0

    def __post_init__(self) -> None:
        unit_vector(self.axis, f"the axis of the circle {self.name!r}")
        if not np.isfinite(self.zero_deg):
            raise ValueError(
                f"zero_deg of the circle {self.name!r} must be finite, got {self.zero_deg}; give "
                "degrees"
            )


@dataclass(frozen=True)
class Goniometer:
    """Circles, beam and detector: what makes a momentum transfer of angles and pixels.

    Parameters
    ----------
    sample : circles that turn the sample, outermost first
    arm : circles that turn the detector, outermost first
    energy_kev : of the photons
    detector : with the arm at zero
    beam : direction of the primary beam
    normal : surface normal in the sample's frame
    in_plane : direction along the surface, in the sample's frame, that q_par is counted along; its
        part along the normal is left out
    rocked : circle of the sample that a rocking scan turns; by default the outermost

    Raises
    ------
    ValueError
        When these contradict each other.

    Notes
    -----
    With S and D the products of the rotations of `sample` and `arm`, b and p the directions of the
    beam and of a pixel with all circles at zero, and k = 2π/λ, the momentum transfer in the
    sample's frame is ``q = k (Sᵀ D p - Sᵀ b)``, 1/Å, with 2π. Refraction is left out (some 7e-4
    1/Å in q_perp at 2° incidence and 11 keV), as is a sample away from the circles' centre.

    References
    ----------
    W. R. Busing, H. A. Levy, Acta Cryst. 22 (1967) 457, doi:10.1107/S0365110X67000970, equations
    (1) to (16): frames and rotations.

    Examples
    --------
    Si (004) at Cu Kα1, read from a laboratory diffractometer:

    >>> lab = Goniometer([Circle("omega", "x+")], [Circle("two_theta", "x+")], 8.0478)
    >>> lab.q({"omega": 34.5645, "two_theta": 69.129}).round(3)
    array([0.   , 0.   , 4.628])
    """

    sample: tuple[Circle, ...]
    arm: tuple[Circle, ...]
    energy_kev: float
    detector: Detector = field(default_factory=Detector)
    beam: Direction = "y+"
    normal: Direction = "z+"
    in_plane: Direction = "y+"
    rocked: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "sample", tuple(self.sample))
        object.__setattr__(self, "arm", tuple(self.arm))
        for name in ("beam", "normal", "in_plane"):
            if not isinstance(getattr(self, name), str):
                object.__setattr__(self, name, tuple(map(float, getattr(self, name))))
        names = self.circles
        if len(set(names)) != len(names) or not self.sample:
            raise ValueError(
                f"circles must have names of their own, and the sample one at least, got {names}; "
                "name them as their motors"
            )
        if not self.rocked:
            object.__setattr__(self, "rocked", self.sample[0].name)
        if self.rocked not in names:
            raise ValueError(
                f"rocked must be one of the circles {', '.join(names)}, got {self.rocked!r}; name "
                "the one that a rocking scan turns"
            )
        if not (np.isfinite(self.energy_kev) and self.energy_kev > 0):
            raise ValueError(
                f"energy_kev must be positive, got {self.energy_kev} keV; Cu Kα1 has 8.0478"
            )
        along_beam = [d for d in self.detector.directions if abs(unit_vector(d) @ self._beam) > 0]
        if along_beam:
            raise ValueError(
                f"pixels must run at right angles to the beam {self.beam!r}, got {along_beam}; "
                "give the directions with the arm at zero"
            )
        _ = self.reference_frame  # raises where in_plane is along the normal

    @property
    def circles(self) -> tuple[str, ...]:
        """Names of all circles, those of the sample first."""
        return tuple(circle.name for circle in (*self.sample, *self.arm))

    @property
    def wavelength(self) -> float:
        """Of the photons, Å."""
        return HC_KEV_ANGSTROM / self.energy_kev

    @property
    def k(self) -> float:
        """Wave number 2π/λ, 1/Å."""
        return 2.0 * np.pi / self.wavelength

    @property
    def notes(self) -> tuple[str, ...]:
        """What whoever uses the result should know."""
        if self.detector.kind == "point" or self.detector.proven:
            return ()
        return (
            "the orientation of the detector is not proven: left and right, or up and down, may be "
            "exchanged; take two frames at two positions of the arm and use find_orientation",
        )

    def q(self, angles: Mapping[str, ArrayLike], pixels: Any = None) -> Array:
        """Return the momentum transfer of pixels, in the sample's frame.

        Parameters
        ----------
        angles : of every circle, degrees; numbers, or lists of one length (n,)
        pixels : (rows, columns) or (channels,), not necessarily whole; by default all

        Returns
        -------
        q : shape (n, …, 3) with … the shape of the detector or of `pixels`, 1/Å; without n where
            all angles are numbers

        Raises
        ------
        ValueError
            When a circle is missing or unknown, or an angle is no number.
        """
        table = self.angle_table(angles)
        turns, offsets = self.matrices(table)
        directions = self.directions(pixels)
        flat = directions.reshape(-1, 3) @ turns.transpose(0, 2, 1) + offsets[:, None, :]
        shape = directions.shape if self._are_numbers(angles) else (len(table), *directions.shape)
        return np.asarray(flat.reshape(shape))

    def directions(self, pixels: Any = None) -> Array:
        """Return the directions of pixels with the arm at zero, shape (…, 3) as `q`."""
        return self.detector.towards(self._beam, pixels)

    def matrices(self, table: Array) -> tuple[Array, Array]:
        """Return what makes q of the pixels' directions p: ``q = M p + o``.

        Parameters
        ----------
        table : shape (n, n_circles), from `angle_table`

        Returns
        -------
        turns, offsets : shapes (n, 3, 3) and (n, 3), 1/Å
        """
        to_sample = self._turn(self.sample, table[:, : len(self.sample)]).transpose(0, 2, 1)
        arm = self.arm_turns(table)
        return self.k * (to_sample @ arm), -self.k * (to_sample @ self._beam)

    def arm_turns(self, table: Array) -> Array:
        """Return the rotations of the detector's arm, shape (n, 3, 3)."""
        return self._turn(self.arm, table[:, len(self.sample) :])

    def angle_table(self, angles: Mapping[str, ArrayLike]) -> Array:
        """Return the angles, a row a frame, a column a circle, shape (n, n_circles), degrees."""
        missing = [name for name in self.circles if name not in angles]
        unknown = [name for name in angles if name not in self.circles]
        if missing or unknown:
            raise ValueError(
                f"angles must be given for the circles {', '.join(self.circles)}, got "
                f"{', '.join(map(str, angles)) or 'none'}; give each in degrees, and no others"
            )
        columns = [np.asarray(angles[name], dtype=float) for name in self.circles]
        lengths = {len(column) for column in columns if column.ndim == 1}
        if any(column.ndim > 1 for column in columns) or len(lengths) > 1:
            shapes = ", ".join(f"{n} {c.shape}" for n, c in zip(self.circles, columns, strict=True))
            raise ValueError(
                f"angles must be numbers, or lists of one length, got {shapes}; give one angle "
                "for each frame"
            )
        table = np.stack(np.broadcast_arrays(*map(np.atleast_1d, columns)), axis=1)
        if not np.isfinite(table).all():
            name = self.circles[int(np.nonzero(~np.isfinite(table).all(axis=0))[0][0])]
            raise ValueError(
                f"angles must be finite, got {np.asarray(angles[name]).tolist()} of {name}"[:200]
                + "; leave out the frames whose angles are not known"
            )
        return np.asarray(table)

    def components(self, q: Array) -> tuple[Array, Array, Array]:
        """Return the components of q along `in_plane`, across it, and along `normal`.

        Parameters
        ----------
        q : shape (…, 3), in the sample's frame

        Returns
        -------
        along, across, normal : shape (…), in the unit of q; right-handed in this order
        """
        along, across, normal = np.moveaxis(q @ self.reference_frame.T, -1, 0)
        return along, across, normal

    def facing(self, angles: Mapping[str, ArrayLike]) -> Self:
        """Return the goniometer with `in_plane` turned to where the beam centre's q points.

        At an azimuth that was found by turning the sample, q_par is then positive, and all of the
        in-plane q at the middle of the detector.

        Raises
        ------
        ValueError
            When this q has no part along the surface.
        """
        q = np.atleast_2d(self.q(angles, self.detector.beam_centre)).mean(axis=0)
        return replace(self, in_plane=tuple(float(v) for v in q))

    def turned(self, before: Mapping[str, float], after: Mapping[str, float]) -> Self:
        """Return the goniometer with `in_plane` where it was in the laboratory.

        With the sample turned by 180° about its normal the other side of it faces the beam, and
        q_par is counted along that.

        Parameters
        ----------
        before, after : angles of the sample's circles, degrees; 0 where they are not named
        """
        old, new = (
            self._turn(self.sample, np.array([[angles.get(c.name, 0.0) for c in self.sample]]))[0]
            for angles in (before, after)
        )
        if np.array_equal(old, new):
            return self
        along = new.T @ old @ self.reference_frame[0]
        return replace(self, in_plane=tuple(float(v) for v in along))

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-compatible data, as it stands in a start document."""
        data = {f.name: getattr(self, f.name) for f in fields(self)}
        for name in ("sample", "arm"):
            data[name] = [{**vars(circle)} for circle in data[name]]
        data["detector"] = self.detector.to_dict()
        return {k: list(v) if isinstance(v, tuple) else v for k, v in data.items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the goniometer of `to_dict`."""
        check_keys(data, cls, "a goniometer")
        parts: dict[str, Any] = dict(data)
        for name in ("sample", "arm"):
            circles = parts.get(name, ())
            for circle in circles:
                check_keys(circle, Circle, "a circle")
            parts[name] = tuple(Circle(**circle) for circle in circles)
        if "detector" in parts:
            parts["detector"] = Detector.from_dict(parts["detector"])
        return cls(**parts)

    @property
    def digest(self) -> str:
        """sha256 of its canonical JSON, 64 hexadecimal digits: equal for equal geometries."""
        return hashlib.sha256(canonical_json(self.to_dict()).encode()).hexdigest()

    @property
    def _beam(self) -> Array:
        return unit_vector(self.beam, "the beam")

    @property
    def reference_frame(self) -> Array:
        """Rows: `in_plane`, what is across it, and `normal`, each of length 1; shape (3, 3)."""
        normal = unit_vector(self.normal, "the normal")
        along = unit_vector(self.in_plane, "in_plane")
        along = along - (along @ normal) * normal
        length = np.linalg.norm(along)
        if length < 1e-6:
            raise ValueError(
                f"in_plane must not be along the normal {self.normal!r}, got {self.in_plane!r}; "
                "give a direction along the surface"
            )
        along = along / length
        return np.stack([along, np.cross(normal, along), normal])

    @staticmethod
    def _turn(circles: tuple[Circle, ...], table: Array) -> Array:
        total = np.broadcast_to(np.eye(3), (len(table), 3, 3))
        for circle, column in zip(circles, table.T, strict=True):
            total = total @ rotations(unit_vector(circle.axis), column - circle.zero_deg)
        return total

    @staticmethod
    def _are_numbers(angles: Mapping[str, ArrayLike]) -> bool:
        return all(np.ndim(value) == 0 for value in angles.values())
