"""The form of an analysis, made from its parameters: labels, units, limits, help, problems.

Works on any pydantic model. Texts come from the catalogue (``param.segment.views``,
``help.segment.views``) or, for packages, from the model's own fields in both languages.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from bl_steer.processing.registry import flags_as_numbers, is_number
from bl_steer.server.languages import Sentence, has_text, text
from bl_steer.server.texts import THOUSANDS, plain_number

__all__ = [
    "PREFIX",
    "FormField",
    "fields_of",
    "plain_values",
    "problem_of",
    "problems_of",
    "values_of",
]

LAST_CHOICE = re.compile(r" or (?=('[^']*'|[^' ]+)$)")
"""Where pydantic lists choices in English."""
PARSING = ("float_parsing", "int_parsing")
PREFIX = "p."
"""What the form's names of parameters begin with."""
UNITS = {"nm": "nm", "um": "µm", "px": "px", "s": "s", "keV": "keV", "deg": "°", "mib": "MiB"}


@dataclass(frozen=True)
class FormField:
    """One line of the form.

    Parameters
    ----------
    kind : number, integer, text, list, choice or flag
    shown : what the input shows; for a flag, whether it is ticked
    choices : value and text of each, for a choice
    low, high : limits for the input itself; the server checks all of them
    problem : why what stands there is refused; empty if it is not
    """

    name: str
    kind: str
    label: str
    help: str = ""
    unit: str = ""
    shown: Any = ""
    optional: bool = False
    choices: tuple[tuple[str, str], ...] = ()
    low: float | None = None
    high: float | None = None
    limits: str = ""
    problem: str = ""
    advanced: bool = False
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Name of the input in the form."""
        return PREFIX + self.name


def fields_of(
    model: type[BaseModel],
    *,
    analysis: str,
    language: str,
    values: Mapping[str, Any] | None = None,
    problems: Mapping[str, str] | None = None,
    hidden: frozenset[str] = frozenset(),
    advanced: frozenset[str] = frozenset(),
    choices: Mapping[str, tuple[str, ...]] | None = None,
) -> list[FormField]:
    """Return the lines of a form.

    Parameters
    ----------
    values : by parameter, as validated or as typed; the rest show their defaults
    problems : by parameter, see `problems_of`
    hidden : parameters that are left at their defaults
    advanced : parameters that most users never touch
    choices : what to choose from, for parameters whose type leaves it open
    """
    values, problems, choices = values or {}, problems or {}, choices or {}
    return [
        _field(name, info, analysis, language, values, problems, advanced, choices.get(name))
        for name, info in model.model_fields.items()
        if name not in hidden
    ]


def values_of(model: type[BaseModel], form: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was typed, by parameter, ready for validation; empty inputs are left out.

    Only inputs that the form had are read: browsers send nothing for a flag that is not ticked, so
    that each has a hidden second input which says that it was there.
    """
    values: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        kind, optional = _kind(info.annotation)
        typed = form.get(PREFIX + name)
        if kind == "flag":
            if f"{PREFIX}{name}.is" in form:
                values[name] = typed is not None
        elif isinstance(typed, str) and (typed.strip() or (kind == "text" and not optional)):
            values[name] = _parsed(kind, typed.strip(), info.annotation)
    return values


