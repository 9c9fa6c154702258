"""Factorisation of whole maps of the simulated film, beside scikit-learn's NMF in one run.

    python benchmarks/bench_components.py [SEEDS]

Each map has 961 patterns of 33×33 pixels, four components. Printed are processor times on one core
and how well the best component's map follows the true one of the Ge-rich phase (correlation), on
the preset noisy, with its hot pixels, and on multi-domain.
"""

from __future__ import annotations

import sys
from time import process_time

import numpy as np
from sklearn.decomposition import NMF
from threadpoolctl import threadpool_limits

from bl_steer.analysis.components.factorisation import factorise
from bl_steer.analysis.components.params import ComponentParams
from bl_steer.protocols import Array
from simulators.film import SigeFilm

EXPOSURE_S = 10.0


def likeness(coefficients: Array, truth: Array) -> float:
    """Return the largest correlation of a component's coefficients, (n, K), with the truth."""
    return max(float(np.corrcoef(column, truth)[0, 1]) for column in coefficients.T)


def main() -> None:
    """Factorise the films of seeds 0, 1, …, and print a row for each preset."""
    seeds = range(int(sys.argv[1]) if len(sys.argv) > 1 else 8)
    print(f"{'film':14}{'':14}{'CPU s':>8}{'correlation, each film':>32}")
    for preset in ("noisy", "multi-domain"):
        rows: dict[str, list[tuple[float, float]]] = {"ours": [], "scikit-learn": []}
        for seed in seeds:
            film = SigeFilm(preset, seed=seed)
            x, y = film.grid
            shots = [
                film.expose(x[i], y[i], exposure_s=EXPOSURE_S, time_s=0.0, shot=i)[0]
                for i in range(len(x))
            ]
            patterns = np.reshape(shots, (len(x), -1))
            counted = patterns.any(axis=1)  # a run measures a dead frame again
            patterns, truth = patterns[counted], film.fields.rich_fraction(x, y)[counted]
            began = process_time()
            fit = factorise(patterns, film.axes, ComponentParams())
            rows["ours"].append((process_time() - began, likeness(fit.coefficients, truth)))
            began = process_time()
            plain = NMF(4, init="nndsvda", max_iter=400).fit_transform(patterns)
            rows["scikit-learn"].append((process_time() - began, likeness(plain, truth)))
        for name, results in rows.items():
            seconds, fits = zip(*results, strict=True)
            shown = " ".join(f"{fit:.3f}" for fit in fits)
            print(f"{preset:14}{name:14}{np.median(seconds):8.2f}  {shown}")


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
