"""Composition, relaxation and tilt of a film at each point of a map, from its peaks.

`bl_steer.analysis.components` splits a map without a model; here a peak is a crystal.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel

from bl_steer.analysis import film
from bl_steer.analysis.film.params import FilmParams
from bl_steer.analysis.film.recorded import inputs_of_runs
from bl_steer.analysis.film.written import reflections_from_text, written_assumptions
from bl_steer.analysis.provenance import provenance_of, units_of_columns
from bl_steer.protocols import AnalysisResult, Inputs, Progress
from bl_steer.single_thread import single_thread

__all__ = ["FilmMap"]


class FilmMap:
    """A fit of the peaks of all patterns of a map, and what they say of the film.

    Notes
    -----
    *Peaks.* Those of the film move from point to point, the substrate's stays; shapes are those of
    the map (`bl_steer.analysis.film.shapes`). A position is the centroid of a peak. Errors are
    those of the counts and of the model (`bl_steer.analysis.film.whole_pattern`). Hot, dead and
    stuck pixels and zingers are left out, as in `components`.

    *Zero.* With the substrate's peak, q is turned and stretched so that it lies where Si does.

    *Film.* One least squares of all maps (`bl_steer.diffraction.film_of_peaks`). One map tells two
    numbers of each peak, and x, relaxation and tilt are three: then something is assumed, and the
    direction that is not told is a row of the table ``null``.
    """

    name: ClassVar[str] = "film"
    version: ClassVar[str] = "4"
    Params: ClassVar[type[BaseModel]] = FilmParams

    def inputs_of(self, run: Any) -> Inputs:
        """Return a stored map's valid points: patterns, x, y, and the pixels' qx and qz.

        Of a run with several scans at each point, those of each as a map.
        """
        return inputs_of_runs([run])

    def run(
        self, inputs: Inputs, params: FilmParams, progress: Progress | None = None
    ) -> AnalysisResult:
        """Fit one or more maps of the same points.

        Parameters
        ----------
        inputs : arrays ``patterns`` (n, n_pixels), ``qx``, ``qz`` and, where it is known,
            ``variance`` (n, n_pixels); of further maps ``patterns_2``, ``qx_2``, …; ``x``, ``y``

        Returns
        -------
        result : tables ``points`` (a row for each point and peak, errors are standard deviations),
            ``peaks`` (a row for each peak: medians) and ``null`` (what no reflection tells);
            array ``residual`` (n_maps, H, W), the mean of pattern minus fit

        Raises
        ------
        ValueError
            When the inputs are no maps in q, or tell no film.
        """
        began = perf_counter()
        report = progress or (lambda done, total: None)
        reflections = reflections_from_text(params.hkl)
        with single_thread():
            maps, notes = film.checked_maps(inputs, reflections)
            steps = len(maps) + 1
            report(0, steps)
            expected = film.expected_peaks(maps[0], reflections[0], params)
            fits = []
            for number, (one, reflection) in enumerate(zip(maps, reflections, strict=True), 1):
                fits.append(film.fit_map(one, reflection, expected, params))
                report(number, steps)
            told = film.film_told(fits, reflections, expected, params)
            x, y = (np.asarray(inputs.arrays[axis], dtype=float) for axis in ("x", "y"))
            tables = film.film_tables(x, y, fits, told, params.significance)
        report(steps, steps)
        unit = str(inputs.metadata.get("unit", ""))
        places = np.column_stack([x, y])
        warnings = [*inputs.notes, *notes, *film.fit_warnings(maps, fits, told, places, params)]
        warnings += film.faint_peaks(tables["points"], fits, params.significance)
        residual = film.mean_residuals(maps, fits)
        return AnalysisResult(
            tables=tables,
            arrays={"residual": residual},
            provenance=provenance_of(
                self,
                params,
                inputs,
                began,
                unit=unit,
                units=units_of_columns(unit),
                assumed=written_assumptions(told.assumed),
                rotation_deg=[fit.rotation_deg for fit in fits],
                stretch=[fit.stretch for fit in fits],
                model_error=[fit.peaks.model_error for fit in fits],
            ),
            figures={
                "maps": lambda: film.draw_film(tables, unit=unit),
                "profile": lambda: film.draw_profile(tables, unit=unit),
                "patterns": lambda: film.draw_fits(maps, residual),
            },
            warnings=warnings,
        )
