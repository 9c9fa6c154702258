"""A reciprocal-space map of a scan, and its peaks: the look at one measured map.

`bl_steer.diffraction` has the geometry, and steers on maps of many points with it.
"""

from __future__ import annotations

import hashlib
from time import perf_counter
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from bl_steer.analysis import rsm
from bl_steer.analysis.provenance import provenance_of
from bl_steer.analysis.rsm.checks import checked_energy, exchanged, hot_pixels, scan_of_inputs
from bl_steer.analysis.rsm.geometry import goniometer_of
from bl_steer.analysis.rsm.gridding import Samples, gridded
from bl_steer.analysis.rsm.params import RsmParams
from bl_steer.analysis.rsm.peaks import find_peaks
from bl_steer.analysis.rsm.recorded import inputs_of_run
from bl_steer.protocols import AnalysisResult, Inputs, Progress

__all__ = ["ReciprocalSpaceMap"]


class ReciprocalSpaceMap:
    """Mean intensity on a grid of q_par and q_perp, and the peaks on it.

    Notes
    -----
    *q.* Of each count by the circles' angles, the energy and the pixel, as
    `bl_steer.diffraction.Goniometer` has it: q_par along the surface in the scattering plane,
    q_perp along the surface normal, 1/Å, with 2π. What lies across the plane is projected on it.

    *Intensity.* ``counts · attenuation / (count time · relative monitor)``, mean over the counts
    that fall into a cell, NaN where none did. Pixels that hold a sentinel (negative, not finite,
    the largest number of an unsigned type) or are masked are left out.

    *Peaks.* Maxima of the map, smoothed by a cell, that stand out by a factor of 2 against the way
    to any higher one, and by 5 standard deviations of all counts around them. Position and full
    widths at half maximum are those of the pseudo-Voigt profile, round or not, that fits the
    upper part of the peak in the map: `bl_steer.analysis.rsm.widths`.
    """

    name: ClassVar[str] = "rsm"
    version: ClassVar[str] = "4"
    Params: ClassVar[type[BaseModel]] = RsmParams

    def inputs_of(self, run: Any) -> Inputs:
        """Return a recorded run's counts or frames, with the circles' angles."""
        return inputs_of_run(run)

    def run(
        self, inputs: Inputs, params: RsmParams, progress: Progress | None = None
    ) -> AnalysisResult:
        """Make the map of ``counts``, (n,), (n, W) or (n, H, W), and the angles of circles.

        Returns
        -------
        result : table ``peaks``: q_par, q_perp and widths, 1/Å, tilt, counts and height;
            arrays ``map`` (q_perp, q_par), ``q_par``, ``q_perp`` (centres of the cells),
            ``n`` (readings that fell into each cell) and ``counts`` (their sum, as stored)

        Raises
        ------
        ValueError
            When the inputs are no scan, or energy or detector are not known or contradict it.
        """
        began = perf_counter()
        scan = scan_of_inputs(inputs, params)
        energy, energy_notes = checked_energy(scan, params)
        goniometer, notes = goniometer_of(scan, energy, params)
        samples = Samples(scan, goniometer)
        grid = gridded(samples, params.cells, progress)
        peaks = find_peaks(samples, grid, params.n_peaks)
        warnings = [*inputs.notes, *energy_notes, *notes, *goniometer.notes, *samples.notes]
        warnings += exchanged(scan) + hot_pixels(scan)
        warnings += grid.notes
        if not len(peaks["q_par"]):
            warnings.append("no peak stands out of the map; count longer, or look where it lies")
        return AnalysisResult(
            tables={"peaks": peaks},
            arrays={
                "map": grid.mean,
                "q_par": grid.q_par,
                "q_perp": grid.q_perp,
                "n": grid.n,
                "counts": grid.counts,
            },
            provenance=provenance_of(
                self,
                params.model_dump(mode="json") | {"mask": _digest(scan.mask)},
                inputs,
                began,
                energy_kev=energy,
                unit=samples.unit,
                stored_unit=samples.stored_unit,
                goniometer=goniometer.to_dict(),
                goniometer_digest=goniometer.digest,
            ),
            figures={"map": lambda: rsm.draw_rsm(grid, peaks, unit=samples.unit)},
            warnings=warnings,
        )


def _digest(mask: NDArray[np.bool_] | None) -> str:
    """Return the sha256 of a mask, wherever its file is; nothing without one."""
    return "" if mask is None else hashlib.sha256(np.packbits(mask).tobytes()).hexdigest()
