"""What to watch while a run goes on: a progress bar and a live map, fed by documents.

Both are callbacks for any document stream. They hand work to a thread and never raise: what only
watches must not stop a run.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from matplotlib.figure import Figure

from bl_steer.agents import AXIS_NAMES, Space
from bl_steer.plotting.maps import plot_map
from bl_steer.plotting.marks import told_points
from bl_steer.plotting.runs import label_of, seen_outcomes
from bl_steer.progress import Bar, significant
from bl_steer.runs import Exposure, Points, Readout, common_unit, described_unit, read_outcomes
from bl_steer.steering import predicted_map

__all__ = ["LiveMap", "Progress"]

logger = logging.getLogger(__name__)

Document = Mapping[str, Any]


class _Watcher:
    """Sort a run's documents by stream; swallow and log what goes wrong in watching."""

    def __init__(self) -> None:
        self._streams: dict[str, str] = {}

    def __call__(self, name: str, doc: Document) -> None:
        try:
            if name == "start":
                self._streams = {}
                self.start(doc)
            elif name == "descriptor":
                self._streams[doc["uid"]] = doc["name"]
                self.describe(doc)
            elif name == "event":
                self.event(self._streams[doc["descriptor"]], doc["data"])
            elif name == "stop":
                self.stop()
        except Exception:
            logger.exception("watching the run failed; the run itself goes on")

    def start(self, doc: Document) -> None:
        """Take a run's start document."""

    def describe(self, doc: Document) -> None:
        """Take a stream's descriptor."""

    def event(self, stream: str, data: Document) -> None:
        """Take one event's data."""

    def stop(self) -> None:
        """Take note that the run is over."""


class Progress(_Watcher):
    """A bar with points done, best so far, and the beam time left.

    Parameters
    ----------
    file : where to draw; the terminal's error stream by default
    """

    def __init__(self, file: TextIO | None = None) -> None:
        super().__init__()
        self.file = file
        self._bar: Bar

    def start(self, doc: Document) -> None:
        """Open a bar for a run of known length."""
        self._bar = Bar(str(doc.get("plan_name", "run")), "pt", file=self.file, keep=True)
        self._bar.total = doc.get("num_points")
        self._bar.done = int(doc.get("steering", {}).get("resumed_points", 0))
        self._seconds: list[float] = []
        self._spots: list[str] = []

    def event(self, stream: str, data: Document) -> None:
        """Count a measured point; show the best so far."""
        if stream == "primary":
            # A rocking scan in steps has several events a point, with its number.
            done, total = data.get("point", self._bar.done) + 1, self._bar.total
            # More than planned when a dead frame was measured again.
            self._bar.show(done, None if total is None else max(done, total))
        elif "n_missing" in data:  # the result of slices
            self._bar.note(f"recorded {data['n_recorded']}, missing {data['n_missing']}")
        elif stream == "decisions" and "step" in data:
            self._bar.note(f"slice {data['slice']}: {data['step']}".replace("_", " "))
        elif stream == "result":
            sd = f" ± {significant(data['best_sd'], 2)}" if np.isfinite(data["best_sd"]) else ""
            spot = f"{significant(data['best_value'], 4)}{sd} at {_written(_at(data, 'best_'))}"
            if "target" in data:  # a row for each of several
                self._spots.append(f"{data['target']} {spot}")
                spot = "; ".join(self._spots)
            self._bar.note(f"reported: {spot}")
        elif stream == "decisions" and data["point"] > 0:
            self._seconds.append(np.nansum([data["previous_move_s"], data["previous_expose_s"]]))
            left = ((self._bar.total or 0) - self._bar.done) * float(np.mean(self._seconds))
            of = f" of {data['target']}" if "target" in data else ""
            self._bar.note(
                f"best{of} {significant(data['best_so_far'], 4)} at {_written(_at(data, 'best_'))}"
                f" · {_duration(left)} of beam left"
            )

    def stop(self) -> None:
        """Close the bar."""
        self._bar.close()


