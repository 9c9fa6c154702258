"""A stack larger than memory: super-resolved under a limit, killed, resumed, the same bit for bit.

    python benchmarks/bench_volume.py [--edge 512] [--memory-mib 1024] [--slabs 2]

64 × 512 × 512 labels become 505 × 512 × 512 twice: once in one go, once killed by SIGKILL in the
middle of each pass and started again. Then 128 × 1024 × 1024 labels are prepared, and some slabs of
each pass are run under the same limit. Every run is a process of its own, whose address space may
grow by the limit beyond what it is before the first slab. The network is small, for time alone.
"""

from __future__ import annotations

import argparse
import json
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from bl_steer.analysis.superresolution.decimation import Decimation
from bl_steer.analysis.superresolution.model import train_model
from bl_steer.analysis.superresolution.training import TrainingSettings
from bl_steer.analysis.superresolution.zarr_volume import super_resolve_zarr

FACTOR = 8
SETTINGS = TrainingSettings(
    factor=FACTOR, decimation=Decimation(pitch_px=FACTOR), blocks=1, channels=8, steps=40
)
PAUSE_S = 1.0
"""From a slab's end to the kill: the next slab is under way."""


class EnoughError(Exception):
    """As many slabs are done as were asked for."""


def three_phases(edge: int) -> NDArray[np.uint8]:
    """Return labels (edge / 8, edge, edge) of a structure that is isotropic at a pitch of 8 px."""
    rng = np.random.default_rng(0)
    shape = (edge // FACTOR, edge, edge)
    fields = [gaussian_filter(rng.standard_normal(shape, np.float32), (0.9, 7, 7)) for _ in "abc"]
    return np.asarray(np.argmax(fields, axis=0), np.uint8)


def prepare(folder: Path, edge: int) -> None:
    labels = three_phases(edge)
    train_model(labels[::8], SETTINGS, n_phases=3, folder=folder / "model")
    store(folder / "slices.zarr", labels)
    store(folder / "large.zarr", np.tile(labels, (2, 2, 2)))


def store(path: Path, labels: NDArray[np.uint8]) -> None:
    """Write a stack as a microscope would: slice by slice."""
    chunks = (1, *labels.shape[1:])
    stack: Any = zarr.create_array(str(path), shape=labels.shape, chunks=chunks, dtype=np.uint8)
    stack[:] = labels


def child(folder: Path, source: str, target: str, memory_mib: int, slabs: int) -> None:
    """Super-resolve in this process, which may take no more memory than the limit."""
    with tempfile.TemporaryDirectory() as name:  # all that is loaded once
        store(Path(name) / "slices.zarr", three_phases(64))
        super_resolve_zarr(folder / "model", Path(name) / "slices.zarr", Path(name) / "out.zarr")
    base, began = memory_mib_of("VmSize"), memory_mib_of("VmRSS")
    limit = (base + memory_mib) * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew

    def show(done: int, total: int) -> None:
        nonlocal slabs
        peak, space = memory_mib_of("VmHWM") - began, memory_mib_of("VmPeak") - base
        print(json.dumps([done, total, peak, space, time.process_time()]), flush=True)
        slabs -= 1
        if slabs == 0:
            raise EnoughError

    try:
        super_resolve_zarr(folder / "model", folder / source, folder / target, progress=show)
    except EnoughError:
        return


def memory_mib_of(name: str) -> int:
    """Return an entry of this process's status, MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) // 1024
    raise KeyError(name)


def run(
    folder: Path, source: str, target: str, limit: int, *, slabs: int = 0, kill_at: int = 0
) -> list[list[float]]:
    """Run a child; kill it while it works on the slab after `kill_at`. Return what it printed."""
    command = [sys.executable, __file__, "--child", str(folder), source, target]
    command += ["--memory-mib", str(limit), "--slabs", str(slabs)]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    lines: list[list[float]] = []
    if started.stdout is None:
        raise TypeError("the child's output was asked for")
    for text in started.stdout:
        lines.append(json.loads(text))
        if kill_at and lines[-1][0] == kill_at:
            time.sleep(PAUSE_S)
            started.send_signal(signal.SIGKILL)
    code = started.wait()
    if code != (-signal.SIGKILL if kill_at else 0):
        raise RuntimeError(f"a run must end as it was asked to, got code {code} for {target}")
    return lines


def report(name: str, *runs: list[list[float]]) -> None:
    one = {
        "run": name,
        "slabs": [len(lines) for lines in runs],
        "of": int(runs[0][-1][1]),
        "peak_above_base_mib": max(line[2] for lines in runs for line in lines),
        "address_space_above_base_mib": max(line[3] for lines in runs for line in lines),
        "cpu_s": round(sum(lines[-1][4] for lines in runs)),
    }
    print(json.dumps(one), flush=True)


def same(folder: Path, name: str) -> bool:
    """Whether both groups hold the same array, looked at slab by slab."""
    one, other = (zarr.open_group(str(folder / group), mode="r")[name] for group in ("a", "b"))
    edge = one.shape[-1]
    return all(
        np.array_equal(np.asarray(one[..., x : x + 32]), np.asarray(other[..., x : x + 32]))
        for x in range(0, edge, 32)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edge", type=int, default=512)
    parser.add_argument("--memory-mib", type=int, default=1024)
    parser.add_argument("--slabs", type=int, default=2, help="of each pass of the larger volume")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.child:
        child(Path(a.child[0]), a.child[1], a.child[2], a.memory_mib, a.slabs)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, a.edge)
        half = a.edge // 64  # of the slabs of a pass
        whole = run(folder, "slices.zarr", "a", a.memory_mib)
        report("in one go", whole)
        parts = [
            run(folder, "slices.zarr", "b", a.memory_mib, kill_at=half),
            run(folder, "slices.zarr", "b", a.memory_mib, kill_at=3 * half),
            run(folder, "slices.zarr", "b", a.memory_mib),
        ]
        report("killed twice", *parts)
        print(json.dumps({n: same(folder, n) for n in ("volume", "uncertainty", "xz")}), flush=True)
        xz = run(folder, "large.zarr", "c", a.memory_mib, slabs=a.slabs)
        report(f"{2 * a.edge} edge, first pass", xz)
        group: Any = zarr.open_group(str(folder / "c"), mode="r+")
        group["xz_done"][:] = True  # as if; what was not run reads as zeros
        yz = run(folder, "large.zarr", "c", a.memory_mib, slabs=a.slabs)
        report(f"{2 * a.edge} edge, second pass", yz)


if __name__ == "__main__":
    main()
