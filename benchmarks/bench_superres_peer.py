"""SRRAM beside an implicit network of 2024, on the same slices and with the same time to train.

    python benchmarks/bench_superres_peer.py grains:1 grains:2 network:0 [--factor 8] [--steps 150]
    python benchmarks/bench_superres_peer.py electrode [--factor 8 | 10]
    python benchmarks/bench_superres_peer.py grains:1 --grey

Slices are true labels (with --grey, noisy grey levels); of the electrode, 161 × 161 × 150 voxels.
SRRAM trains as many steps as are given, and the peer as many CPU seconds as that took. The mean of
the shares in two directions decides: by the most probable phase, or as `PhaseChoice` does for
SRRAM. Inserted planes alone are scored, volumes and areas on whole volumes.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np
import torch
from bench_superres import ELECTRODE, settings, timed
from implicit_peer import super_resolved, trained
from numpy.typing import NDArray
from superres_phantom import EDGE, areas, inserted, miou, phantom, psnr, thresholded, volumes

from bl_steer.analysis.superresolution.baselines import nearest, signed_distance
from bl_steer.analysis.superresolution.model import train_model
from bl_steer.analysis.superresolution.volume import super_resolve


def specimen(name: str, factor: int) -> tuple[NDArray[np.uint8], NDArray[np.float32] | None]:
    """Return the true labels, and the grey levels that a microscope sees, of whole intervals."""
    if name == "electrode":
        import tifffile

        truth = tifffile.imread(ELECTRODE)[: (EDGE - 1) // factor * factor + 1, :EDGE, :EDGE]
        return np.ascontiguousarray(truth), None
    family, _, seed = name.partition(":")
    made = phantom(family, int(seed)).cut((EDGE - 1) // factor * factor + 1)
    return made.labels, made.seen


def compare(name: str, factor: int, steps: int, *, grey: bool) -> None:
    truth, seen = specimen(name, factor)
    between = inserted(len(truth), factor)

    def report(method: str, labels: NDArray[np.uint8], **others: Any) -> None:
        row = {
            "specimen": name,
            "factor": factor,
            "method": method,
            "miou": round(miou(truth[between], labels[between]), 4),
            "volume_error_pct": (100 * (volumes(labels) / volumes(truth) - 1)).round(1).tolist(),
            "area_error_pct": (100 * (areas(labels) / areas(truth) - 1)).round(1).tolist(),
            **others,
        }
        print(json.dumps(row), flush=True)

    if grey:
        if seen is None:
            raise SystemExit(f"{name} has no grey levels; leave --grey out")
        slices: NDArray[Any] = seen[::factor]
    else:
        slices = truth[::factor]
        report("nearest", np.asarray(nearest(slices, factor), np.uint8))
        report("signed distance", signed_distance(slices, factor, 3))
    n_phases = None if grey else 3
    model, seconds = timed(
        lambda: train_model(slices, settings(factor, steps=steps), n_phases=n_phases)
    )
    volume, spent = timed(lambda: super_resolve(model, slices).volume)
    values = model.values_of(slices)
    network, peer_seconds = timed(lambda: trained(values, factor, seconds=seconds))
    (mean, choice), peer_spent = timed(lambda: super_resolved(network, values, factor))
    ours = {"training_cpu_s": round(seconds), "running_cpu_s": round(spent)}
    theirs = {"training_cpu_s": round(peer_seconds), "running_cpu_s": round(peer_spent)}
    if choice is None:
        found = mean[0] * model.deviation + model.mean
        for method, grey_of, costs in (("SRRAM", volume, ours), ("implicit peer", found, theirs)):
            level = psnr(truth_grey(name, factor)[between], grey_of[between])
            report(method, thresholded(grey_of), psnr_db=round(level, 2), **costs)
        return
    report("SRRAM", volume, **ours)
    report("implicit peer, most probable", np.asarray(mean.argmax(axis=0), np.uint8), **theirs)
    labels = choice(mean)
    labels[::factor] = slices
    report("implicit peer, choice as SRRAM", labels, **theirs)


def truth_grey(name: str, factor: int) -> NDArray[np.float32]:
    """Return the grey levels without noise."""
    family, _, seed = name.partition(":")
    return phantom(family, int(seed)).cut((EDGE - 1) // factor * factor + 1).clean


def main() -> None:
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("specimens", nargs="+", help="FAMILY:SEED or electrode")
    parser.add_argument("--factor", type=int, default=8)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--grey", action="store_true")
    a = parser.parse_args()
    for name in a.specimens:
        compare(name, a.factor, a.steps, grey=a.grey)


if __name__ == "__main__":
    main()
