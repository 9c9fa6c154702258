"""The structure of label volumes: accuracy on known shapes, speed, memory, and two peers.

    python benchmarks/bench_structure.py [accuracy] [intervals] [speed] [peers] [real]
        [--edge 512] [--peer-edge 160] [--porespy PYTHON]

Times are CPU seconds and, in brackets, wall-clock seconds. ``--porespy`` is the Python of an
environment that has porespy; without it marching cubes is the only peer.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bl_steer.analysis.structure import LabelVolume
from bl_steer.analysis.structure.areas import ContactAreas, contact_areas
from bl_steer.analysis.structure.chords import chord_lengths
from bl_steer.analysis.structure.connectivity import connected_parts
from bl_steer.analysis.structure.correlation import two_point_correlation
from bl_steer.analysis.structure.triple_lines import triple_line_lengths
from simulators.electron.phantoms import CUBE, cap, grains, ring, voxel_positions

REAL = Path(__file__).parents[2] / "shared" / "data" / "volumes" / "nmc_carbon_binder_half.tif"
PORESPY = """
import sys, time, numpy as np, porespy as ps
regions = np.load(sys.argv[1]).astype(int) + 1
ps.settings.tqdm["disable"] = True
began, wall = time.process_time(), time.time()
surfaces = ps.metrics.region_surface_areas(regions=regions)
found = ps.metrics.region_interface_areas(regions=regions, areas=surfaces)
print(time.process_time() - began, time.time() - wall)
for (a, b), area in zip(found.conns, found.area):
    print(int(a), int(b), float(area))
