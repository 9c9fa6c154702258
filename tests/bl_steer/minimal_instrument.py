"""The smallest beamline that writes what the real one writes: documents, frames, three streams."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import h5py
import numpy as np
from bluesky import RunEngine
from event_model import compose_stream_resource
from ophyd import Component, Device, Signal
from ophyd.sim import SynAxis
from ophyd.status import DeviceStatus

from bl_steer.store import Store

QX = np.linspace(-1.0, 1.0, 5)
QZ = np.linspace(2.0, 3.0, 4)
NOMINAL = 2000.0


class Detector(Device):
    total = Component(Signal, value=0.0, kind="hinted")
    valid = Component(Signal, value=1)
    exposure_time = Component(Signal, value=0.5, kind="config")
    qx = Component(Signal, value=QX.tolist(), kind="config")
    qz = Component(Signal, value=QZ.tolist(), kind="config")

    def __init__(self, *, name: str, folder: Path, n_frames: int = 2) -> None:
        super().__init__("", name=name)
        self.folder = folder
        self.frame_shape = (n_frames, len(QZ), len(QX))
        self._documents: list[Any] = []
        self._file: Any = None

    def stage(self) -> Any:
        path = self.folder / f"{uuid4()}.h5"
        shape = self.frame_shape
        self._file = h5py.File(path, "w", libver="latest")
        self._data = self._file.create_dataset(
            "entry/data", (0, *shape), "<f8", maxshape=(None, *shape), chunks=(1, *shape)
        )
        self._file.swmr_mode = True
        self._bundle = compose_stream_resource(
            mimetype="application/x-hdf5",
            uri=f"file://localhost{path}",
            data_key=f"{self.name}_image",
            parameters={"dataset": "/entry/data", "chunk_shape": (1, *shape), "swmr": True},
        )
        self._documents = [("stream_resource", self._bundle.stream_resource_doc)]
        return super().stage()

    def unstage(self) -> Any:
        self._file.close()
        return super().unstage()

    def trigger(self) -> DeviceStatus:
        n = len(self._data)
        frames = expected_frames(n, self.frame_shape)
        self._data.resize(n + 1, axis=0)
        self._data[n] = frames
        self._data.flush()
        self.total.put(float(frames.sum()))
        indices: Any = {"start": n, "stop": n + 1}
        self._documents.append(("stream_datum", self._bundle.compose_stream_datum(indices)))
        status = DeviceStatus(self)
        status.set_finished()
        return status

    def describe(self) -> Any:
        image = {
            "source": "sim",
            "dtype": "array",
            "dtype_numpy": "<f8",
            "shape": list(self.frame_shape),
            "external": "STREAM:",
        }
        return {**super().describe(), f"{self.name}_image": image}

    def collect_asset_docs(self) -> Iterator[Any]:
        documents, self._documents = self._documents, []
        yield from documents


class Beamline:
    def __init__(self, store: Store) -> None:
        self.x, self.y = SynAxis(name="stage_x"), SynAxis(name="stage_y")
        self.det = Detector(name="det", folder=store.frames_dir)
        self.monitor = Signal(name="monitor_counts", value=1000.0)
        self.clock = Signal(name="sim_clock", value=0.0)
        self.decision = Device(name="decision")
        self.fields = [
            Signal(name="point", value=0),
            Signal(name="mean", value=float("nan")),
            Signal(name="reason", value="start"),
        ]
        self.best = Signal(name="best_x", value=0.0)
        self.stop_reason = Signal(name="stop_reason", value="budget")

    def plan(self, n_points: int = 4, *, announce: bool = False) -> Any:
        md = {
            "plan_name": "find_hotspot",
            "detectors": ["det"],
            "motors": ["stage_x", "stage_y"],
            "steering": {"seed": 1, "monitor": "monitor", "nominal_counts": NOMINAL},
        }

        @bpp.stage_decorator([self.det])
        @bpp.run_decorator(md=md)
        def run() -> Any:
            for point in range(n_points):
                yield from bps.checkpoint()
                yield from self._decide(point)
                yield from bps.mv(self.x, point / 3, self.y, 2.0 * point)
                yield from bps.mv(self.clock, 10.0 * point)
                readables = [self.x, self.y, self.det, self.monitor, self.clock]
                yield from bps.trigger_and_read(readables)
                if announce:
                    print(point, flush=True)
            yield from bps.mv(self.best, self.x.position)
            yield from bps.trigger_and_read([self.best, self.stop_reason], name="result")

        return run()

    def _decide(self, point: int) -> Any:
        yield from bps.mv(self.fields[0], point, self.fields[1], point / 7)
        yield from bps.trigger_and_read(self.fields, name="decisions")


def expected_frames(point: int, shape: tuple[int, ...]) -> Any:
    n_frames, height, width = shape
    each = 1.0 + point + np.arange(n_frames)[:, None, None]
    return each * np.arange(1.0, height * width + 1).reshape(height, width)


def measure(folder: str, n_points: int) -> None:
    """Measure in a process of its own, saying each point's number when it is done."""
    store = Store.open(folder)
    run_engine = RunEngine(store.metadata)
    store.subscribe_to(run_engine)
    run_engine(Beamline(store).plan(n_points, announce=True))
    store.close()


if __name__ == "__main__":
    measure(sys.argv[1], int(sys.argv[2]))
