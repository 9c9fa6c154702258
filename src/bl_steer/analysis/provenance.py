"""Where a result comes from: what every analysis says of itself, its inputs and its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import Any

from pydantic import BaseModel

from bl_steer.protocols import Analysis, Inputs

__all__ = ["provenance_of", "units_of_columns"]


def provenance_of(
    analysis: Analysis | type[Analysis],
    params: BaseModel | Mapping[str, Any],
    inputs: Inputs,
    began: float,
    *,
    weights: str | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Return the provenance of a result, JSON-compatible.

    Parameters
    ----------
    params : as used; of a model, the hash of its weights says which it was, wherever its folder
        is: its name, ``model``, goes into `more` alone
    began : of `time.perf_counter`, when the analysis began
    weights : sha256 of the model's weights; None without a model
    more : what else a reader asks for; not in the digest. ``units`` of columns whose names do not
        tell them (`units_of_columns`) stand in the headings of tables
    """
    if isinstance(params, BaseModel):
        params = params.model_dump(mode="json", exclude={"model"})
    return {
        "name": analysis.name,
        "version": analysis.version,
        "params": dict(params),
        "weights": weights,
        **more,
        "source": dict(inputs.source),
        "duration_s": perf_counter() - began,
    }


def units_of_columns(unit: str, **others: str) -> dict[str, str]:
    """Return the units of the columns ``x``, ``y`` and others, of those that are known.

    Parameters
    ----------
    unit : of x and y, or of each in turn, as `bl_steer.runs.unit_of_axes` has it

    Examples
    --------
    >>> units_of_columns("um", value="cps", sd=""), units_of_columns(",mm")
    ({'x': 'um', 'y': 'um', 'value': 'cps'}, {'y': 'mm'})
    """
    x, comma, y = (part.strip() for part in unit.partition(","))
    units = {"x": x, "y": y if comma else x, **others}
    return {name: own for name, own in units.items() if own}
