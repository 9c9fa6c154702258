"""The written form of what to maximise, parsed and printed in one place.

A target is text, so that it is the same on the command line, in a plan, in a run's metadata and
in a figure's title::

    total                          sum of the frame
    map                            the frame is one number
    field:KEY                      the number under a data key, of any device that is read
    roi:QX0,QX1,QZ0,QZ1            counts in a box of q (spectra: roi:A0,A1)
    ref:REF                        matched filter with a frozen reference pattern
    nmf:K@REF                      K components learned online, the one anchored to REF

A reference REF is one of ``x=0.45,R=0.9,tilt=0`` (R and tilt may be left out),
``box:QX0,QX1,QZ0,QZ1``, ``ellipse:QX,QZ,RX,RZ`` and ``file:PATH``; on spectra the q_z numbers are
left out. `bl_steer.features.reference` draws the references, `make_feature` builds the feature.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bl_steer.diffraction import RELAXATION_RANGE

__all__ = [
    "DEFAULT_TARGET",
    "Box",
    "Ellipse",
    "FrozenPattern",
    "Peak",
    "Reference",
    "Target",
    "check_targets",
    "parse_reference",
    "parse_target",
]

DEFAULT_TARGET = "nmf:4@x=0.45,R=0.9,tilt=0"
"""The Ge-rich population: four components, as the paper's four patterns."""

TARGET_FORMS = "total, map, field:KEY, roi:QX0,QX1,QZ0,QZ1, ref:REF or nmf:K@REF"
REFERENCE_FORMS = "x=0.45,R=0.9,tilt=0, box:QX0,QX1,QZ0,QZ1, ellipse:QX,QZ,RX,RZ or file:PATH"


@dataclass(frozen=True)
class Peak:
    """The (022) reflection of a Si-Ge alloy, computed from composition, strain and tilt."""

    x_ge: float
    """Ge fraction, 0 … 1."""
    relaxation: float = 0.9
    """Degree of relaxation R, 0 (pseudomorphic on Si) … 1 (cubic); thermal strain makes it 1.08."""
    tilt_deg: float = 0.0
    """Rigid tilt of the lattice in the scattering plane, degrees."""

    def __post_init__(self) -> None:
        limits = {"x": (self.x_ge, 0.0, 1.0), "R": (self.relaxation, *RELAXATION_RANGE)}
        for name, (value, low, high) in limits.items():
            if not low <= value <= high:
                raise ValueError(
                    f"{name} of a reference must lie in {low:g} … {high:g}, got {value:g}; "
                    "write it as a fraction, e.g. x=0.45,R=0.9"
                )
        if not abs(self.tilt_deg) <= 45.0:
            raise ValueError(
                f"tilt of a reference must lie in -45 … 45 degrees, got {self.tilt_deg:g}; "
                "write it in degrees, e.g. tilt=0.5"
            )

    def __str__(self) -> str:
        return f"x={_number(self.x_ge)},R={_number(self.relaxation)},tilt={_number(self.tilt_deg)}"


@dataclass(frozen=True)
class Box:
    """A rectangle in q; without `qz` it takes every row of the frame (spectra)."""

    qx: tuple[float, float]
    qz: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        for low, high in (self.qx, self.qz or (0.0, 1.0)):
            if not low < high:
                raise ValueError(
                    f"a box must run from low to high, got {low:g},{high:g}; "
                    "write QX0 < QX1 and QZ0 < QZ1"
                )

    @property
    def numbers(self) -> str:
        """The corners as written in a target."""
        return ",".join(_number(value) for value in (*self.qx, *(self.qz or ())))

    def __str__(self) -> str:
        return f"box:{self.numbers}"


@dataclass(frozen=True)
class Ellipse:
    """A soft ellipse in q: a Gaussian that falls to one half on the ellipse drawn.

    Without `qz` and `rz` it takes every row of the frame (spectra): a line of half width `rx`.
    """

    qx: float
    rx: float
    qz: float | None = None
    rz: float | None = None

    def __post_init__(self) -> None:
        if (self.qz is None) != (self.rz is None):
            raise ValueError(
                f"an ellipse must have QZ and RZ both or neither, got QZ={self.qz}, RZ={self.rz}; "
                "write ellipse:QX,QZ,RX,RZ, or ellipse:QX,RX on a spectrum"
            )
        for radius in (self.rx, 1.0 if self.rz is None else self.rz):
            if not radius > 0:
                raise ValueError(
                    f"the radii of an ellipse must be above 0, got {radius:g}; "
                    "write ellipse:QX,QZ,RX,RZ"
                )

    def __str__(self) -> str:
        if self.qz is None or self.rz is None:
            return f"ellipse:{_number(self.qx)},{_number(self.rx)}"
        return "ellipse:" + ",".join(_number(v) for v in (self.qx, self.qz, self.rx, self.rz))


@dataclass(frozen=True)
class FrozenPattern:
    """A pattern saved earlier, e.g. chosen from an NMF's proposals: .npz or .npy, no pickles."""

    path: str

    def __post_init__(self) -> None:
        if not self.path.endswith((".npz", ".npy")):
            raise ValueError(
                f"a reference file must end in .npz or .npy, got {self.path!r}; "
                "save the pattern with bl_steer.features.freeze"
            )

    def __str__(self) -> str:
        return f"file:{self.path}"


Reference = Peak | Box | Ellipse | FrozenPattern
"""What names a component: it can be drawn or computed, and never comes from a component's index."""


