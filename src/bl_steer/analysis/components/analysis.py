"""The components of a finished map: which patterns it is made of, how much of each, and where.

This is the look back over the whole map; `bl_steer.features.nmf` learns components while the map
is being measured, and steers by one of them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

from bl_steer.diffraction import FrameAxes
from bl_steer.features import parse_reference, propose, reference_pattern
from bl_steer.features.alarm import unexplained_share
from bl_steer.features.nmf import REFERENCE_WEIGHT
from bl_steer.features.nnls import nonnegative_coefficients
from bl_steer.features.spikes import without_spikes
from bl_steer.processing.single_thread import single_thread
from bl_steer.protocols import AnalysisResult, Array, Inputs, Progress, Table

__all__ = ["ComponentParams", "MapComponents"]

STEPS = 3
INTERVAL = (2.5, 97.5)
"""Percentiles of the bootstrap interval: 95 %."""
LOST_COSINE = 0.5
"""Below this likeness no component is the reference's, as in `bl_steer.features.nmf`."""


class ComponentParams(BaseModel):
    """What the factorisation of a map can be told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    n_components: int = Field(4, ge=1, le=32, description="Number of components K")
    seed: int = Field(0, ge=0, lt=2**32, description="Of the factorisation and the bootstrap")
    reference: str = Field(
        "",
        description="Names a component of interest as in the target nmf:K@REF, e.g. "
        "x=0.45,R=0.9,tilt=0; empty for none",
    )
    n_bootstrap: int = Field(
        1000, ge=100, le=100_000, description="Resamplings for the interval of each share"
    )

    @field_validator("reference")
    @classmethod
    def _is_reference(cls, text: str) -> str:
        return str(parse_reference(text.removeprefix("ref:"))) if text.strip() else ""


class MapComponents:
    """Non-negative matrix factorisation of all patterns of a map.

    Notes
    -----
    *Fit.* The patterns, negative values set to 0 and lone bright pixels replaced, are factorised by
    `bl_steer.features.propose`. A reference is one more row while fitting, as in
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
    Efron (1979), Ann. Statist. 7, 1, doi 10.1214/aos/1176344552.
    """

    name: ClassVar[str] = "components"
    version: ClassVar[str] = "1"
    Params: ClassVar[type[BaseModel]] = ComponentParams

    def inputs_of(self, run: Any) -> Inputs:
        """Return a stored map's valid points: patterns, x, y, and the pixels' qx and qz."""
        if run.frames is None or not run.valid.any():
            raise ValueError(
                f"components must come from a map with frames, got {run.n_points} points without "
                f"in run {run.uid}; choose a run of map_sample or find_hotspot"
            )
        patterns = run.patterns()
        usable = ~np.isnan(patterns).any(axis=1)
        arrays = {"patterns": patterns[usable], "x": run.x[usable], "y": run.y[usable]}
        if len(run.qx) and len(run.qz):
            arrays |= {"qx": run.qx, "qz": run.qz}
        unit = str(run.start.get("sample", {}).get("unit", "um"))
        shape = list(run.frames.shape[2:])
        return Inputs(arrays, {"unit": unit, "frame_shape": shape}, {"run": run.uid})

    def run(
        self, inputs: Inputs, params: ComponentParams, progress: Progress | None = None
    ) -> AnalysisResult:
        """Factorise the map.

        Returns
        -------
        result : tables ``components`` (a row each: share and its interval, peak, likeness to the
            reference) and ``points`` (x, y, coefficients ``c0`` … in counts of the component's
            brightest pixel, and the unexplained share of the pattern); arrays ``components``
            (K, H, W), highest value 1, and ``residual`` (H, W), the mean of pattern minus fit,
            counts

        Raises
        ------
        ValueError
            When the inputs are no map, or too small for so many components.
        """
        import sklearn.decomposition  # noqa: F401  so that single_thread reaches its libraries

        began = time.time()
        report = progress or (lambda done, total: None)
        arrays = _checked(inputs)
        axes = _axes(inputs, arrays)
        report(0, STEPS)
        with single_thread():
            fit = _fit(arrays["patterns"], axes, params)
            report(1, STEPS)
            table = _component_table(fit, axes, params)
            report(2, STEPS)
        points = _point_table(fit, arrays)
        report(STEPS, STEPS)
        maps = fit.components.reshape(-1, *axes.shape)
        residual = (fit.patterns - fit.fitted).mean(axis=0).reshape(axes.shape)
        return AnalysisResult(
            tables={"components": table, "points": points},
            arrays={"components": maps, "residual": residual},
            provenance={
                "name": self.name,
                "version": self.version,
                "params": params.model_dump(),
                "weights": None,
                "source": dict(inputs.source),
                "unit": str(inputs.metadata.get("unit", "um")),
                "q_unit": axes.unit,
                "qx": axes.qx.tolist(),
                "qz": axes.qz.tolist(),
                "duration_s": time.time() - began,
            },
            figures=_figures(table, points, maps, axes, str(inputs.metadata.get("unit", "um"))),
            warnings=_warnings(table, params),
        )


@dataclass(frozen=True)
class _Fit:
    patterns: Array
    components: Array
    coefficients: Array
    cosines: Array
    """Likeness of each component to the reference; NaN without one."""

    @property
    def fitted(self) -> Array:
        return np.asarray(self.coefficients @ self.components, dtype=float)


def _fit(patterns: Array, axes: FrameAxes, params: ComponentParams) -> _Fit:
    patterns = without_spikes(np.maximum(patterns, 0.0), axes.shape)
    rows = patterns
    named = None
    if params.reference:
        named = reference_pattern(parse_reference(params.reference), axes)
        named = named / np.linalg.norm(named)
        rows = np.vstack([rows, np.sqrt(REFERENCE_WEIGHT) * np.linalg.norm(rows) * named])
    components = propose(rows, params.n_components, seed=params.seed)
    coefficients = nonnegative_coefficients(patterns, components)
    counts = coefficients.sum(axis=0) * components.sum(axis=1)
    order = np.argsort(-counts, kind="stable")
    components, coefficients = components[order], coefficients[:, order]
    norms = np.linalg.norm(components, axis=1)
    cosines = np.full(len(components), np.nan)
    if named is not None:
        cosines = components @ named / np.where(norms > 0, norms, 1.0)
    return _Fit(patterns, components, coefficients, cosines)


def _component_table(fit: _Fit, axes: FrameAxes, params: ComponentParams) -> Table:
    counts = fit.coefficients * fit.components.sum(axis=1)
    totals = fit.patterns.sum(axis=1)
    low, high = _bootstrap(counts, totals, params)
    rows, columns = np.unravel_index(fit.components.argmax(axis=1), axes.shape)
    named = np.zeros(len(counts.T), dtype=bool)
    if params.reference and fit.cosines.max() >= LOST_COSINE:
        named[fit.cosines.argmax()] = True
    return {
        "component": np.arange(len(counts.T)),
        "share": counts.sum(axis=0) / max(totals.sum(), np.finfo(float).tiny),
        "share_low": low,
        "share_high": high,
        "peak_qx": axes.qx[columns],
        "peak_qz": axes.qz[rows],
        "reference_cosine": fit.cosines,
        "is_reference": named,
    }


def _bootstrap(counts: Array, totals: Array, params: ComponentParams) -> tuple[Array, Array]:
    """Return the interval of each share over resampled points, twice (K,)."""
    rng = np.random.default_rng(params.seed)
    n = len(totals)
    shares = np.empty((params.n_bootstrap, counts.shape[1]))
    for row in shares:
        drawn = np.bincount(rng.integers(0, n, n), minlength=n).astype(float)
        row[:] = drawn @ counts / max(float(drawn @ totals), np.finfo(float).tiny)
    low, high = np.percentile(shares, INTERVAL, axis=0)
    return np.asarray(low), np.asarray(high)


def _point_table(fit: _Fit, arrays: Mapping[str, Array]) -> Table:
    coefficients = {f"c{k}": column.copy() for k, column in enumerate(fit.coefficients.T)}
    unexplained = unexplained_share(fit.patterns, fit.fitted)
    return {"x": arrays["x"], "y": arrays["y"], **coefficients, "unexplained": unexplained}


def _checked(inputs: Inputs) -> dict[str, Array]:
    missing = {"patterns", "x", "y"} - set(inputs.arrays)
    if missing:
        raise ValueError(
            f"a map must have the arrays patterns, x and y, got {sorted(inputs.arrays)}; add "
            f"{', '.join(sorted(missing))}"
        )
    arrays = {key: np.asarray(value, dtype=float) for key, value in inputs.arrays.items()}
    patterns, x, y = arrays["patterns"], arrays["x"], arrays["y"]
    if patterns.ndim != 2 or not len(patterns) or not x.shape == y.shape == patterns.shape[:1]:
        raise ValueError(
            "patterns must be (n_points, n_pixels) with x and y (n_points,), got shapes "
            f"{patterns.shape}, {x.shape} and {y.shape}; give one row, x and y for each point"
        )
    if not all(np.isfinite(arrays[key]).all() for key in ("patterns", "x", "y")):
        raise ValueError(
            "patterns, x and y must be finite, got NaN or infinity; leave out the points of dead "
            "frames"
        )
    return arrays


def _axes(inputs: Inputs, arrays: Mapping[str, Array]) -> FrameAxes:
    n_pixels = arrays["patterns"].shape[1]
    if "qx" in arrays and "qz" in arrays:
        axes = FrameAxes(arrays["qx"], arrays["qz"], str(inputs.metadata.get("axis_unit", "1/Å")))
    else:
        height, width = inputs.metadata.get("frame_shape", (1, n_pixels))
        axes = FrameAxes.channels((int(height), int(width)))
    if axes.shape[0] * axes.shape[1] != n_pixels:
        raise ValueError(
            f"a pattern must have as many values as the frame has pixels, got {n_pixels} for "
            f"{axes.shape[0]} x {axes.shape[1]}; give qx and qz of these frames"
        )
    return axes


def _warnings(table: Table, params: ComponentParams) -> list[str]:
    if params.reference and not table["is_reference"].any():
        best = float(table["reference_cosine"].max())
        return [
            f"no component is like the reference {params.reference} (largest cosine {best:.2f}); "
            "ask for more components, or the phase is not there"
        ]
    return []


def _figures(
    table: Table, points: Table, components: NDArray[np.float64], axes: FrameAxes, unit: str
) -> dict[str, Any]:
    # The figures load matplotlib, so they are imported when one is drawn.
    def maps() -> Any:
        from bl_steer.analysis.components.figures import draw_maps

        return draw_maps(table, points, unit=unit)

    def patterns() -> Any:
        from bl_steer.analysis.components.figures import draw_patterns

        return draw_patterns(table, components, axes)

    return {"maps": maps, "patterns": patterns}
