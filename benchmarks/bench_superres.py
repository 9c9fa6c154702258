"""Super-resolution of slice-and-view stacks beside what it must beat, with the truth known.

    python benchmarks/bench_superres.py phantom [--family grains] [--seeds 1:2] [--factor 8]
    python benchmarks/bench_superres.py electrode [--axis 0]
    python benchmarks/bench_superres.py speed
    python benchmarks/bench_superres.py memory [--edge 512]

Inserted planes alone are scored, volumes and areas on whole volumes. Labels of the slices come from
grey thresholds, and with --unet from a U-Net that has learnt from four painted slices of the
stack. Every stage learns from the stack's own slices. Times are CPU seconds of one
thread.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr
from numpy.typing import NDArray
from superres_phantom import (
    EDGE,
    Phantom,
    areas,
    inserted,
    miou,
    phantom,
    psnr,
    ssim,
    thresholded,
    volumes,
)

from bl_steer.analysis.segmentation import FIBSEM_PHASES, SegmentationModel, segment
from bl_steer.analysis.segmentation.model import prepared
from bl_steer.analysis.segmentation.training import Augmentation, Training
from bl_steer.analysis.segmentation.training import TrainingSettings as SegmentationSettings
from bl_steer.analysis.superresolution.baselines import GREY_BASELINES, nearest, signed_distance
from bl_steer.analysis.superresolution.decimation import Decimation
from bl_steer.analysis.superresolution.model import SuperResolutionModel, train_model
from bl_steer.analysis.superresolution.network import SIZES, SRRAM, make_network
from bl_steer.analysis.superresolution.phase_choice import PhaseChoice
from bl_steer.analysis.superresolution.sections import insert_rows, interleaved
from bl_steer.analysis.superresolution.slabs import SLAB_PX, Inserter, SlabWork, n_planes
from bl_steer.analysis.superresolution.training import TrainingSettings
from bl_steer.analysis.superresolution.volume import super_resolve

ELECTRODE = Path(__file__).parents[2] / "shared" / "data" / "volumes" / "nmc_carbon_binder_half.tif"
ROUNDS = 5
"""Of the timings."""
SEGMENTER = SegmentationSettings(
    rounds=1,
    network="unet",
    widths=(16, 32),
    steps=600,
    batch=4,
    patch_px=96,
    evaluate_every=100,
    rarity_power=0.0,
    rare_share=0.0,
    dice_share=0.0,
    calibrate=False,
    learning_rate=5e-3,
    augmentation=Augmentation(
        warp_share=0, gain=0, offset=0, gamma=0, noise=0.01, blur_px=0, shading=0
    ),
)
"""Small, for greys without the faults of a real microscope."""


def settings(factor: int, **others: Any) -> TrainingSettings:
    return TrainingSettings(factor=factor, decimation=Decimation(pitch_px=factor), **others)


def bench_phantom(
    family: str, seed: int, factor: int, *, unet: bool, with_grey: bool = True, **others: Any
) -> list[dict[str, Any]]:
    made = phantom(family, seed).cut((EDGE - 1) // factor * factor + 1)
    between = inserted(len(made.seen), factor)
    report = Report(made, between, family, seed, factor)
    slices = made.seen[::factor]
    for name, interpolate in GREY_BASELINES.items():
        grey = np.asarray(interpolate(slices, factor), np.float32)
        report.row(f"{name} + threshold", grey, thresholded(grey))
    if with_grey:
        model, seconds = timed(lambda: train_model(slices, settings(factor, **others)))
        found, spent = timed(lambda: super_resolve(model, slices))
        report.row("SRRAM + threshold", found.volume, thresholded(found.volume), seconds, spent)
    sources = {"thresholded": thresholded(slices)}
    if unet:
        segmenter, spent = timed(lambda: train_segmenter(slices, made.labels[::factor]))
        sources["U-Net"] = segmented(segmenter, slices)
        print(f"segmenter trained in {spent:.0f} CPU s", flush=True)
    for name, labels in sources.items():
        print(f"{name} slices: mIoU {miou(made.labels[::factor], labels):.4f}", flush=True)
        report.row(f"{name} slices, nearest", None, np.asarray(nearest(labels, factor), np.uint8))
        report.row(f"{name} slices, signed distance", None, signed_distance(labels, factor, 3))
    # Of the last source: the U-Net's, if there is one.
    model, seconds = timed(lambda: train_model(labels, settings(factor, **others), n_phases=3))
    found, spent = timed(lambda: super_resolve(model, labels))
    report.row(f"{name} slices, SRRAM of labels", None, found.volume, seconds, spent)
    return report.rows


class Report:
    """Scores against a phantom's truth, printed as they come."""

    def __init__(self, made: Phantom, between: NDArray[np.bool_], *key: Any) -> None:
        self.made, self.between, self.key = made, between, key
        self.volumes, self.areas = volumes(made.labels), areas(made.labels)
        self.rows: list[dict[str, Any]] = []

    def row(
        self,
        name: str,
        grey: NDArray[np.float32] | None,
        labels: NDArray[np.uint8],
        training_s: float = 0.0,
        running_s: float = 0.0,
    ) -> None:
        family, seed, factor = self.key
        one: dict[str, Any] = {"family": family, "seed": seed, "factor": factor, "method": name}
        if grey is not None:
            one["psnr_db"] = psnr(self.made.clean[self.between], grey[self.between])
            one["ssim"] = ssim(self.made.clean[self.between], grey[self.between])
        one["miou"] = miou(self.made.labels[self.between], labels[self.between])
        one["volume_error_pct"] = (100 * (volumes(labels) / self.volumes - 1)).round(2).tolist()
        one["area_error_pct"] = (100 * (areas(labels) / self.areas - 1)).round(1).tolist()
        one |= {"training_cpu_s": round(training_s, 1), "running_cpu_s": round(running_s, 1)}
        self.rows.append(one)
        print(json.dumps(one), flush=True)


