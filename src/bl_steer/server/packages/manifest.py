"""What a package says of itself: ``package.toml`` by its author, ``manifest.json`` when built.

Reading either runs nothing of the package. Parameters become a form in
`bl_steer.server.packages.parameters`; files are hashed in `bl_steer.server.packages.content`.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from bl_steer.server.packages.parameters import Parameter, Text

__all__ = [
    "CODE_FORMATS",
    "MANIFEST_FILE",
    "SOURCE_FILE",
    "Author",
    "Expectation",
    "Format",
    "InputKind",
    "Manifest",
    "PackageError",
    "TrainingData",
    "Weights",
    "read_manifest",
    "read_source",
]

SOURCE_FILE = "package.toml"
MANIFEST_FILE = "manifest.json"
FORM = 1
LARGEST_MANIFEST = 4 * 2**20
"""Bytes: more is no manifest."""

Format = Literal["skops", "safetensors", "npz", "onnx", "pickle", "joblib", "h5"]
CODE_FORMATS = frozenset({"pickle", "joblib", "h5"})
"""Weights that can run anything when they are loaded: approved by two."""
InputKind = Literal["micrographs", "stack", "map", "table"]

SAFE_ROOTS = frozenset({"numpy", "scipy", "sklearn"})
"""Where trusted types may be from without the weights counting as code."""


class PackageError(ValueError):
    """A package does not hold what it must; the message names the place and the remedy."""


def _relative(path: str) -> str:
    """Return a file's path inside a package, or raise for one that could lead out of it."""
    parts = PurePosixPath(path).parts
    hidden = any(part.startswith(".") for part in parts)
    if (
        not parts
        or hidden
        or str(PurePosixPath(path)) != path
        or PurePosixPath(path).is_absolute()
        or re.search(r"[\\:\x00-\x1f\x7f]", path)
        or "__pycache__" in parts
        or max(len(part.encode()) for part in parts) > 200
        or len(path) > 400
    ):
        raise ValueError(
            f"a file must be named by its path inside the package, got {path!r}; write it as "
            "folder/name, without '..', hidden names or backslashes"
        )
    return path


def _trusted(name: str) -> str:
    root = name.partition(".")[0]
    if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", name):
        raise ValueError(f"a trusted type must be written module.Class, got {name!r}")
    if root in sys.stdlib_module_names:
        raise ValueError(
            f"a trusted type must not be of Python's own library, got {name!r}; skops knows the "
            "harmless ones already"
        )
    return name


