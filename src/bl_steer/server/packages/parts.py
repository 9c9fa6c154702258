"""The parts of a manifest: inputs, weights, tests, authors, and how each may be written."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from bl_steer.server.errors import WordedError
from bl_steer.server.packages.parameters import Text

__all__ = [
    "CODE_FORMATS",
    "Author",
    "Expectation",
    "Format",
    "Input",
    "InputKind",
    "PackageError",
    "Part",
    "Pinned",
    "RelativePath",
    "Sha256",
    "TrainingData",
    "Weights",
]

Format = Literal["skops", "safetensors", "npz", "onnx", "pickle", "joblib", "h5"]
CODE_FORMATS = frozenset({"pickle", "joblib", "h5"})
"""Weights that can run anything when they are loaded: approved by two."""
InputKind = Literal["micrographs", "stack", "map", "table"]

SAFE_ROOTS = frozenset({"numpy", "scipy", "sklearn"})
"""Where trusted types may be from without the weights counting as code."""


class PackageError(WordedError):
    """A package does not hold what it must."""


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
        raise PydanticCustomError(
            "package_path",
            "a file must be named by its path inside the package, got {got}; write it as "
            "folder/name, without '..', hidden names or backslashes",
            {"got": repr(path)},
        )
    return path


def _trusted(name: str) -> str:
    root = name.partition(".")[0]
    if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", name):
        raise PydanticCustomError(
            "trusted_form",
            "a trusted type must be written module.Class, got {got}",
            {"got": repr(name)},
        )
    if root in sys.stdlib_module_names:
        raise PydanticCustomError(
            "trusted_python",
            "a trusted type must not be of Python's own library, got {got}; skops knows the "
            "harmless ones already",
            {"got": repr(name)},
        )
    return name


RelativePath = Annotated[str, AfterValidator(_relative)]
PartName = Annotated[str, Field(pattern=r"^([a-z][a-z0-9_]{0,39})?$")]
"""Of one input or one file of weights among several; empty where there is one alone."""
Pinned = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?==[0-9][A-Za-z0-9.!+_-]{0,98}$"),
]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Part(BaseModel):
    """Written once, and without what nobody knows."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Author(Part):
    """Who made it."""

    name: str = Field(min_length=1, max_length=200)
    affiliation: str = Field(default="", max_length=200)
    orcid: str = Field(default="", pattern=r"^(\d{4}-\d{4}-\d{4}-\d{3}[\dX])?$")


class Input(Part):
    """What it works on; of several inputs each has a name, by which the script finds it."""

    name: PartName = ""
    kind: InputKind
    columns: tuple[str, ...] = ()
    """A table must have these."""
    description: Text = Text()


class Weights(Part):
    """A trained model, in one file; of several each has a name, by which the script finds it."""

    name: PartName = ""
    file: RelativePath
    format: Format
    method: str = Field(default="predict", pattern=r"^[a-z]\w*$")
    """Of a scikit-learn estimator, between `prepare` and `finish`."""
    trusted_types: tuple[Annotated[str, AfterValidator(_trusted)], ...] = ()
    """What a skops file may build beside skops' own list; the file's wishes do not count."""

    @model_validator(mode="after")
    def _types_are_of_skops(self) -> Self:
        if self.trusted_types and self.format != "skops":
            raise PydanticCustomError(
                "trusted_format",
                "trusted_types must come with format skops, got {got}",
                {"got": repr(self.format)},
            )
        return self

    @property
    def is_code(self) -> bool:
        """Whether loading it can run what a reader of the script does not see."""
        roots = {name.partition(".")[0] for name in self.trusted_types}
        return self.format in CODE_FORMATS or not roots <= SAFE_ROOTS


class Expectation(Part):
    """A test: inputs and parameters, and the file with the output that must come of them."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    inputs: Mapping[str, Annotated[tuple[RelativePath, ...], Field(min_length=1)]]
    """Files by the name of the input, ``""`` for one alone; its files are written as a list."""
    metadata: Mapping[str, Any] = Field(default_factory=dict)
    params: Mapping[str, Any] = Field(default_factory=dict)
    expected: RelativePath
    """Written by ``bl-steer package test --accept``."""
    tolerance: float = Field(default=1e-6, ge=0, lt=1)
    """Relative, of numbers in tables and of the arrays' summaries; 0 asks for the digest itself."""

    @field_validator("inputs", mode="before")
    @classmethod
    def _read_inputs(cls, inputs: Any) -> Any:
        return {"": inputs} if isinstance(inputs, list | tuple) else inputs

    @model_serializer(mode="wrap")
    def _write(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = handler(self)
        return {**values, "inputs": values["inputs"].get("", values["inputs"])}


class TrainingData(Part):
    """What the weights were made from."""

    description: str = Field(min_length=1, max_length=4000)
    snapshot: Sha256 | None = None
    """Of the server's data, where they were retrained there."""
    sha256: tuple[Sha256, ...] = ()
    """Of the files, where they are known."""
