"""What a package says of itself: ``package.toml`` by its author, ``manifest.json`` when built.

Reading either runs nothing of the package. Parameters become a form in
`bl_steer.server.packages.parameters`; files are hashed in `bl_steer.server.packages.content`.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from bl_steer.server.packages.parameters import Parameter, Text
from bl_steer.server.packages.parts import (
    CODE_FORMATS,
    Author,
    Expectation,
    Format,
    Input,
    InputKind,
    PackageError,
    Part,
    Pinned,
    RelativePath,
    Sha256,
    TrainingData,
    Weights,
)

__all__ = [
    "CODE_FORMATS",
    "MANIFEST_FILE",
    "SOURCE_FILE",
    "Author",
    "Expectation",
    "Format",
    "Input",
    "InputKind",
    "Manifest",
    "ManifestError",
    "PackageError",
    "RelativePath",
    "TrainingData",
    "Weights",
    "parse_manifest",
    "read_manifest",
    "read_source",
]

SOURCE_FILE = "package.toml"
MANIFEST_FILE = "manifest.json"
FORM = 1
LARGEST_MANIFEST = 4 * 2**20
"""Bytes: more is no manifest."""


class ManifestError(PackageError):
    """A manifest does not describe a package.

    Parameters
    ----------
    where : the file that it stands in
    problems : name of an entry, empty for the whole, and what is wrong there as pydantic tells it
    """

    def __init__(self, where: str, problems: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        said = "; ".join(
            f"{place or 'the whole'}: {problem['msg'].removeprefix('Value error, ')}"
            for place, problem in problems
        )
        super().__init__(f"{where} must describe a package, got: {said}")
        self.where = where
        self.problems = problems


class Manifest(Part):
    """Everything about a package but its bytes.

    What has one input and at most one file of weights is written as it was before there could be
    several, so that it keeps its hash: a table ``input``, and a table ``weights`` or null.
    """

    form: Literal[1] = 1
    name: str = Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=48)
    version: str = Field(pattern=r"^\d{1,6}\.\d{1,6}\.\d{1,6}$")
    title: Text
    description: Text = Text()
    licence: str = Field(min_length=1, max_length=100)
    authors: tuple[Author, ...] = Field(min_length=1)
    inputs: tuple[Input, ...] = Field(min_length=1, max_length=8)
    script: RelativePath = "script.py"
    parameters: tuple[Parameter, ...] = ()
    weights: tuple[Weights, ...] = Field(default=(), max_length=16)
    dependencies: tuple[Pinned, ...] = Field(default=(), max_length=50)
    """Libraries beside the server's own, each ``name==version``."""
    gpu: int = Field(default=0, ge=0, le=16)
    """Graphics processors that a job of it needs, on one machine of a cluster."""
    training_data: TrainingData | None = None
    tests: tuple[Expectation, ...] = Field(min_length=1)
    versions: Mapping[str, str] = Field(default_factory=dict)
    """Of the libraries that it was built with; filled in by building."""
    files: Mapping[RelativePath, Sha256] = Field(default_factory=dict)
    """Every file but the manifest itself; filled in by building."""

    @model_validator(mode="before")
    @classmethod
    def _read(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        values = dict(given)
        if "input" in values:
            if "inputs" in values:
                raise PydanticCustomError(
                    "both_inputs", "a package must have [input] or [[inputs]], got both; drop one"
                )
            values["inputs"] = [values.pop("input")]
        if values.get("weights") is None:
            values["weights"] = []
        elif isinstance(values["weights"], Mapping):
            values["weights"] = [values["weights"]]
        return values

    @model_serializer(mode="wrap")
    def _write(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = handler(self)
        inputs, weights = (_unnamed(values.pop(name)) for name in ("inputs", "weights"))
        values["inputs" if isinstance(inputs, list) else "input"] = inputs
        values["weights"] = weights or None
        for name in ("dependencies", "gpu"):
            if not values[name]:
                del values[name]
        return values

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        for what, names in (
            ("parameters", [parameter.name for parameter in self.parameters]),
            ("tests", [test.name for test in self.tests]),
            ("inputs", self.input_names),
            ("weights", [part.name for part in self.weights]),
            ("dependencies", [_project(one) for one in self.dependencies]),
        ):
            if len(set(names)) < len(names) or (len(names) > 1 and "" in names):
                raise PydanticCustomError(
                    "own_names",
                    "{what} must each have a name of their own, got {got}",
                    {"what": what, "got": ", ".join(map(repr, names))},
                )
        for test in self.tests:
            if set(test.inputs) != set(self.input_names):
                raise PydanticCustomError(
                    "inputs_of_test",
                    "tests must give files for {inputs}, got the test {test} with {got}; write "
                    "inputs as the manifest names them",
                    {
                        "inputs": _names(self.input_names),
                        "test": repr(test.name),
                        "got": _names(list(test.inputs)),
                    },
                )
        if self.weights and self.training_data is None:
            raise PydanticCustomError(
                "no_training_data",
                "weights must come with training_data, got none; say what they were trained on",
            )
        if not self.title.en:
            raise PydanticCustomError(
                "no_title", "the title must have its English text, got none; give title.en"
            )
        missing = sorted(self.named_files() - set(self.files)) if self.files else []
        if missing:
            raise PydanticCustomError(
                "unlisted_files",
                "files must hold all that the manifest names, got no {got}",
                {"got": ", ".join(missing)},
            )
        return self

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs; ``[""]`` for one alone."""
        return [one.name for one in self.inputs]

    def named_files(self) -> set[str]:
        """Return the files that the manifest itself speaks of."""
        weights = {part.file for part in self.weights}
        inputs = {file for test in self.tests for files in test.inputs.values() for file in files}
        return {self.script, *weights, *inputs, *(test.expected for test in self.tests)}

    @property
    def approvals_needed(self) -> int:
        """How many must approve it: two where loading the weights is running code."""
        return 2 if any(part.is_code for part in self.weights) else 1

    def to_json(self) -> str:
        """Return the text of ``manifest.json``."""
        values = self.model_dump(mode="json")
        return json.dumps(values, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def read_source(folder: Path) -> Manifest:
    """Return what the author wrote in ``package.toml``; its files are not listed yet.

    Raises
    ------
    PackageError
        Naming each entry that is missing or does not fit, all at once.
    """
    path = folder / SOURCE_FILE
    try:
        values = tomllib.loads(_text(path))
    except tomllib.TOMLDecodeError as error:
        raise PackageError(
            f"{SOURCE_FILE} must be TOML, got: {error}; see the one that 'bl-steer package init' "
            "writes"
        ) from None
    for filled in ("files", "versions"):
        if filled in values:
            raise PackageError(
                f"{SOURCE_FILE} must leave {filled!r} to 'bl-steer package build'; take it out"
            )
    return parse_manifest(values, SOURCE_FILE)


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a built package.

    Raises
    ------
    PackageError
        When it is missing or does not fit.
    """
    try:
        values = json.loads(_text(folder / MANIFEST_FILE))
    except (json.JSONDecodeError, RecursionError) as error:
        raise PackageError(
            f"{MANIFEST_FILE} must be JSON, got: {error}; build the package again",
            "archive.manifest",
            name=MANIFEST_FILE,
        ) from None
    manifest = parse_manifest(values, MANIFEST_FILE)
    if not manifest.files:
        raise PackageError(
            f"{MANIFEST_FILE} must list the files, got none; build it again",
            "archive.manifest",
            name=MANIFEST_FILE,
        )
    return manifest


def parse_manifest(values: Any, where: str) -> Manifest:
    """Return a manifest from its values; `PackageError` names each problem."""
    try:
        return Manifest.model_validate(values)
    except ValidationError as error:
        problems = [(_place(problem["loc"], values), dict(problem)) for problem in error.errors()]
        raise ManifestError(where, problems) from None


def _place(loc: tuple[int | str, ...], values: Any) -> str:
    """Return the name of an entry as its author wrote it."""
    single = {"inputs": "input", "weights": "weights"}.get(str(loc[0]), "") if loc else ""
    if len(loc) > 1 and single and isinstance(values.get(single), Mapping):
        loc = (single, *loc[2:])
    return ".".join(str(part) for part in loc if part != "")


def _unnamed(parts: Any) -> Any:
    """Return the values of one part without a name by themselves, several as a list."""
    listed = [{k: v for k, v in part.items() if k != "name" or v} for part in parts]
    return listed[0] if len(listed) == 1 and "name" not in listed[0] else listed


def _project(pinned: str) -> str:
    return re.sub(r"[-_.]+", "-", pinned.partition("==")[0]).lower()


def _names(names: Sequence[str]) -> str:
    return " and ".join(name or "the one input" for name in names) or "nothing"


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST_MANIFEST:
            raise PackageError(
                f"{path.name} must be at most {LARGEST_MANIFEST} bytes, got {path.stat().st_size}; "
                "put data into files of their own",
                "archive.manifest",
                name=path.name,
            )
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        remedy = (
            "'bl-steer package init'" if path.name == SOURCE_FILE else "'bl-steer package build'"
        )
        raise PackageError(
            f"a package must have a readable {path.name}, got {error.__class__.__name__} in "
            f"{path.parent}; make it with {remedy}",
            "archive.manifest",
            name=path.name,
        ) from error
