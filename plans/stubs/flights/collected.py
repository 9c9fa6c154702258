"""What a flyer collected: which of it are frames, and where each was taken."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bl_steer.protocols import Array
from bl_steer.runs.readout import as_number
from plans.stubs.series import Encoder

__all__ = ["CollectedFrames", "FlightError", "collected_frames", "events_of"]

LATE = 1.0
"""Frames by which stamps of detector and axis differ where a frame has the place of another."""

Event = Mapping[str, Any]


class FlightError(RuntimeError):
    """A flight gave no frame of a cell, or frames of unknown places."""


@dataclass(frozen=True, eq=False)
class CollectedFrames:
    """The frames of a flight in their order.

    Parameters
    ----------
    frames : events with ``data`` and ``timestamps``
    places, stamps : shape (n,), along the axis, in its units, NaN where unknown, and s since 1970
    source : what says where they were taken
    late : frames by which the detector's stamps are later than those of the places; 0 where less
        than `LATE`
    """

    frames: list[Event]
    places: Array
    stamps: Array
    source: str
    late: float = 0.0

    def nearest(self, cells: Array, reach: float) -> dict[int, int]:
        """Return which frame is nearest to the middle of each cell, of those within `reach`."""
        nearest: dict[int, int] = {}
        for i, place in enumerate(self.places.tolist()):
            away = np.abs(cells - place)
            cell = int(np.argmin(away))
            best = nearest.get(cell)
            if away[cell] <= reach * (1.0 + 1e-6) and (  # not true of NaN
                best is None or away[cell] < abs(cells[cell] - self.places[best])
            ):
                nearest[cell] = i
        return nearest


def events_of(collected: Sequence[Any]) -> list[Event]:
    """Return the events that a flyer collected, of pages too, in their order."""
    events: list[Event] = []
    for item in collected:
        if isinstance(item["time"], list):
            events += [
                {part: {k: v[i] for k, v in item[part].items()} for part in ("data", "timestamps")}
                for i in range(len(item["time"]))
            ]
        else:
            events.append(item)
    return events


def collected_frames(
    events: Sequence[Event], key: str, own: Mapping[str, Any], *, flyer: Any, encoder: Encoder
) -> CollectedFrames:
    """Return the frames among a flyer's events, and where they were taken.

    Parameters
    ----------
    key : of the axis' readback
    own : data keys of the detector, with their entries
    encoder : followed the axis meanwhile

    Raises
    ------
    FlightError
        Where nothing says where they were taken.
    """
    frames = [event for event in events if own.keys() & event["data"].keys()]
    stamps = np.array([max(_stamps(frame, own)) for frame in frames])
    if frames and all(key in frame["data"] for frame in frames):
        places = np.array([as_number(frame["data"][key]) for frame in frames])
        placed = np.array([float(frame["timestamps"].get(key, math.nan)) for frame in frames])
        late = 0.0 if key in own else _late(stamps, placed)
        return CollectedFrames(frames, places, stamps, "flyer", late)
    samples = sorted(
        (float(event["timestamps"][key]), as_number(event["data"][key]))
        for event in events
        if key in event["data"]
    )
    if len(samples) > 1:
        return CollectedFrames(frames, _between(samples, stamps), stamps, "flyer's time stamps")
    measured = encoder.at(stamps) if frames else np.empty(0)
    if measured is None:
        raise FlightError(
            f"a flyer must collect where each frame was taken, got no {key!r} of {flyer.name}, and "
            "no readback of the axis that covers the flight; let the flyer collect it"
        )
    return CollectedFrames(frames, measured, stamps, "encoder")


def _between(samples: Sequence[tuple[float, float]], stamps: Array) -> Array:
    """Return places at times; NaN where these lie off the samples by more than their spacing."""
    times, values = np.array(samples).T
    spacing = float(np.median(np.diff(times)))
    known = (stamps >= times[0] - spacing) & (stamps <= times[-1] + spacing)
    return np.where(known, np.interp(stamps, times, values), math.nan)


def _late(stamps: Array, placed: Array) -> float:
    if len(stamps) < 3 or not np.ptp(placed) > 0.0:
        return 0.0
    late = float(np.median(stamps - placed) / np.median(np.diff(np.sort(placed))))
    return late if abs(late) >= LATE else 0.0


def _stamps(frame: Event, keys: Mapping[str, Any]) -> list[float]:
    return [float(stamp) for key, stamp in frame["timestamps"].items() if key in keys]
