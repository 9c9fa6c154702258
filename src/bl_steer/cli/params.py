"""Options of a command made of an analysis' own parameters.

``structure VOLUME``, ``analyse UID structure`` and ``submit FILE --analysis structure`` take the
same options, because all three have them from ``StructureParams``: name, type, choices, limits,
default and help of an option are those of its field. A field may name its option otherwise, by
``json_schema_extra={"option": "voxel-nm"}``, where the same quantity has that name elsewhere or the
same name has another meaning there.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Collection
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from bl_steer.processing import find_analysis

__all__ = ["add_named_params", "add_params", "analysis_of", "option_of", "read_params"]

DEST = "param:"
"""Before the name of a field, where parsed arguments hold its value."""


def add_params(
    parser: argparse.ArgumentParser,
    params: type[BaseModel],
    *,
    only: Collection[str] | None = None,
    without: Collection[str] = (),
    required: Collection[str] = (),
    title: str = "parameters of the analysis",
) -> None:
    """Add an option for each field of an analysis' parameters.

    Parameters
    ----------
    only, without : names of fields that alone have an option, or have none
    required : names of fields that must be given though they have a default
    title : of the options in the help
    """
    options = parser.add_argument_group(title)
    for name, field in params.model_fields.items():
        if name not in without and (only is None or name in only):
            _add_option(options, name, field, name in required or field.is_required())


def add_named_params(parser: argparse.ArgumentParser, text: str) -> None:
    """Add ``--param NAME=VALUE``, for an analysis whose parameters are not known here."""
    parser.add_argument(
        "--param", action="append", type=_named, default=[], metavar="NAME=VALUE", help=text
    )


def read_params(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the parameters that were given, by the names of their fields."""
    fields = {k.removeprefix(DEST): v for k, v in vars(arguments).items() if k.startswith(DEST)}
    return {**fields, **dict(getattr(arguments, "param", ()))}


def analysis_of(name: str) -> Any:
    """Return an analysis by name or MODULE:CLASS; None for one that is not installed here."""
    try:
        return find_analysis(name)
    except (ValueError, ImportError):
        return None


def _named(text: str) -> tuple[str, Any]:
    """Return name and value; lists are JSON, and the analysis makes numbers of text."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"must be NAME=VALUE, got {text!r}")
    try:
        return name, json.loads(value) if value[:1] in ("[", "{") else value
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be JSON, got {value!r}") from error


def option_of(name: str, field: FieldInfo) -> str:
    """Return how the option of a field is spelled."""
    spelled = _extra(field).get("option", name)
    return f"--{spelled.replace('_', '-')}"


def _extra(field: FieldInfo) -> dict[str, str]:
    extra = field.json_schema_extra
    return {k: str(v) for k, v in extra.items()} if isinstance(extra, dict) else {}


def _add_option(options: Any, name: str, field: FieldInfo, required: bool) -> None:
    text = field.description or name.replace("_", " ")
    default = field.get_default(call_default_factory=True)
    settings: dict[str, Any] = {"dest": f"{DEST}{name}", "required": required}
    settings["default"] = argparse.SUPPRESS  # what is not given is left to the analysis
    if field.annotation is bool:
        settings["action"] = argparse.BooleanOptionalAction
        default = "on" if default else "off"
    elif get_origin(field.annotation) is Literal:
        settings["choices"] = get_args(field.annotation)
        settings["type"] = type(settings["choices"][0])
    else:
        settings["metavar"] = _extra(field).get("metavar") or _metavar(field)
        settings["type"] = _reader(field, settings["metavar"])
    if not required and default not in (None, ""):
        text += f" (default {f'{default:g}' if isinstance(default, float) else default})"
    options.add_argument(option_of(name, field), help=text.replace("%", "%%"), **settings)


def _metavar(field: FieldInfo) -> str:
    kinds = get_args(field.annotation) or (field.annotation,)
    return "N" if int in kinds else "X" if float in kinds else "TEXT"


def _reader(field: FieldInfo, metavar: str) -> Callable[[str], Any]:
    """Return what makes a field's value of text, within the field's limits."""
    kind: Any = Annotated[field.annotation, field]
    adapter = TypeAdapter(kind)

    def read(text: str) -> Any:
        value: Any = text.split(",") if "," in metavar else text
        try:
            return adapter.validate_python(json.loads(text) if text[:1] in ("[", "{") else value)
        except ValidationError as error:
            rule = str(error.errors()[0]["msg"]).replace("Input should", "must").partition(",")[0]
            rule = f"must be {metavar}" if "," in metavar else rule
            raise argparse.ArgumentTypeError(f"{rule}, got {text!r}") from error
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"must be JSON, got {text!r}") from error

    return read
