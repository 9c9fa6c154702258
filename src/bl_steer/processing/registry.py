"""Which analyses there are, by name: ours, those of installed packages, and any importable class.

Nothing is imported before it is asked for. Another package offers an analysis by an entry point
in the group ``bl_steer.analyses``::

    [project.entry-points."bl_steer.analyses"]
    grain-size = "my_beamline.grains:GrainSize"
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError

from bl_steer.extras import hint
from bl_steer.protocols import Analysis

__all__ = [
    "ENTRY_POINTS",
    "analysis_names",
    "check_name",
    "find_analysis",
    "flags_as_numbers",
    "is_number",
    "make_params",
]

BUILT_IN = {
    "advise": "bl_steer.analysis.advice:SteeringAdvice",
    "align-slices": "bl_steer.analysis.slices.analysis:AlignSlices",
    "components": "bl_steer.analysis.components:MapComponents",
    "film": "bl_steer.analysis.film:FilmMap",
    "reconstruct": "bl_steer.analysis.reconstruction.analysis:Reconstruct",
    "rsm": "bl_steer.analysis.rsm:ReciprocalSpaceMap",
    "segment": "bl_steer.analysis.segmentation.analysis:SegmentMicrographs",
    "structure": "bl_steer.analysis.structure.analysis:StructureAnalysis",
    "superres": "bl_steer.analysis.superresolution.analysis:SuperResolutionAnalysis",
}
ENTRY_POINTS = "bl_steer.analyses"


def analysis_names() -> list[str]:
    """Return the names of the analyses that are installed."""
    return sorted(_import_paths())


def check_name(name: str) -> None:
    """Raise `ValueError` for what is neither a known name nor MODULE:CLASS; import nothing."""
    if name not in _import_paths() and not _is_import_path(name):
        raise ValueError(
            f"an analysis must be one of {', '.join(analysis_names())}, or MODULE:CLASS, got "
            f"{name!r}; check the spelling, or install the package that has it"
        )


def find_analysis(name: str) -> Analysis:
    """Return an analysis by its name, or by where it is imported from, ``"module:Class"``.

    Raises
    ------
    ValueError
        When there is no such name; the message lists those there are.
    ImportError
        When its module or class cannot be imported.
    """
    check_name(name)
    import_path = _import_paths().get(name, name)
    module, _, attribute = import_path.partition(":")
    try:
        analysis: Analysis = getattr(importlib.import_module(module), attribute)()
    except (ImportError, AttributeError) as error:
        raise ImportError(
            f"the analysis {name!r} must be importable from {import_path}, got: {error}; "
            f"{hint(error) or 'check the path and what it needs'}",
            name=error.name if isinstance(error, ImportError) else None,
        ) from error
    return analysis


def make_params(analysis: Analysis, values: Mapping[str, Any] | None = None) -> BaseModel:
    """Return an analysis' parameters from values by name; the rest have their defaults.

    Raises
    ------
    ValueError
        Naming each parameter that is unknown or does not fit, all at once.
    """
    known = analysis.Params.model_fields
    values = {
        key: _choice(known[key].annotation, value) if key in known else value
        for key, value in dict(values or {}).items()
    }
    unknown = [name for name in values if name not in known]
    problems = [f"{name} is not known" for name in unknown]
    flags = flags_as_numbers(analysis.Params, values)
    problems += [f"{name}={values[name]!r} (must be a number)" for name in flags]
    try:
        params = analysis.Params.model_validate({k: v for k, v in values.items() if k in known})
    except ValidationError as error:
        problems += [_problem(dict(detail)) for detail in error.errors()]
    if problems:
        there = f"; there are {', '.join(known) or 'none'}" if unknown else ""
        raise ValueError(
            f"parameters of {analysis.name!r} must fit, got {'; '.join(problems)}{there}"
        )
    return params


def flags_as_numbers(model: type[BaseModel], values: Mapping[str, Any]) -> list[str]:
    """Return the names of values that are true or false where a number is asked for.

    Pydantic would take them for 1 and 0.
    """
    return [
        name
        for name, value in values.items()
        if name in model.model_fields
        and any(isinstance(one, bool) for one in (value if _is_list(value) else [value]))
        and is_number(model.model_fields[name].annotation)
    ]


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def is_number(annotation: Any) -> bool:
    """Return whether what a parameter takes are numbers: one, or several."""
    types = _types_of(annotation)
    return bool not in types and not types.isdisjoint((int, float))


def _types_of(annotation: Any) -> set[Any]:
    if get_origin(annotation) is Literal:
        return {type(choice) for choice in get_args(annotation)}
    return {annotation}.union(*map(_types_of, get_args(annotation)))


def _choice(annotation: Any, value: Any) -> Any:
    """Return the choice of a ``Literal`` that text names: pydantic makes no numbers of it there."""
    choices = get_args(annotation) if get_origin(annotation) is Literal else ()
    return next((c for c in choices if isinstance(value, str) and str(c) == value), value)


def _problem(error: Mapping[str, Any]) -> str:
    parameter = ".".join(str(part) for part in error["loc"]) or "the parameters"
    return f"{parameter}={error['input']!r} ({error['msg'].removeprefix('Value error, ')})"


def _import_paths() -> dict[str, str]:
    offered = {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}
    return {**offered, **BUILT_IN}


def _is_import_path(name: str) -> bool:
    module, _, attribute = name.partition(":")
    return attribute.isidentifier() and all(part.isidentifier() for part in module.split("."))
