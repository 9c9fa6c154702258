"""Where a result comes from: what every analysis says of itself, its inputs and its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import Any

from pydantic import BaseModel

from bl_steer.protocols import Analysis, Inputs

__all__ = ["provenance_of"]


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
    more : what else a reader asks for; not in the digest
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
