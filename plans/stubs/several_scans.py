"""Several rocking scans at each point: of a second azimuth, or of another reflection.

Plans take a list of scans as `per_point`, each with its own circles (``at``); the first is steered
on. Single scans are in `plans.stubs.per_point`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from bluesky.protocols import Readable
from bluesky.utils import MsgGenerator

from plans.stubs.per_point import Position, rocking_scan, rocking_sweep
from plans.stubs.rows import EventNumber

__all__ = ["SETTING", "several_scans"]

SETTING = "setting"
"""Data key of the number of an event's scan, from 0."""


@dataclass(frozen=True)
class several_scans:
    """Carry out scans one after the other at each point; the first is steered on.

    Every event holds the number of its scan, and where all circles were.

    Parameters
    ----------
    scans : all in steps or all in sweeps of the same circle, and all with the same circles in
        ``at``, so that each scan finds them where it wants them

    Raises
    ------
    ValueError
        When the scans cannot be parts of one point.
    """

    scans: tuple[rocking_scan | rocking_sweep, ...]
    several_events: ClassVar[bool] = True
    _number: EventNumber = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        scans = tuple(self.scans)
        _check_alike(scans)
        first = scans[0]
        if isinstance(first, rocking_sweep):
            # One object for all events: a stream has one of a name.
            scans = (first, *(replace(scan) for scan in scans[1:]))
            for scan in scans[1:]:
                object.__setattr__(scan, "_row", first._row)
        object.__setattr__(self, "scans", scans)
        object.__setattr__(self, "_number", EventNumber(SETTING))

    @property
    def axis(self) -> Any:
        """The circle that turns in all scans."""
        return self.scans[0].axis

    @property
    def angle_key(self) -> str | None:
        """Data key of the angles of a sweep's frames; None for scans in steps."""
        return getattr(self.scans[0], "angle_key", None)

    def check(self) -> None:
        """Refuse what a scan refuses."""
        for scan in self.scans:
            scan.check()

    def describe(self) -> dict[str, Any]:
        """Return what the start document says of the scans; `n` is the events of a point."""
        described = [scan.describe() for scan in self.scans]
        in_steps = isinstance(self.scans[0], rocking_scan)
        return {
            "name": type(self).__name__,
            "scans": described,
            "n": sum(scan["n"] for scan in described) if in_steps else len(described),
        }

    def __call__(
        self, detectors: Sequence[Readable[Any]], position: Position
    ) -> MsgGenerator[None]:
        """Measure one point."""
        for number, scan in enumerate(self.scans):
            self._number.value = number
            yield from scan([*detectors, self._number], position)

    def prepare(
        self, detectors: Sequence[Readable[Any]], run: MsgGenerator[Any]
    ) -> MsgGenerator[Any]:
        """Run with the detector set to what the scans take."""
        first = self.scans[0]
        if isinstance(first, rocking_sweep):
            return (yield from first.prepare(detectors, run))
        return (yield from run)


def _check_alike(scans: Sequence[Any]) -> None:
    wrong = [scan for scan in scans if not isinstance(scan, rocking_scan | rocking_sweep)]
    if not scans or wrong:
        raise ValueError(
            f"a list of scans must hold rocking_scan or rocking_sweep, got {wrong or scans!r}; for "
            "anything else write a stub of your own"
        )
    names = [sorted(circle.name for circle, _ in scan.at) for scan in scans]
    alike: Mapping[str, list[Any]] = {
        "be all in steps or all in sweeps": [type(scan).__name__ for scan in scans],
        "turn the same circle": [scan.axis.name for scan in scans],
        "say where the same circles stand (at)": names,
    }
    if isinstance(scans[0], rocking_sweep):
        alike = {**alike, "have the same n and detector": [(s.n, s.detector) for s in scans]}
    for rule, values in alike.items():
        if any(value != values[0] for value in values):
            raise ValueError(
                f"the scans of a point must {rule}, got {values[0]} and "
                f"{next(v for v in values if v != values[0])}; make them alike"
            )
    settings = [sorted((c.name, angle) for c, angle in scan.at) for scan in scans]
    if len(scans) > 1 and all(setting == settings[0] for setting in settings):
        raise ValueError(
            f"the scans of a point must differ in where circles stand (at), got {settings[0]} for "
            "all; give each its angles, such as at={diffractometer.phi: 180}"
        )