"""
MEMORY = """
import sys, tracemalloc, zarr
from bl_steer.analysis.structure import LabelVolume
from bl_steer.analysis.structure.areas import contact_areas
from simulators.electron.phantoms import grains
contact_areas(LabelVolume.of(grains((16, 16, 16)), (1, 1, 1)))
array = zarr.open_array(sys.argv[1], mode="r")
tracemalloc.start()
contact_areas(LabelVolume.of(array, (1, 1, 1)))
print(tracemalloc.get_traced_memory()[1] / 2**20)
"""


def faces(labels: Any, voxel: tuple[float, float, float], a: int, b: int) -> float:
    total = 0.0
    for axis in range(3):
        m = np.moveaxis(labels, axis, 0)
        pairs = ((m[1:] == a) & (m[:-1] == b)) | ((m[1:] == b) & (m[:-1] == a))
        total += float(pairs.sum() * np.prod(voxel) / voxel[axis])
    return total


def crofton(labels: Any, voxel: Any, n: int, *, fills_box: bool) -> ContactAreas:
    whole = LabelVolume.of(labels, voxel)
    return contact_areas(whole, n_directions=n, fills_box=fills_box, n_draws=100)


def row(name: str, errors: list[list[float]]) -> None:
    percent = 100 * np.array(errors)
    cells = [f"{m:+.2f} (sd {s:.2f})" for m, s in zip(percent.mean(0), percent.std(0), strict=True)]
    print(f"| {name} | " + " | ".join(cells) + " |")


def accuracy() -> None:
    print("| shape, area or length in % of the truth | 13 directions | 49 directions | faces |")
    rng = np.random.default_rng(0)
    shapes = [(5, CUBE, 20), (12, CUBE, 20), (30, CUBE, 8)]
    shapes += [(20, (10.0, 1.0, 1.0), 20), (40, (10.0, 1.0, 1.0), 20)]
    for r, voxel, n in shapes:
        errors = []
        for _ in range(n):
            labels = cap(r, voxel, (0.0, *rng.random(2)))
            truth = 2 * np.pi * r * r
            found = [crofton(labels, voxel, k, fills_box=False).area_nm2[0, 2] for k in (13, 49)]
            found.append(faces(labels, voxel, 0, 2))
            errors.append([area / truth - 1 for area in found])
        row(f"half sphere r = {r}, voxels {voxel[0]:g}:1", errors)
    q = voxel_positions((32, 32, 32), CUBE)
    errors = []
    for normal in rng.standard_normal((300, 3)):
        unit = normal / np.linalg.norm(normal)
        labels = (np.floor((q @ unit + rng.uniform(0, 16)) / 8).astype(int) % 2).astype(np.uint8)
        found = [crofton(labels, CUBE, k, fills_box=True).area_nm2[0, 1] for k in (13, 49)]
        found.append(faces(labels, CUBE, 0, 1) * 32 / 31)
        errors.append([area / (32**3 / 8) - 1 for area in found])
    row("tilted planes, 300 orientations", errors)
    for r, voxel in ((12, CUBE), (30, CUBE), (30, (3.0, 1.0, 1.0)), (40, (10.0, 1.0, 1.0))):
        errors = []
        for turn in range(20):
            whole = LabelVolume.of(ring(r, turn, voxel), voxel)
            errors.append(
                [triple_line_lengths(whole, fills_box=False).length_nm[0] / (2 * np.pi * r) - 1]
            )
        row(f"triple line, ring r = {r}, sectors of 120°, voxels {voxel[0]:g}:1", errors)
    for wedge in (180, 90, 60, 40, 20):
        errors = [[ring_of_wedge(30, wedge, turn)] for turn in range(8)]
        row(f"triple line, ring r = 30, one phase a wedge of {wedge}°", errors)


def ring_of_wedge(r: float, wedge: float, turn: int) -> float:
    from scipy.spatial.transform import Rotation

    rng = np.random.default_rng(turn)
    q = (
        voxel_positions((76, 76, 76), CUBE, rng.random(3))
        @ Rotation.random(random_state=turn).as_matrix()
    )
    angle = np.rad2deg(np.arctan2(q[..., 0], np.hypot(q[..., 1], q[..., 2]) - r)) % 360
    labels = np.where(angle < wedge, 0, np.where(angle < 180 + wedge / 2, 1, 2))
    whole = LabelVolume.of(labels.astype(np.uint8), CUBE)
    return float(triple_line_lengths(whole, fills_box=False).length_nm[0] / (2 * np.pi * r) - 1)


def intervals() -> None:
    """How often the 95 % interval of a box holds the value of the structure it was cut from."""
    for width in (2.0, 4.0):
        large = grains((192, 192, 192), seed=1, width=width)
        truth = contact_areas(LabelVolume.of(large, CUBE)).area_nm2 / 192**3
        pairs = np.triu_indices(3, 1)
        hits = []
        for z, y, x in np.ndindex(4, 4, 4):
            part = large[48 * z : 48 * z + 48, 48 * y : 48 * y + 48, 48 * x : 48 * x + 48]
            found = contact_areas(LabelVolume.of(part, CUBE))
            low, high = (side[pairs] / 48**3 for side in (found.low_nm2, found.high_nm2))
            hits.append((low < truth[pairs]) & (truth[pairs] < high))
        print(f"intervals: grains of width {width:g}, 64 boxes of 48³: {100 * np.mean(hits):.0f} %")


def timed(call: Callable[[], Any]) -> str:
    cpu, wall = time.process_time(), time.time()
    call()
    return f"{time.process_time() - cpu:.2f} ({time.time() - wall:.2f}) s"


def speed(edge: int) -> None:
    import zarr

    small = LabelVolume.of(grains((16, 16, 16)), CUBE)
    measures = (triple_line_lengths, connected_parts, chord_lengths, two_point_correlation)
    for measure in (contact_areas, *measures):
        measure(small)
    cell = grains((128, 128, 128), width=4.0)
    labels = np.tile(cell, (-(-edge // 128),) * 3)[:edge, :edge, :edge]
    print(f"{edge}³, three phases:")
    print("| check and count voxels |", timed(lambda: LabelVolume.of(labels, CUBE)), "|")
    whole = LabelVolume.of(labels, CUBE)
    for n in (13, 49):
        call = timed(lambda n=n: contact_areas(whole, n_directions=n))  # type: ignore[misc]
        print(f"| contact areas, {n} directions, intervals included | {call} |")
    for measure in measures:
        print(f"| {measure.__name__} |", timed(lambda m=measure: m(whole)), "|")  # type: ignore[misc]
    for height in (edge // 4, edge):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "v.zarr"
            zarr.create_array(str(path), data=labels[:height], chunks=(16, edge, edge))
            done = subprocess.run(
                [sys.executable, "-c", MEMORY, str(path)],
                capture_output=True,
                text=True,
                check=True,
            )
        print(f"areas of {height} planes from Zarr: {float(done.stdout):.0f} MiB of arrays at most")


def peers(edge: int, porespy: str | None) -> None:
    from skimage.measure import marching_cubes, mesh_surface_area

    labels = grains((edge,) * 3, width=4.0)
    contact_areas(LabelVolume.of(labels[:16], CUBE))
    found: list[ContactAreas] = []
    ours = timed(lambda: found.append(contact_areas(LabelVolume.of(labels, CUBE))))

    def cubes() -> None:
        surfaces = []
        for phase in range(3):
            vertices, triangles, _, _ = marching_cubes((labels == phase).astype(np.float32), 0.5)
            surfaces.append(mesh_surface_area(vertices, triangles))
        half = sum(surfaces) / 2
        areas = {(a, b): half - surfaces[3 - a - b] for a, b in ((0, 1), (0, 2), (1, 2))}
        results["marching cubes"] = areas

    results: dict[str, dict[tuple[int, int], float]] = {}
    theirs = {"marching cubes": timed(cubes)}
    if porespy is not None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "v.npy"
            np.save(path, labels)
            done = subprocess.run(
                [porespy, "-c", PORESPY, str(path)], capture_output=True, text=True, check=True
            )
        first, *rest = done.stdout.splitlines()[-4:]
        cpu, wall = map(float, first.split())
        theirs["porespy"] = f"{cpu:.2f} ({wall:.2f}) s"
        results["porespy"] = {(int(a), int(b)): float(area) for a, b, area in map(str.split, rest)}
    area = found[0].area_nm2
    print(f"{edge}³, three phases, all pairs; difference from this library's areas")
    print(f"| this library, 13 directions, with intervals | {ours} | |")
    for name, took in theirs.items():
        apart = ", ".join(
            f"{100 * (value / area[pair] - 1):+.1f} %" for pair, value in results[name].items()
        )
        print(f"| {name} | {took} | {apart} |")


def real() -> None:
    import tifffile

    if not REAL.is_file():
        print(f"no real volume: {REAL} is absent")
        return
    labels = tifffile.imread(REAL)
    voxel = (400.0, 400.0, 400.0)
    whole = LabelVolume.of(labels, voxel, {0: "pore", 1: "active", 2: "binder"})
    found = {n: contact_areas(whole, n_directions=n) for n in (13, 49)}
    for a, b in ((0, 1), (0, 2), (1, 2)):
        area, other = found[13].area_nm2[a, b], found[49].area_nm2[a, b]
        low, high = found[13].low_nm2[a, b], found[13].high_nm2[a, b]
        print(
            f"| {whole.phases[a]}–{whole.phases[b]} | {area / 1e6:.0f} ({low / 1e6:.0f} … "
            f"{high / 1e6:.0f}) | {other / 1e6:.0f} | {faces(labels, voxel, a, b) / area:.3f} |"
        )
    lines = triple_line_lengths(whole)
    print(f"triple line {lines.length_nm[0] / 1e3:.0f} µm")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "parts", nargs="*", default=["accuracy", "intervals", "speed", "peers", "real"]
    )
    parser.add_argument("--edge", type=int, default=512)
    parser.add_argument("--peer-edge", type=int, default=160)
    parser.add_argument("--porespy", metavar="PYTHON")
    arguments = parser.parse_args()
    for part in arguments.parts:
        print(f"-- {part}")
        if part == "speed":
            speed(arguments.edge)
        elif part == "peers":
            peers(arguments.peer_edge, arguments.porespy)
        else:
            {"accuracy": accuracy, "intervals": intervals, "real": real}[part]()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of this process {peak:.0f} MiB")


if __name__ == "__main__":
    main()