@dataclass(frozen=True)
class Target:
    """A parsed target; ``str(target)`` is its canonical text."""

    kind: Literal["total", "map", "field", "roi", "ref", "nmf"]
    roi: Box | None = None
    reference: Reference | None = None
    n_components: int | None = None
    key: str | None = None

    def __str__(self) -> str:
        if self.kind == "field":
            return f"field:{self.key}"
        if self.kind == "roi" and self.roi is not None:
            return f"roi:{self.roi.numbers}"
        if self.kind == "ref":
            return f"ref:{self.reference}"
        if self.kind == "nmf":
            return f"nmf:{self.n_components}@{self.reference}"
        return self.kind


def parse_target(text: str) -> Target:
    """Parse the written form of a target.

    Raises
    ------
    ValueError
        In one line, with the text and what to write in its place.

    Examples
    --------
    >>> str(parse_target("nmf:4@ref:x=.45"))
    'nmf:4@x=0.45,R=0.9,tilt=0'
    >>> parse_target("roi:600,700").roi
    Box(qx=(600.0, 700.0), qz=None)
    """
    text = text.strip()
    head, colon, rest = text.partition(":")
    if head in ("total", "map") and not colon:
        return Target("total" if head == "total" else "map")
    if head == "field" and colon and rest.strip():
        return Target("field", key=rest.strip())
    if head == "roi" and colon:
        return Target("roi", roi=_parse_box(rest, text))
    if head == "ref" and colon:
        return Target("ref", reference=parse_reference(rest))
    if head == "nmf" and colon:
        count, at, reference = rest.partition("@")
        if not at:
            raise ValueError(
                f"target nmf:K@REF must name its reference, got {text!r}; "
                f"write e.g. {DEFAULT_TARGET}"
            )
        return Target(
            "nmf",
            n_components=_parse_count(count, text),
            reference=parse_reference(reference.strip().removeprefix("ref:")),
        )
    raise ValueError(f"target must be {TARGET_FORMS}, got {text!r}; e.g. {DEFAULT_TARGET}")


def check_targets(targets: Sequence[str]) -> None:
    """Refuse several targets that are not those of one pattern, or not different.

    Raises
    ------
    ValueError
        In one line, with the texts and what to write in their place.
    """
    parsed = [parse_target(target) for target in targets]
    if len(set(parsed)) < len(parsed):
        raise ValueError(
            f"several targets must differ, got {', '.join(targets)}; give each of them once"
        )
    if any(target.kind in ("map", "field") for target in parsed):
        raise ValueError(
            "several targets must be made of one detector's frames (total, roi, ref, nmf), got "
            f"{', '.join(targets)}; search for numbers one after another"
        )


def parse_reference(text: str) -> Reference:
    """Parse the written form of a reference pattern, as it stands behind ``ref:`` or ``@``."""
    text = text.strip()
    head, colon, rest = text.partition(":")
    if head == "box" and colon:
        return _parse_box(rest, text)
    if head == "ellipse" and colon:
        numbers = _parse_numbers(rest, text, counts=(2, 4), form="ellipse:QX,QZ,RX,RZ")
        if len(numbers) == 2:
            return Ellipse(qx=numbers[0], rx=numbers[1])
        qx, qz, rx, rz = numbers
        return Ellipse(qx=qx, qz=qz, rx=rx, rz=rz)
    if head == "file" and colon:
        return FrozenPattern(rest)
    if "=" in text and not colon:
        return _parse_peak(text)
    raise ValueError(f"reference must be {REFERENCE_FORMS}, got {text!r}; write one of these")


def _parse_peak(text: str) -> Peak:
    values: dict[str, float] = {}
    for item in text.split(","):
        name, _, value = (part.strip() for part in item.partition("="))
        if name not in ("x", "R", "tilt") or name in values:
            raise ValueError(
                f"reference {text!r} must give x, and may give R and tilt, each once, "
                f"got {item.strip()!r}; write e.g. x=0.45,R=0.9,tilt=0"
            )
        values[name] = _parse_float(value, text)
    if "x" not in values:
        raise ValueError(
            f"reference must give the Ge fraction x, got {text!r}; write e.g. x=0.45,R=0.9,tilt=0"
        )
    return Peak(values["x"], values.get("R", 0.9), values.get("tilt", 0.0))


def _parse_box(numbers: str, text: str) -> Box:
    form = "QX0,QX1,QZ0,QZ1, or A0,A1 on a spectrum"
    corners = _parse_numbers(numbers, text, counts=(2, 4), form=form)
    qz = (corners[2], corners[3]) if len(corners) == 4 else None
    return Box((corners[0], corners[1]), qz)


def _parse_numbers(
    numbers: str, text: str, *, counts: tuple[int, ...], form: str
) -> tuple[float, ...]:
    values = tuple(_parse_float(item, text) for item in numbers.split(","))
    if len(values) not in counts:
        raise ValueError(
            f"{text!r} must have the form {form}, got {len(values)} numbers; complete it"
        )
    return values


def _parse_float(item: str, text: str) -> float:
    try:
        value = float(item)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(
            f"{text!r} must hold finite numbers, got {item.strip()!r}; write e.g. 0.45"
        )
    return value


def _parse_count(item: str, text: str) -> int:
    count = int(item) if item.strip().isdecimal() else 0
    if count < 1:
        raise ValueError(
            f"the number of components must be an integer above 0, got {item.strip()!r} "
            f"in {text!r}; write e.g. {DEFAULT_TARGET}"
        )
    return count


def _number(value: float) -> str:
    """Write a number in the shortest form that reads back to the same float."""
    return repr(float(value)).removesuffix(".0")
