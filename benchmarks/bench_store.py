"""What storing costs a point: the engine alone, with the record, with record and Tiled.

Run it with ``python benchmarks/bench_store.py [points]``; frames are 200×200, one a point.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import h5py
import numpy as np
from bluesky import RunEngine
from event_model import compose_stream_resource
from ophyd import Device, Signal
from ophyd.sim import SynAxis

from bl_steer.runs import Run, open_run
from bl_steer.store import RecordWriter, Store

SHAPE = (1, 200, 200)


class Camera(Device):
    """Writes frames as the real detector does, and nothing else."""

    def __init__(self, folder: Path) -> None:
        super().__init__("", name="det")
        self.folder = folder
        self.frame = np.random.default_rng(0).poisson(9.0, SHAPE).astype(float)

    def stage(self):
        path = self.folder / f"{time.time_ns()}.h5"
        self.file = h5py.File(path, "w", libver="latest")
        options = {"maxshape": (None, *SHAPE), "chunks": (1, *SHAPE)}
        self.data = self.file.create_dataset("data", (0, *SHAPE), "<f8", **options)
        self.file.swmr_mode = True
        self.bundle = compose_stream_resource(
            mimetype="application/x-hdf5",
            uri=f"file://localhost{path}",
            data_key="det_image",
            parameters={"dataset": "/data", "chunk_shape": (1, *SHAPE), "swmr": True},
        )
        self.documents = [("stream_resource", self.bundle.stream_resource_doc)]
        return super().stage()

    def unstage(self):
        self.file.close()
        return super().unstage()

    def trigger(self):
        n = len(self.data)
        self.data.resize(n + 1, axis=0)
        self.data[n] = self.frame
        self.data.flush()
        self.documents.append(
            ("stream_datum", self.bundle.compose_stream_datum({"start": n, "stop": n + 1}))
        )
        return super().trigger()

    def describe(self):
        image = {"source": "sim", "dtype": "array", "dtype_numpy": "<f8", "shape": list(SHAPE)}
        return {"det_image": {**image, "external": "STREAM:"}}

    def collect_asset_docs(self):
        documents, self.documents = self.documents, []
        yield from documents


def plan(folder: Path, n_points: int):
    camera, x, y = Camera(folder), SynAxis(name="stage_x"), SynAxis(name="stage_y")
    fields = [Signal(name=f"field_{i}", value=0.1 * i) for i in range(20)]

    @bpp.stage_decorator([camera])
    @bpp.run_decorator(md={"plan_name": "bench"})
    def run():
        for point in range(n_points):
            yield from bps.checkpoint()
            yield from bps.trigger_and_read(fields, name="decisions")
            yield from bps.mv(x, point, y, point)
            yield from bps.trigger_and_read([x, y, camera])

    return run()


def measure(work: Callable[[], object]) -> np.ndarray:
    """Return seconds by the wall clock and of CPU, of all threads."""
    began = np.array([time.perf_counter(), time.process_time()])
    work()
    return np.array([time.perf_counter(), time.process_time()]) - began


def report(label: str, cost: np.ndarray, unit: str = "s") -> None:
    print(f"{label:36s} {cost[0]:8.2f} {unit} wall {cost[1]:8.2f} {unit} CPU")


def fsync_ms(folder: Path) -> float:
    """Return the median cost of one forced write of 2 kB."""
    times = []
    with (folder / "probe").open("wb", buffering=0) as file:
        for _ in range(200):
            file.write(b"x" * 2000)
            times.append(measure(lambda: os.fsync(file.fileno()))[0])
    return 1e3 * float(np.median(times))


def main(n_points: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"one fsync of 2 kB: {fsync_ms(folder):.2f} ms (two a point)")
        report("first open, imports included", measure(lambda: Store.open(folder).close()))
        report("open again", measure(lambda: Store.open(folder).close()))
        with Store.open(folder) as store:
            subscribers = {
                "engine and detector alone": None,
                "… and the record": RecordWriter(folder / "other"),
                "… and the record and Tiled": store,
            }
            for label, subscriber in subscribers.items():
                short, long = (run_once(store, subscriber, n) for n in (1, n_points + 1))
                report(label, 1e3 * (long - short) / n_points, "ms a point")
                report("    a run of one point", short)
            report("open_run, from Tiled", measure(lambda: open_run(store)))
            path = store.record_dir / f"{open_run(store).uid}.jsonl"
            report("Run.from_record", measure(lambda: Run.from_record(path)))
            report("its patterns", measure(Run.from_record(path).patterns))


def run_once(store: Store, subscriber: Callable[..., object] | None, n_points: int) -> np.ndarray:
    engine = RunEngine({})
    if subscriber is not None:
        engine.subscribe(subscriber)
    return measure(lambda: engine(plan(store.frames_dir, n_points)))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