RelativePath = Annotated[str, AfterValidator(_relative)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Author(_Part):
    """Who made it."""

    name: str = Field(min_length=1, max_length=200)
    affiliation: str = Field(default="", max_length=200)
    orcid: str = Field(default="", pattern=r"^(\d{4}-\d{4}-\d{4}-\d{3}[\dX])?$")


class Input(_Part):
    """What it works on."""

    kind: InputKind
    columns: tuple[str, ...] = ()
    """A table must have these."""
    description: Text = Text()


class Weights(_Part):
    """The trained model, in one file."""

    file: RelativePath
    format: Format
    method: str = Field(default="predict", pattern=r"^[a-z]\w*$")
    """Of a scikit-learn estimator, between `prepare` and `finish`."""
    trusted_types: tuple[Annotated[str, AfterValidator(_trusted)], ...] = ()
    """What a skops file may build beside skops' own list; the file's wishes do not count."""

    @model_validator(mode="after")
    def _types_are_of_skops(self) -> Self:
        if self.trusted_types and self.format != "skops":
            raise ValueError(f"trusted_types must come with format skops, got {self.format!r}")
        return self

    @property
    def is_code(self) -> bool:
        """Whether loading it can run what a reader of the script does not see."""
        roots = {name.partition(".")[0] for name in self.trusted_types}
        return self.format in CODE_FORMATS or not roots <= SAFE_ROOTS


class Expectation(_Part):
    """A test: inputs and parameters, and the file with the output that must come of them."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    inputs: tuple[RelativePath, ...] = Field(min_length=1)
    metadata: Mapping[str, Any] = Field(default_factory=dict)
    params: Mapping[str, Any] = Field(default_factory=dict)
    expected: RelativePath
    """Written by ``bl-steer package test --accept``."""
    tolerance: float = Field(default=1e-6, ge=0, lt=1)
    """Relative, of numbers in tables and of the arrays' summaries; 0 asks for the digest itself."""


class TrainingData(_Part):
    """What the weights were made from."""

    description: str = Field(min_length=1, max_length=4000)
    snapshot: Sha256 | None = None
    """Of the server's data, where they were retrained there."""
    sha256: tuple[Sha256, ...] = ()
    """Of the files, where they are known."""


class Manifest(_Part):
    """Everything about a package but its bytes."""

    form: Literal[1] = 1
    name: str = Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=48)
    version: str = Field(pattern=r"^\d{1,6}\.\d{1,6}\.\d{1,6}$")
    title: Text
    description: Text = Text()
    licence: str = Field(min_length=1, max_length=100)
    authors: tuple[Author, ...] = Field(min_length=1)
    input: Input
    script: RelativePath = "script.py"
    parameters: tuple[Parameter, ...] = ()
    weights: Weights | None = None
    training_data: TrainingData | None = None
    tests: tuple[Expectation, ...] = Field(min_length=1)
    versions: Mapping[str, str] = Field(default_factory=dict)
    """Of the libraries that it was built with; filled in by building."""
    files: Mapping[RelativePath, Sha256] = Field(default_factory=dict)
    """Every file but the manifest itself; filled in by building."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        for what, names in (
            ("parameters", [parameter.name for parameter in self.parameters]),
            ("tests", [test.name for test in self.tests]),
        ):
            if len(set(names)) < len(names):
                raise ValueError(f"{what} must each have a name of their own, got {names}")
        if self.weights is not None and self.training_data is None:
            raise ValueError(
                "weights must come with training_data, got none; say what they were trained on"
            )
        if not self.title.en:
            raise ValueError("the title must have its English text, got none; give title.en")
        missing = sorted(self.named_files() - set(self.files)) if self.files else []
        if missing:
            raise ValueError(f"files must hold all that the manifest names, got no {missing}")
        return self

    def named_files(self) -> set[str]:
        """Return the files that the manifest itself speaks of."""
        weights = {self.weights.file} if self.weights else set()
        tests = {file for test in self.tests for file in (*test.inputs, test.expected)}
        return {self.script, *weights, *tests}

    @property
    def approvals_needed(self) -> int:
        """How many must approve it: two where loading the weights is running code."""
        return 2 if self.weights is not None and self.weights.is_code else 1

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
            f"{MANIFEST_FILE} must be JSON, got: {error}; build the package again"
        ) from None
    manifest = parse_manifest(values, MANIFEST_FILE)
    if not manifest.files:
        raise PackageError(f"{MANIFEST_FILE} must list the files, got none; build it again")
    return manifest


def parse_manifest(values: Any, where: str) -> Manifest:
    """Return a manifest from its values; `PackageError` names each problem."""
    try:
        return Manifest.model_validate(values)
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, problem['loc'])) or 'the whole'}: "
            f"{problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors()
        ]
        raise PackageError(f"{where} must describe a package, got: {'; '.join(problems)}") from None


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST_MANIFEST:
            raise PackageError(
                f"{path.name} must be at most {LARGEST_MANIFEST} bytes, got {path.stat().st_size}; "
                "put data into files of their own"
            )
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        remedy = (
            "'bl-steer package init'" if path.name == SOURCE_FILE else "'bl-steer package build'"
        )
        raise PackageError(
            f"a package must have a readable {path.name}, got {error.__class__.__name__} in "
            f"{path.parent}; make it with {remedy}"
        ) from error