def plain_values(model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with the texts among them that stand for numbers as programs write these."""

    def plain(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [plain(one) for one in value]
        return plain_number(value) if isinstance(value, str) else value

    known = model.model_fields
    return {
        name: plain(value) if name in known and is_number(known[name].annotation) else value
        for name, value in values.items()
    }


def problems_of(
    model: type[BaseModel],
    values: Mapping[str, Any],
    language: str,
    *,
    hidden: frozenset[str] = frozenset(),
) -> dict[str, str]:
    """Return what is wrong with values, by parameter, in the user's language; empty if nothing.

    Parameters
    ----------
    hidden : parameters that are none for users
    """
    known = [name for name in model.model_fields if name not in hidden]
    unknown = text(language, "invalid.unknown", known=", ".join(known) or "–")
    problems = {name: unknown for name in values if name not in known}
    for name in flags_as_numbers(model, values):
        problems[name] = text(language, "invalid.float_type", got=_got(values[name]))
    try:
        model.model_validate(dict(values))
    except ValidationError as error:
        for problem in error.errors():
            name = str(problem["loc"][0]) if problem["loc"] else ""
            number = _length(model, name)
            wrong_length = problem["type"] in ("missing", "too_long")
            if number and wrong_length and isinstance(problem["input"], list):
                key = "invalid.voxel" if "voxel" in name and number == 3 else "invalid.tuple"
                shown = _got(_shown("list", problem["input"]))
                problems.setdefault(name, text(language, key, number=number, got=shown))
            problems.setdefault(name, problem_of(dict(problem), language))
    return problems


def _length(model: type[BaseModel], name: str) -> int:
    """Return how many values a parameter must have; 0 where that is open."""
    info = model.model_fields.get(name)
    for part in () if info is None else (info.annotation, *get_args(info.annotation)):
        if get_origin(part) is tuple and Ellipsis not in get_args(part):
            return len(get_args(part))
    return 0


def _field(
    name: str,
    info: FieldInfo,
    analysis: str,
    language: str,
    values: Mapping[str, Any],
    problems: Mapping[str, str],
    advanced: frozenset[str],
    choices: tuple[str, ...] | None,
) -> FormField:
    kind, optional = _kind(info.annotation)
    if choices is not None:
        kind = "choice"
    value = values.get(name, None if info.default is PydanticUndefined else info.default)
    low, high, sentences = _limits(info, language)
    offered = choices if choices is not None else _literals(info.annotation)
    return FormField(
        name=name,
        kind=kind,
        label=_label(name, info, analysis, language),
        help=_help(name, info, analysis, language),
        unit=_unit(name, info),
        shown=_shown(kind, value),
        optional=optional,
        choices=tuple(
            (str(choice), _choice(analysis, name, choice, language)) for choice in offered
        ),
        low=low,
        high=high,
        limits=sentences,
        problem=problems.get(name, ""),
        advanced=name in advanced and name not in problems,
    )


def _kind(annotation: Any) -> tuple[str, bool]:
    """Return the kind of an input, and whether it may stay empty."""
    parts = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    bare = [part for part in parts if part is not NoneType]
    optional = len(bare) < len(parts)
    inner = bare[0] if len(bare) == 1 else None
    if get_origin(inner) is Literal:
        return "choice", optional
    if get_origin(inner) in (tuple, list):
        return "list", optional
    return {bool: "flag", int: "integer", float: "number", str: "text"}.get(inner, "json"), optional  # type: ignore[arg-type]


def _literals(annotation: Any) -> tuple[Any, ...]:
    for part in (annotation, *get_args(annotation)):
        if get_origin(part) is Literal:
            return get_args(part)
    return ()


def _parsed(kind: str, typed: str, annotation: Any) -> Any:
    if kind == "choice":
        return next((literal for literal in _literals(annotation) if str(literal) == typed), typed)
    if kind == "list":
        typed = typed.replace("；", ";").replace("，", ",")
        mark = ";" if ";" in typed else ","
        parts = typed.replace("、", mark).replace("×", mark).split(mark)
        numbers = is_number(annotation)
        return [plain_number(part) if numbers else part.strip() for part in parts]
    if kind == "json":
        try:
            return json.loads(typed)
        except ValueError:
            return typed
    return plain_number(typed) if kind in ("number", "integer") else typed


def _shown(kind: str, value: Any) -> Any:
    if kind == "flag":
        return bool(value)
    if value is None:
        return ""
    if kind == "list" and isinstance(value, list | tuple):  # none in a job of another version
        return ", ".join(_number(part) for part in value)
    if kind == "json":
        return value if isinstance(value, str) else json.dumps(value)
    return _number(value)


def _number(value: Any) -> str:
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _limits(info: FieldInfo, language: str) -> tuple[float | None, float | None, str]:
    limits: dict[str, float] = {}
    for constraint in info.metadata:
        for name in ("ge", "gt", "le", "lt"):
            if (limit := getattr(constraint, name, None)) is not None:
                limits[name] = limit
    sentences = [
        text(language, f"limit.{name}", limit=f"{limit:,.10g}") for name, limit in limits.items()
    ]
    low, high = limits.get("ge", limits.get("gt")), limits.get("le")
    if len(sentences) == 2:
        first, second = sentences
        return low, high, text(language, "limit.both", first=first, second=second)
    return low, high, "".join(sentences)


def _label(name: str, info: FieldInfo, analysis: str, language: str) -> str:
    if has_text(key := f"param.{analysis}.{name}"):
        return text(language, key)
    own = _own(info, "title", language)
    return own or name.replace("_", " ").capitalize()


def _help(name: str, info: FieldInfo, analysis: str, language: str) -> str:
    if has_text(key := f"help.{analysis}.{name}"):
        return text(language, key)
    own = _own(info, "description", language)
    if unit := _unit(name, info):  # it stands beside the input
        own = "" if own == unit else own.removesuffix(f", {unit}")
    if own and not own.endswith((".", "。", "!", "?")):
        own += "。" if language == "ja" else "."
    return own[:1].upper() + own[1:]


def _own(info: FieldInfo, name: str, language: str) -> str:
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    return str(extra.get(f"{name}_{language}") or getattr(info, name) or "")


def _unit(name: str, info: FieldInfo) -> str:
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    return str(extra.get("unit") or UNITS.get(name.rpartition("_")[2] if "_" in name else "", ""))


def _choice(analysis: str, name: str, value: Any, language: str) -> str:
    key = f"choice.{analysis}.{name}.{value}"
    return text(language, key) if has_text(key) else str(value)


def problem_of(error: Mapping[str, Any], language: str) -> str:
    """Return what is wrong with one value, in the user's language.

    Parameters
    ----------
    error : as pydantic tells it
    """
    loc = error["loc"] or ("",)
    key = f"invalid.{error['type']}"
    if error["type"] in PARSING and THOUSANDS.fullmatch(str(error["input"])):
        key = "invalid.thousands"
    own = f"{key}.{loc[0]}"  # a rule of the analysis itself
    key = own if has_text(own) else key
    if not has_text(key):
        said = Sentence(error["msg"].removeprefix("Value error, "))
        return text(language, "invalid.other", reason=said)
    told = error.get("ctx", {}).items()
    limits = {n: f"{limit:,.10g}" if isinstance(limit, int | float) else limit for n, limit in told}
    if "expected" in limits:
        limits["expected"] = LAST_CHOICE.sub(", ", str(limits["expected"]))
    return text(language, key, **{"got": _got(error["input"]), "at": loc[-1], **limits})


def _got(value: Any) -> str:
    """Return a value as it was given: what no form can hold as JSON has it.

    >>> [_got(value) for value in (True, None, [], {}, [1, 2], "x")]
    ['true', 'null', '[]', '{}', '1, 2', 'x']
    """
    if value is None or isinstance(value, bool) or value in ([], (), {}):
        return json.dumps(value)
    shown = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return shown if len(shown) <= 60 else shown[:57] + "…"
