"""The script of a package: what its author writes, and what it gives back.

Two functions around the model's own prediction are all that most packages need::

    def prepare(inputs, params):             # -> X, for model.predict(X)
        ...

    def finish(prediction, inputs, params):  # -> {"tables": …, "arrays": …, "figures": …}
        ...

or one that does everything: ``run(inputs, params, model)``, for weights that are arrays, for
several files of weights, and for packages without any. `inputs` is a `bl_steer.protocols.Inputs`,
or of several inputs a dictionary of them by name; of several files of weights, so is `model`.
`params` has the parameters of the manifest as attributes. A script that makes label maps, arrays
``…_labels``, may name their ``"phases"`` too: then pages show them in their colours, and their
images can be painted. Other modules of the folder are imported by ``from . import module``.
"""

from __future__ import annotations

import hashlib
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis import segmentation
from bl_steer.processing.documents import columns_of
from bl_steer.protocols import Inputs, Table
from bl_steer.server.packages.manifest import Manifest, PackageError

__all__ = ["Findings", "PackageScript"]

PARTS = ("tables", "arrays", "figures", "warnings", "phases")
LONGEST_WARNING = 500


@dataclass(frozen=True)
class Findings:
    """What a script found, checked: the parts of an `AnalysisResult` that are its own."""

    tables: Mapping[str, Table] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    figures: Mapping[str, Callable[[], Any]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    phases: list[dict[str, Any]] = field(default_factory=list)
    """Of the label maps, as `Phases.to_list` has them."""


class PackageScript:
    """The script of a package, loaded: this runs the author's code.

    Raises
    ------
    PackageError
        When it cannot be loaded, or has neither `run` nor `prepare` and `finish`.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self._manifest = manifest
        self._folder = folder
        self.module = self._load()
        alone = callable(getattr(self.module, "run", None))
        around = all(callable(getattr(self.module, name, None)) for name in ("prepare", "finish"))
        named = any(part.name for part in manifest.weights)
        if around and not alone and named:
            raise PackageError(
                f"{manifest.script} must define run(inputs, params, model) where the weights have "
                "names, got prepare and finish; model has them by name there"
            )
        if alone == around or (around and not manifest.weights):
            raise PackageError(
                f"{manifest.script} must define either run(inputs, params, model), or prepare and "
                "finish around a model's prediction, got "
                f"{'both' if alone and around else 'neither' if not alone else 'no model'}; see "
                "the script that 'bl-steer package init' writes"
            )
        self._alone = alone

    def __call__(self, inputs: Inputs | Mapping[str, Inputs], params: Any, model: Any) -> Findings:
        """Analyse; `ValueError` of the author's passes, any other error names its line."""
        if self._alone:
            return self._checked(self._call("run", inputs, params, model))
        method = self._manifest.weights[0].method
        if not callable(getattr(model, method, None)):
            raise PackageError(
                f"a model between prepare and finish must have {method}(X), got "
                f"{type(model).__name__}; write run(inputs, params, model) instead"
            )
        X = self._call("prepare", inputs, params)
        prediction = self._guard(f"{method} of the model", getattr(model, method), X)
        return self._checked(self._call("finish", prediction, inputs, params))

    def _load(self) -> ModuleType:
        path = self._folder / self._manifest.script
        digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
        # A package of its own: `from . import module` finds the folder's modules and no others'.
        spec = ModuleSpec(f"bl_steer_package_{digest}", None, origin=str(path), is_package=True)
        spec.submodule_search_locations = [str(path.parent)]
        module = ModuleType(spec.name)
        module.__dict__.update(
            __spec__=spec, __file__=str(path), __path__=[str(path.parent)], __package__=spec.name
        )
        for name in [loaded for loaded in sys.modules if loaded.partition(".")[0] == spec.name]:
            del sys.modules[name]
        sys.modules[spec.name] = module
        try:
            source = path.read_bytes()
            self._guard("loading", lambda: exec(compile(source, str(path), "exec"), vars(module)))
        except (OSError, SyntaxError) as error:
            raise PackageError(
                f"{self._manifest.script} must be a Python script, got {error}; mend it"
            ) from error
        return module

    def _call(self, name: str, *arguments: Any) -> Any:
        return self._guard(name, getattr(self.module, name), *arguments)

    def _guard(self, what: str, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except (ValueError, MemoryError, SyntaxError):
            raise
        except Exception as error:
            raise PackageError(
                f"the package {self._manifest.name} {self._manifest.version} must work, got "
                f"{type(error).__name__}: {error} in {what}{self._line(error)}; tell its author"
            ) from error

    def _line(self, error: BaseException) -> str:
        for frame in reversed(traceback.extract_tb(error.__traceback__)):
            if Path(frame.filename).parent == self._folder:
                return f" ({Path(frame.filename).name}, line {frame.lineno})"
        return ""

    def _checked(self, returned: Any) -> Findings:
        if not isinstance(returned, Mapping) or set(returned) - set(PARTS):
            got = (
                sorted(map(str, returned))
                if isinstance(returned, Mapping)
                else type(returned).__name__
            )
            raise PackageError(
                f"a script must return a dictionary of {', '.join(PARTS)}, got {got}; leave out "
                "what there is not"
            )
        warnings = returned.get("warnings") or ()
        return Findings(
            tables={k: _table(k, v) for k, v in (returned.get("tables") or {}).items()},
            arrays={k: _array(k, v) for k, v in (returned.get("arrays") or {}).items()},
            figures={k: _figure(k, v) for k, v in (returned.get("figures") or {}).items()},
            warnings=tuple(str(warning)[:LONGEST_WARNING] for warning in warnings),
            phases=_phases(returned.get("phases") or ()),
        )


def _table(name: str, table: Any) -> Table:
    if hasattr(table, "to_dict") and hasattr(table, "columns"):  # pandas, without importing it
        table = {str(key): table[key].to_numpy() for key in table.columns}
    if not isinstance(table, Mapping) or not table:
        raise PackageError(
            f"the table {name!r} must be columns by name, got {type(table).__name__}; write it as "
            '{"column": values, …}'
        )
    try:
        return columns_of(name, {str(key): column for key, column in table.items()})
    except ValueError as error:
        raise PackageError(str(error)) from None


def _array(name: str, array: Any) -> NDArray[Any]:
    values = np.asarray(array)
    if values.dtype.kind not in "biuf" or values.dtype.itemsize > 8:
        raise PackageError(
            f"the array {name!r} must hold real numbers of at most 64 bits, got {values.dtype}; "
            "convert it"
        )
    return values


def _phases(rows: Any) -> list[dict[str, Any]]:
    try:
        return segmentation.Phases.from_list(list(rows)).to_list() if rows else []
    except (ValueError, TypeError, KeyError) as error:
        raise PackageError(
            'phases must be a list of {"name", "paint", "show"} in the order of the labels, and '
            f"colours [red, green, blue], got {error!r}; see the phases of a model's card"
        ) from None


def _figure(name: str, figure: Any) -> Callable[[], Any]:
    if callable(figure):
        draw: Callable[[], Any] = figure
        return draw
    if hasattr(figure, "savefig"):
        return lambda: figure
    raise PackageError(
        f"the figure {name!r} must be a matplotlib figure or a function that draws one, got "
        f"{type(figure).__name__}; return the figure itself"
    )
