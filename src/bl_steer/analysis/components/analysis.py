"""The components of a finished map: which patterns it is made of, how much of each, and where.

This is the look back over the whole map; `bl_steer.features.nmf` learns components while the map
is being measured, and steers by one of them.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel

from bl_steer import runs
from bl_steer.analysis import components
from bl_steer.analysis.components.params import ComponentParams
from bl_steer.analysis.components.readings import (
    lone_channels,
    variance_of_run,
    what_is_no_count,
)
from bl_steer.analysis.provenance import provenance_of, units_of_columns
from bl_steer.protocols import AnalysisResult, Inputs, Progress

__all__ = ["MapComponents"]

STEPS = 3


class MapComponents:
    """Non-negative matrix factorisation of all patterns of a map.

    Notes
    -----
    *Fit.* Negative values count as 0, and sentinels as not measured
    (`bl_steer.diffraction.find_absent`). Pixels that are hot or dead, and zingers, as told by all
    patterns together (`bl_steer.diffraction.find_bad_pixels`, `find_zingers`), are left out, as are
    cells that are NaN. Rows and columns are weighted by their noise
    (`bl_steer.features.hals`). A reference is one more row while fitting, as in
    `bl_steer.features.NMFFeature`, so that a rare phase gets a component of its own. The
    coefficients of all points are then the exact non-negative least-squares solution.

    *Order.* By explained share, the largest first: the component's counts over the map's. With a
    reference, the component most like it is named in the table (``is_reference``); its place in
    the order is not changed.

    *Interval.* Percentiles of the share over resampled points, the components held fixed. It says
    how much the share hangs on which points were measured; it knows nothing of the components' own
    uncertainty, and neighbouring points of a map are alike, so that it is a lower limit.

    References
    ----------
    Lee & Seung (1999), Nature 401, 788, doi 10.1038/44565.
    Keenan & Kotula (2004), Surf. Interface Anal. 36, 203, doi 10.1002/sia.1657.
    Efron (1979), Ann. Statist. 7, 1, doi 10.1214/aos/1176344552.
    """

    name: ClassVar[str] = "components"
    version: ClassVar[str] = "6"
    Params: ClassVar[type[BaseModel]] = ComponentParams

    def inputs_of(self, run: Any) -> Inputs:
        """Return a stored map's valid points: patterns, x, y, and the pixels' qx and qz."""
        if run.frames is None or not run.valid.any():
            raise ValueError(
                f"components must come from a map with frames, got {run.n_points} points without "
                f"in run {run.uid}; choose a run of map_sample or find_hotspot"
            )
        x, y = runs.plane_of(run)
        patterns = run.patterns()
        usable = np.isfinite(patterns).any(axis=1)
        known = variance_of_run(run.results(), patterns)
        arrays = {"patterns": patterns[usable], "x": x[usable], "y": y[usable]}
        arrays |= {name: values[usable] for name, values in known.items()}
        if len(run.qx) and len(run.qz):
            arrays |= {"qx": run.qx, "qz": run.qz}
        units = {"unit": runs.unit_of_axes(run), "value_unit": runs.unit_of_frames(run)}
        shape = list(run.axes.shape)
        return Inputs(arrays, {**units, "frame_shape": shape}, {"run": run.uid})

    def run(
        self, inputs: Inputs, params: ComponentParams, progress: Progress | None = None
    ) -> AnalysisResult:
        """Factorise the map.

        Returns
        -------
        result : tables ``components`` (a row each: share and its interval, peak, likeness to the
            reference), ``points`` (x, y, coefficients ``c0`` …, the value of the component's
            brightest pixel, and the unexplained share of the pattern) and, with `max_components`,
            ``ranks`` (`bl_steer.analysis.components.ranks.rank_table`); arrays ``components``
            (K, H, W), highest value 1, and ``residual`` (H, W), the mean of pattern minus fit,
            in the unit of the patterns

        Raises
        ------
        ValueError
            When the inputs are no map, or too small for so many components.
        """
        began = perf_counter()
        report = progress or (lambda done, total: None)
        unit, of_value = (str(inputs.metadata.get(key, "")) for key in ("unit", "value_unit"))
        arrays = components.checked_arrays(inputs)
        axes = components.checked_axes(inputs, arrays)
        report(0, STEPS)
        fit = components.factorise(arrays["patterns"], axes, params, arrays.get("variance"))
        report(1, STEPS)
        table = components.component_table(fit, axes, params)
        report(2, STEPS)
        points = components.point_table(fit, arrays)
        ranks = components.compare_ranks(fit, params) if params.max_components else None
        report(STEPS, STEPS)
        of_axis = "" if axes.unit in ("channel", "no unit") else axes.unit
        units = units_of_columns(
            unit,
            **{f"c{k}": of_value for k in range(len(fit.components))},
            **dict.fromkeys(("peak", "peak_qx", "peak_qz"), of_axis),
        )
        maps = fit.components.reshape(-1, *axes.shape)
        residual = (fit.patterns - fit.fitted).mean(axis=0).reshape(axes.shape)
        tables, figures = {"components": table, "points": points}, {}
        notes = what_is_no_count(np.asarray(inputs.arrays["patterns"]), arrays["patterns"])
        notes += lone_channels(arrays["patterns"], axes)
        notes += [*components.warnings_for(table, params), *components.fit_warnings(fit, axes)]
        if ranks is not None:
            tables["ranks"] = ranks
            figures["ranks"] = lambda: components.draw_ranks(ranks)
        elif params.max_components:
            notes.append(
                "the number of components cannot be compared, as the patterns are no counts; give "
                "patterns that are whole numbers, or multiples of one number at each point"
            )
        return AnalysisResult(
            tables=tables,
            arrays={"components": maps, "residual": residual},
            provenance=provenance_of(
                self,
                params,
                inputs,
                began,
                unit=unit,
                units=units,
                q_unit=axes.unit,
                qx=axes.qx.tolist(),
                qz=axes.qz.tolist(),
            ),
            figures={
                "maps": lambda: components.draw_maps(table, points, unit=unit, value_unit=of_value),
                "patterns": lambda: components.draw_patterns(table, maps, axes),
                **figures,
            },
            warnings=[*inputs.notes, *notes],
        )
