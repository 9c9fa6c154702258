"""Transitions that the analysis `components` marks in a series of patterns over temperature.

    python benchmarks/bench_series.py [FILE]

60 powder patterns of BaTiO3 from 150 to 445 K, scaled to 1 (nmf_BaTiO3_Tramp.npz of NSLS-II's
constrained-matrix-factorization, BSD-3). Nothing is told of the transitions at 280 and 400 K. The
shares of the components before a temperature and behind it, `WINDOW` patterns each, are compared;
where they differ most, it is marked. All marks are printed, with the known transition that is
nearest.
"""

from __future__ import annotations

import sys
from pathlib import Path
from time import process_time

import numpy as np
from scipy.signal import find_peaks

from bl_steer.analysis.components import ComponentParams, MapComponents
from bl_steer.protocols import AnalysisResult, Array, Inputs

FILE = Path(__file__).parents[2] / "shared" / "data" / "streams" / "nmf_BaTiO3_Tramp.npz"
KNOWN_K = (280.0, 400.0)
NEAR_K = 15.0
WINDOW = 3
STANDS_OUT = 0.15
"""Of the largest change."""


def shares_of(result: AnalysisResult) -> Array:
    """Return how much of each pattern each component makes up, (n, K)."""
    brightness = result.arrays["components"].reshape(len(result.arrays["components"]), -1).sum(1)
    columns = [result.tables["points"][f"c{k}"] for k in range(len(brightness))]
    counts = np.stack(columns, axis=1) * brightness
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def marks_of(shares: Array, temperature: Array) -> list[tuple[float, float]]:
    """Return temperatures between patterns where the shares change most, and by how much."""
    n = len(shares)
    before = [shares[max(0, i - WINDOW) : i].mean(axis=0) for i in range(1, n)]
    behind = [shares[i : i + WINDOW].mean(axis=0) for i in range(1, n)]
    change = 0.5 * np.abs(np.subtract(behind, before)).sum(axis=1)
    peaks, _ = find_peaks(change, distance=WINDOW, prominence=STANDS_OUT * change.max())
    middle = 0.5 * (temperature[1:] + temperature[:-1])
    return [(float(middle[i]), float(change[i])) for i in peaks]


def main(path: Path = FILE) -> None:
    """Print the marks for several numbers of components; 4 is the default of `components`."""
    with np.load(path) as file:
        temperature, patterns = file["T_K"].astype(float), file["patterns"].astype(float)
    arrays = {"patterns": patterns, "x": temperature, "y": np.zeros(len(temperature))}
    inputs = Inputs(arrays, {"frame_shape": [1, patterns.shape[1]]}, {})
    for k in (4, 3, 5, 6):
        began = process_time()
        result = MapComponents().run(inputs, ComponentParams(n_components=k, n_bootstrap=100))
        seconds = process_time() - began
        print(f"{k} components, {seconds:.1f} s")
        for kelvin, change in marks_of(shares_of(result), temperature):
            nearest = min(KNOWN_K, key=lambda known: abs(known - kelvin))
            known = f"{nearest:.0f} K" if abs(nearest - kelvin) <= NEAR_K else "none known"
            print(f"  {kelvin:6.1f} K  {change:.2f} of the pattern  {known}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
