"""The true map of a target: for tests and reports, never for an agent."""

from __future__ import annotations

from bl_steer.features import make_feature, parse_target
from bl_steer.protocols import Array
from simulators.film.recorded_map import RecordedMap
from simulators.film.sample import Sample

__all__ = ["true_map"]


def true_map(sample: Sample, target: str, *, exposure_s: float = 10.0) -> Array:
    """Return the target's true value at every grid point, shape (n,), in counts.

    For a simulated film, a target ``nmf:K@REF`` is judged by its reference: the matched filter of
    REF on the noise-free patterns. A recorded map has no noise-free form, and a component learned
    from it is its own truth: there, the feature is learned from all points and then applied.
    """
    x, y = sample.grid
    patterns = sample.rates(x, y).reshape(len(x), -1)
    if isinstance(sample, RecordedMap):
        return make_feature(target, sample.axes).partial_fit(patterns).transform(patterns)
    parsed = parse_target(target)
    if parsed.kind == "nmf":
        target = f"ref:{parsed.reference}"
    return make_feature(target, sample.axes).transform(patterns * exposure_s)
