"""The shipped model on simulated micrographs that it has never seen.

    python benchmarks/bench_shipped_model.py simulated
    python benchmarks/bench_shipped_model.py edges [--specimens 920:940] [--model fibsem]
    python benchmarks/bench_shipped_model.py alarms
    python benchmarks/bench_shipped_model.py clipped
    python benchmarks/bench_shipped_model.py speed

The same on networks that are trained for the purpose: `bench_segmentation.py`.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bl_steer.analysis.grey_levels import clipped_shares
from bl_steer.analysis.reconstruction import without_specks
from bl_steer.analysis.segmentation import (
    ONE_PASS,
    Acquisition,
    Passes,
    SegmentationModel,
    confusion,
    find_model,
    iou,
    segment,
)
from bl_steer.analysis.structure import LabelVolume, contact_areas, triple_line_lengths
from simulators.electron.fibsem_sample import FAMILIES, PHASES
from simulators.electron.micrographs import field, micrograph

TURNED = Passes(views=8)
PIXEL_NM = 10.0
SPECKS_PX = (1, 3, 10)
"""Smallest parts that stay in the labels (`speck_px` of ``reconstruct``)."""
UNSEEN = range(920, 940)
"""Specimens that no training and no choice of a recipe has seen."""
FIELDS = 4
"""Of each specimen: a phase fraction is that of the specimen, and one field errs alone."""
ALIKE = range(5000, 5100)
"""Specimens of the trained family for the alarms of "unlike those of the training"."""
CLIPPED = range(9000, 9100)
"""Specimens whose contrast is cut off."""
CHANGED: dict[str, dict[str, Any]] = {
    "7 nm a pixel": {"pixel_size_nm": 7.0},
    "14 nm a pixel": {"pixel_size_nm": 14.0},
    "1 kV": {"accelerating_voltage_kV": 1.0},
    "5 kV": {"accelerating_voltage_kV": 5.0},
    "etched 30 s": {"etching_s": 30.0},
    "osmium": {"staining": "osmium"},
    "dwell 3 µs": {"dwell_us": 3.0},
}
"""In place of 10 nm, 2 kV, no etching, no staining, 10 µs."""


def simulated() -> list[dict[str, Any]]:
    """Score the shipped model on specimens and a family that it has never seen, beside Otsu."""
    from skimage.filters import threshold_multiotsu

    from bl_steer.analysis.segmentation import score

    model = find_model("fibsem")
    rows = []
    for family in ("grains", "network"):
        truths, found, otsu = [], [], []
        for seed in UNSEEN:
            for image, labels in fields_of(family, seed):
                truths.append(labels)
                found.append(segment(model, image, keep_probability=False).labels)
                thresholds = threshold_multiotsu(image, 3)
                otsu.append((2 - np.digitize(image, thresholds)).astype(np.uint8))
        scored = score(truths, found, 3)
        one_field = scored.fraction_bias
        specimens = one_field.reshape(len(UNSEEN), FIELDS, 3).mean(axis=1)
        rows.append(
            {
                "family": family,
                "fields": len(truths),
                "miou": round(scored.miou, 4),
                "interval": [round(scored.miou_low, 4), round(scored.miou_high, 4)],
                "iou": np.round(scored.iou, 4).tolist(),
                "mean bias of the fractions": np.round(one_field.mean(axis=0), 4).tolist(),
                "largest errors, one field": _largest(one_field),
                f"largest errors, {FIELDS} fields": _largest(specimens),
                "otsu": round(score(truths, otsu, 3).miou, 4),
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    return rows


def fields_of(family: str, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return micrographs, 512×512, of places 20 µm apart in one specimen, with the truth."""
    from simulators.electron.fibsem_sample import FibsemSpecimen
    from simulators.electron.micrographs import micrograph

    fields = []
    for number in range(FIELDS):
        place = (0.0, 20.0 * (number // 2), 20.0 * (number % 2))
        specimen = FibsemSpecimen(family, seed=seed, shape=(1, 512, 512), origin_um=place)
        labels = specimen.labels[0]
        fields.append((micrograph(labels, seed=[seed, number]), labels))
    return fields


def edges(model: SegmentationModel, specimens: range) -> list[dict[str, Any]]:
    """Compare boundaries of each pair of phases and triple points with those of the truth.

    A row for each family and least size of a speck; the last says what the specks of the truth
    itself make up.
    """
    rows = []
    for family in FAMILIES:
        fields = [fields_of(family, seed) for seed in specimens]
        found = [
            [segment(model, image, keep_probability=False).labels for image, _ in part]
            for part in fields
        ]
        truths = [[labels for _, labels in part] for part in fields]
        counts = sum(
            confusion(truth, labels, len(PHASES))
            for one, other in zip(truths, found, strict=True)
            for truth, labels in zip(one, other, strict=True)
        )
        true = np.array([_lines(part, 1) for part in truths])
        score = round(float(np.mean(iou(np.asarray(counts)))), 4)
        told = {"family": family, "specimens": f"{specimens.start}:{specimens.stop}"}
        for smallest in SPECKS_PX:
            lines = np.array([_lines(part, smallest) for part in found])
            rows.append({**told, "miou": score, "specks_px": smallest, **_errors(lines, true)})
            print(json.dumps(rows[-1]), flush=True)
        cleared = np.array([_lines(part, SPECKS_PX[-1]) for part in truths])
        rows.append({**told, "truth, specks_px": SPECKS_PX[-1], **_errors(cleared, true)})
        print(json.dumps(rows[-1]), flush=True)
    return rows


def _lines(fields: list[NDArray[np.uint8]], smallest_px: int) -> NDArray[np.float64]:
    """Return, over fields of one specimen, the boundary of each pair of phases and triple points.

    In a plane, what `structure` calls areas and lengths are proportional to these.
    """
    names = dict(enumerate(PHASES))
    pairs = list(combinations(range(len(PHASES)), 2))
    total = np.zeros(len(pairs) + 1)
    for labels in fields:
        plane = without_specks(labels, smallest_px)[None]
        volume = LabelVolume.of(plane, (PIXEL_NM,) * 3, names)
        areas = contact_areas(volume, blocks=1, n_draws=1).area_nm2
        points = triple_line_lengths(volume, blocks=1, n_draws=1).length_nm[0]
        total += [*(areas[pair] for pair in pairs), points]
    return total


def _errors(found: NDArray[np.float64], true: NDArray[np.float64]) -> dict[str, list[float]]:
    """Return median, mean, deviation and worst of the errors over specimens, in %."""
    errors = 100 * (found / true - 1)
    names = [
        *(f"{PHASES[i]}-{PHASES[j]}" for i, j in combinations(range(len(PHASES)), 2)),
        "triple",
    ]
    worst = errors[abs(errors).argmax(axis=0), range(len(names))]
    summary = np.stack([np.median(errors, axis=0), errors.mean(axis=0), errors.std(axis=0), worst])
    return {
        name: np.round(column, 1).tolist() for name, column in zip(names, summary.T, strict=True)
    }


def alarms() -> dict[str, Any]:
    """Count warnings of the shipped model on micrographs taken alike, and on others."""
    from simulators.electron.fibsem_sample import FibsemSpecimen
    from simulators.electron.imaging import ImagingConditions

    known = Acquisition.from_dict(find_model("fibsem").card["conditions"])
    report: dict[str, Any] = {}
    for edge in (256, 384, 512, 768, 1024):
        shape = (edge, edge)
        told = [known.warnings_for(field("grains", n, shape=shape).image) for n in ALIKE]
        report[f"alike, {edge}"] = f"{sum(map(bool, told))} of {len(told)}"
        print(edge, report[f"alike, {edge}"], flush=True)
    flagged = 0
    for seed in ALIKE[:30]:
        boxes = [
            FibsemSpecimen("grains", seed=seed, shape=(1, 256, 256), origin_um=(0.1 * n, 0, 0))
            for n in range(12)
        ]
        images = [micrograph(box.labels[0], seed=[seed, n]) for n, box in enumerate(boxes)]
        flagged += bool(known.warnings_for(images))
    report["alike, 12 slices of 256"] = f"{flagged} of 30"
    for edge in (256, 512, 1024):
        for name, change in CHANGED.items():
            taken = ImagingConditions(**change)
            told = [
                known.warnings_for(field("grains", n, shape=(edge, edge), conditions=taken).image)
                for n in range(3000, 3020)
            ]
            report[f"{name}, {edge}"] = f"{sum(map(bool, told))} of {len(told)}"
            print(name, edge, report[f"{name}, {edge}"], flush=True)
    return report


def clipped() -> dict[str, Any]:
    """Count images named for their clipped contrast: as they are, and with a share cut off."""
    known = Acquisition.from_dict(find_model("fibsem").card["conditions"])
    report: dict[str, Any] = {}
    for family in FAMILIES:
        images = [field(family, seed, shape=(256, 256)).image for seed in CLIPPED]
        shares: dict[str, list[tuple[float, float]]] = {
            "as they are": [clipped_shares(image, known.least_clipped) for image in images]
        }
        for cut in (0.1, 0.2, 0.4):
            for end, kept in (("dark", np.maximum), ("bright", np.minimum)):
                levels = [np.quantile(i, cut if end == "dark" else 1 - cut) for i in images]
                shares[f"{cut:.0%} cut off, {end}"] = [
                    clipped_shares(kept(image, round(level)), known.least_clipped)
                    for image, level in zip(images, levels, strict=True)
                ]
        for name, each in shares.items():
            report[f"{family}, {name}"] = f"{sum(map(any, each))} of {len(each)}"
            print(family, name, report[f"{family}, {name}"], flush=True)
    return report


def _largest(errors: np.ndarray) -> dict[str, Any]:
    """Summarise the largest error of a phase fraction in each row."""
    largest = abs(errors).max(axis=1)
    return {
        "within .01": f"{(largest <= 0.01).sum()} of {len(largest)}",
        "median": round(float(np.median(largest)), 4),
        "worst": round(float(largest.max()), 4),
    }


def speed() -> dict[str, Any]:
    """Time the default network on one core; measure the memory of a large field."""
    model = find_model("fibsem")
    image, labels, _ = field("grains", 400, shape=(768, 1024))
    large = np.tile(image, (6, 4))[:4096, :4096]
    report: dict[str, Any] = {"4096 x 4096": _memory_of(model, large)}
    for name, passes in {
        "f32": ONE_PASS,
        "bf16": Passes(precision="bf16"),
        "f32, 8 views": TURNED,
    }.items():
        began = time.perf_counter()
        found = segment(model, image, passes=passes)
        report[f"1024 x 768, {name}"] = {
            "seconds": round(time.perf_counter() - began, 2),
            "agree": round(float((found.labels == labels).mean()), 4),
        }
    print(json.dumps(report, indent=1), flush=True)
    return report


def _memory_of(model: SegmentationModel, image: np.ndarray) -> dict[str, float]:
    """Segment a large field first of all, while the peak is still the process's base."""
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    segment(model, image)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "seconds": round(time.perf_counter() - began, 1),
        "GiB above base": round((peak - base) / 2**20, 2),
    }


def main() -> None:
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "what", nargs="?", choices=("simulated", "edges", "alarms", "clipped", "speed")
    )
    parser.add_argument("--specimens", default=f"{UNSEEN.start}:{UNSEEN.stop}")
    parser.add_argument("--model", default="fibsem", help="of edges: a name or a folder")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    first, _, end = arguments.specimens.partition(":")
    results: dict[str, Any] = {}
    if arguments.what in (None, "speed"):
        results["speed"] = speed()
    if arguments.what in (None, "simulated"):
        results["simulated"] = simulated()
    if arguments.what in (None, "edges"):
        results["edges"] = edges(find_model(arguments.model), range(int(first), int(end)))
    if arguments.what in (None, "alarms"):
        results["alarms"] = alarms()
    if arguments.what in (None, "clipped"):
        results["clipped"] = clipped()
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