class LiveMap(_Watcher):
    """The predicted map with the measured points and the next one, redrawn as the run goes on.

    Parameters
    ----------
    show : called in a thread with each new figure; by default it saves to `path`
    path : PNG file to keep up to date
    """

    def __init__(
        self,
        show: Callable[[Figure], None] | None = None,
        *,
        path: Path | str = "live_map.png",
    ) -> None:
        super().__init__()
        self.path = Path(path)
        self._show = show or self._save
        self._settings: Mapping[str, Any] | None = None
        self._latest: queue.Queue[Document | None] = queue.Queue(maxsize=1)
        self._thread: threading.Thread | None = None

    def start(self, doc: Document) -> None:
        """Begin to draw, if the run steers."""
        settings = doc.get("steering", {})
        self._settings = settings if "agent" in settings else None
        self._start, self._unit = doc, common_unit(doc, [])
        # By the number of the point: a run that carries another on begins with a later one.
        self._positions: dict[int, list[float]] = dict(
            enumerate(settings.get("resumed_positions", ()))
        )
        self._noise_ratios: dict[int, float] = {}
        self._monitor_key = Readout.from_start(doc).monitor
        self._beam = Points.from_start(doc, suspicious=False)
        self._exposures: list[Exposure] = []
        self._seen: Document | None = None
        self._results: dict[str, Document] = {}
        self._zones: list[Any] = []
        if self._settings is not None:
            self._thread = threading.Thread(target=self._draw_all, daemon=True, name="live-map")
            self._thread.start()

    def describe(self, doc: Document) -> None:
        """Learn in which units the axes are."""
        if doc["name"] == "primary":
            dimensions = self._start.get("hints", {}).get("dimensions", ())
            settings = [device["data"] for device in doc.get("configuration", {}).values()]
            known = {name: value for data in settings for name, value in data.items()}
            told = [
                described_unit(str(fields[0]), doc["data_keys"], known) for fields, _ in dimensions
            ]
            self._unit = common_unit(self._start, told)

    def event(self, stream: str, data: Document) -> None:
        """Keep the latest decision; the drawing thread takes it when it is free."""
        if self._settings is None:
            return
        counts = data.get(self._monitor_key) if self._monitor_key is not None else None
        if stream == "primary" and counts is not None:
            self._exposures.append(Exposure(np.ones((1, 1, 1)), float(counts)))
        if stream == "seen":
            self._seen = data
        if stream == "requests" and data["kind"] == "forbid":
            self._zones = [*self._zones, json.loads(data["what"])]
        if stream not in ("decisions", "result"):
            return
        if self._exposures and self._settings.get("noise_per_point", False):
            self._noise_ratios[max(self._positions)] = self._beam.take(self._exposures).noise_ratio
        self._exposures = []
        if stream == "decisions":
            self._positions[int(data["point"])] = _at(data)
        else:
            self._results = {**self._results, data.get("target", ""): data}
        self._offer(
            {
                **data,
                "positions": self._positions.copy(),
                "noise": self._noise_ratios.copy(),
                "seen": self._seen,
                "zones": self._zones,
            }
        )

    def stop(self) -> None:
        """Draw the last state, and end the thread."""
        if self._thread is not None:
            self._latest.put(None)
            self._thread.join(timeout=10.0)
            self._thread = None

    def _offer(self, data: Document) -> None:
        with suppress(queue.Empty):
            self._latest.get_nowait()
        self._latest.put(data)

    def _draw_all(self) -> None:
        while (data := self._latest.get()) is not None:
            try:
                self._show(self._draw(data))
            except Exception:
                logger.exception("drawing the live map failed; the run itself goes on")

    def _draw(self, data: Document) -> Figure:
        if self._settings is None:
            raise RuntimeError("a map can be drawn only after a start document")
        space = Space.from_dict(self._settings["grid"]).forbid(data["zones"])
        targets = self._settings["target"]
        targets = [targets] if isinstance(targets, str) else list(targets)
        figure = Figure(figsize=(5.5 * len(targets), 4.6), layout="constrained")
        panels = figure.subplots(1, len(targets), squeeze=False)[0]
        for number, (target, ax) in enumerate(zip(targets, panels, strict=True)):
            row = self._results.get(target if len(targets) > 1 else "", data)
            known = np.atleast_2d(read_outcomes(row["outcomes"]))
            known = known[number if len(known) > 1 else 0]
            done = [n for n in data["positions"] if n < len(known) and np.isfinite(known[n])]
            outcomes = known[done]
            measured = np.array([data["positions"][n] for n in done]).reshape(-1, len(space.names))
            noise_ratios = np.array([data["noise"].get(n, 1.0) for n in done])
            known_all, seen = [measured, outcomes, noise_ratios], None
            if data["seen"] is not None:
                before = seen_outcomes(data["seen"])
                seen = before[0]
                known_all = [np.concatenate(p) for p in zip(before, known_all, strict=True)]
            values, sd = predicted_map(self._settings, *known_all)
            is_own = bool(len(known_all[1])) and row.get("target", target) == target
            along = ", largest along z" if len(space.names) == 3 else ""
            plot_map(
                space,
                values,
                ax=ax,
                sd=sd,
                measured=measured,
                seen=seen,
                outcomes=outcomes,
                best=_at(row, "best_") if is_own else None,
                coming=None if "best_value" in row else _at(row),
                title=f"{target}: {told_points(measured, seen)}{along}",
                unit=self._unit,
                label=label_of(self._start),
            )
        return figure

    def _save(self, figure: Figure) -> None:
        figure.savefig(self.path, dpi=110)


def _at(data: Document, which: str = "") -> list[float]:
    """Return a position on the axes that the run has: of the next point, or of the best one."""
    return [data[which + name] for name in AXIS_NAMES if which + name in data]


def _written(position: list[float]) -> str:
    return f"({', '.join(f'{value:g}' for value in position)})"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