def bench_electrode(axis: int, factor: int, **others: Any) -> list[dict[str, Any]]:
    """Score label chains on real geometry: pore, active, carbon binder one voxel thin."""
    import tifffile

    truth = np.moveaxis(tifffile.imread(ELECTRODE), axis, 0)
    truth = np.ascontiguousarray(truth[: (len(truth) - 1) // factor * factor + 1])
    slices, between = truth[::factor], inserted(len(truth), factor)
    model, seconds = timed(lambda: train_model(slices, settings(factor, **others), n_phases=3))
    found, spent = timed(lambda: super_resolve(model, slices).volume)
    print(f"trained in {seconds:.0f}, run in {spent:.0f} CPU s", flush=True)
    rows = []
    for name, labels in (
        ("nearest", np.asarray(nearest(slices, factor), np.uint8)),
        ("signed distance", signed_distance(slices, factor, 3)),
        ("SRRAM of labels", found),
    ):
        carbon, true = labels[between] == 2, truth[between] == 2
        both = (carbon & true).sum()
        one = {
            "axis": axis,
            "shape": list(truth.shape),
            "method": name,
            "miou": miou(truth[between], labels[between]),
            "carbon_volume_error_pct": 100 * float((labels == 2).mean() / (truth == 2).mean() - 1),
            "carbon_recall": float(both / true.sum()),
            "carbon_precision": float(both / max(carbon.sum(), 1)),
            "area_error_pct": (100 * (areas(labels) / areas(truth) - 1)).round(1).tolist(),
        }
        rows.append(one)
        print(json.dumps(one), flush=True)
    return rows


def bench_speed() -> list[dict[str, Any]]:
    """Time sections of a 257³ volume at 8×, beside an eager loop over the network as it stands."""
    rows = []
    for blocks, channels in list(SIZES.values())[:2]:
        ours = [make_network(1, blocks, channels, seed=0).eval() for _ in range(3)]
        plain = [make_network(1, blocks, channels, seed=0).eval() for _ in range(3)]
        for network in plain:
            network.to(memory_format=torch.contiguous_format)
        x = torch.randn(4, 1, 33, 257, generator=torch.Generator().manual_seed(0))
        insert_rows(ours, x[:1].numpy())
        ratios, rates = [], []
        eager(plain, x[:1])
        for _ in range(ROUNDS):  # in turn, so that other work on the machine slows both
            found, own = timed(partial(section_by_section, ours, x))
            expected, loop = timed(partial(eager, plain, x))
            ratios.append(loop / own)
            rates.append((found.size / loop / 2, found.size / own / 2))
        slow, fast = np.median(rates, axis=0)
        one = {
            "blocks": blocks,
            "channels": channels,
            "eager_voxels_per_s": slow,
            "voxels_per_s": fast,
            "ratios": np.round(ratios, 2).tolist(),
            "largest_difference": float(np.abs(found - expected).max()),
        }
        rows.append(one)
        print(json.dumps(one), flush=True)
    return rows


def bench_memory(edge: int) -> list[dict[str, Any]]:
    """Measure the peak memory of two sections of labels at 8×, and add what a slab has besides."""
    stages = tuple(make_network(3, *SIZES["small"], seed=0).eval() for _ in range(3))
    model = SuperResolutionModel(stages, settings(8))
    n = edge // 8
    shape, thin = (n_planes(n, 8), edge, edge), (128, 128, 32)
    with tempfile.TemporaryDirectory() as folder:
        group: Any = zarr.open_group(folder, mode="a")
        arrays = [
            group.create_array("slices", shape=(n, edge, edge), chunks=(1, edge, edge), dtype="u1"),
            group.create_array("xz", shape=(3, *shape), chunks=(3, 128, 32, 32), dtype="f2"),
            group.create_array("volume", shape=shape, chunks=thin, dtype="u1"),
            group.create_array("uncertainty", shape=shape, chunks=thin, dtype="f4"),
        ]
        work = SlabWork(Inserter(model), *arrays)
        insert_rows(stages, np.zeros((1, 3, 9, 40), np.float32))
        base, two = peak_mib(), slice(0, 2)

        def both_passes() -> None:
            work.keep_first(two, work.inserter.first_pass(work.for_first(two)))
            choice = PhaseChoice.free(8, 3)
            work.keep_second(two, work.inserter.second_pass(work.for_second(two), choice))

        _, seconds = timed(both_passes)
        above = peak_mib() - base
    # Of xz, volume and uncertainty.
    besides = (SLAB_PX - 2) * shape[0] * edge * (3 * 2 + 1 + 4) / 2**20
    one = {
        "edge": edge,
        "above_base_mib": above,
        "whole_slab_mib": above + besides,
        "voxels_per_s": shape[0] * edge * 2 / seconds,
    }
    print(json.dumps(one), flush=True)
    return [one]


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def section_by_section(stages: list[SRRAM], x: torch.Tensor) -> NDArray[np.float32]:
    """Return what the package finds, as `Inserter` calls it."""
    return np.concatenate([insert_rows(stages, section[None].numpy()) for section in x])


def eager(stages: list[SRRAM], x: torch.Tensor) -> NDArray[np.float32]:
    """Return what a plain loop in f32 finds, section by section."""
    out = []
    with torch.inference_mode():
        for section in x:
            rows = section[None]
            for stage in stages:
                rows = interleaved(rows, stage(rows))
            out.append(rows)
    return torch.cat(out).numpy()


def train_segmenter(slices: NDArray[np.float32], truth: NDArray[np.uint8]) -> SegmentationModel:
    """Return a U-Net that has seen four painted slices of the stack; a fifth chose its weights."""
    painted = np.linspace(1, len(slices) - 2, 5).round().astype(int)
    held = int(painted[2])
    shown = np.setdiff1d(painted, [held])
    training = Training(
        SEGMENTER,
        FIBSEM_PHASES,
        [(mosaic(slices[shown]), mosaic(truth[shown]))],
        [(slices[held], truth[held])],
    )
    return SegmentationModel(
        prepared(training.run()), "unet", SEGMENTER.widths or (), FIBSEM_PHASES
    )


def segmented(model: SegmentationModel, planes: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return labels of slices segmented side by side.

    A slice of 161 px holds so few grains that its own mean and deviation would shift its greys.
    """
    edge, few = planes.shape[1], int(np.ceil(np.sqrt(len(planes))))
    filled = planes[np.arange(few**2) % len(planes)]
    found = segment(model, mosaic(filled), keep_probability=False).labels
    tiles = found.reshape(few, edge, few, edge).swapaxes(1, 2).reshape(few**2, edge, edge)
    return np.asarray(tiles[: len(planes)])


def mosaic(planes: NDArray[Any]) -> NDArray[Any]:
    """Return a square number of planes side by side."""
    few = int(np.sqrt(len(planes)))
    return np.block([list(row) for row in planes.reshape(few, few, *planes.shape[1:])])


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    began = time.process_time()
    return work(), time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    choices = ("phantom", "electrode", "speed", "memory")
    parser.add_argument("what", nargs="?", default="speed", choices=choices)
    parser.add_argument("--family", default="grains")
    parser.add_argument("--seeds", default="1:2")
    parser.add_argument("--factor", type=int, default=8)
    parser.add_argument("--edge", type=int, default=512)
    parser.add_argument("--axis", type=int, default=0)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--size", choices=tuple(SIZES), default="small")
    parser.add_argument("--unet", action="store_true")
    parser.add_argument("--no-grey", action="store_true", help="leave out SRRAM of grey levels")
    parser.add_argument("--json", type=Path)
    a = parser.parse_args()
    torch.set_num_threads(1)
    training = {
        "steps": a.steps,
        **dict(zip(("blocks", "channels"), SIZES[a.size], strict=True)),
    }
    if a.what == "speed":
        rows = bench_speed()
    elif a.what == "memory":
        rows = bench_memory(a.edge)
    elif a.what == "electrode":
        rows = bench_electrode(a.axis, a.factor, **training)
    else:
        first, last = (int(part) for part in a.seeds.split(":"))
        rows = [
            row
            for seed in range(first, last)
            for row in bench_phantom(
                a.family, seed, a.factor, unet=a.unet, with_grey=not a.no_grey, **training
            )
        ]
    if a.json:
        a.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
