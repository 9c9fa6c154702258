"""The analyses that users choose from: those that come with us, and the released packages.

An entry knows which files an analysis takes, and which of its parameters a form shows. What runs is
looked up again by the job's own process. `bl_steer.server.packages.catalogue` is the sibling that
says which packages are released.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from pydantic import BaseModel

from bl_steer.analysis import segmentation
from bl_steer.processing.registry import find_analysis
from bl_steer.server.db.tables import Package
from bl_steer.server.jobs.inputs import InputKind, kinds
from bl_steer.server.languages import LANGUAGES, has_text, text
from bl_steer.server.packages.inputs import uploads_of
from bl_steer.server.packages.manifest import Input, PackageError, parse_manifest
from bl_steer.server.packages.parameters import params_model

__all__ = [
    "ORDER",
    "AnalysisEntry",
    "InputEntry",
    "builtin_entries",
    "builtin_entry",
    "package_entry",
    "readable_entry",
]

ORDER = ("segment", "structure", "superres", "reconstruct", "components", "film", "advise")
HIDDEN = {"superres": {"model"}, "segment": {"keep_probability"}}
BY_MODEL = ("segment", "reconstruct")
"""Analyses that segment by a model, of which those that come with us are offered."""
ADVANCED = {
    "segment": {"precision", "tile_px", "model"},
    "structure": {"directions", "blocks", "n_bootstrap", "max_lag_nm", "seed"},
    "superres": {"blocks", "channels", "steps", "seed", "keep_fractions"},
    "reconstruct": {
        "views",
        "speck_px",
        "plane_nm",
        "blocks",
        "channels",
        "steps",
        "interval_blocks",
        "seed",
        "bar_px",
        "keep_bad",
    },
    "components": {"seed", "n_bootstrap"},
    "film": {"assume", "significance"},
    "advise": {"seed"},
}


logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class InputEntry:
    """One of several inputs, each with files of its own.

    Parameters
    ----------
    titles : by language
    """

    name: str
    kind: InputKind
    titles: Mapping[str, str]

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Of the files that it takes."""
        return self.kind.suffixes

    def title(self, language: str) -> str:
        """Return how pages call it."""
        return self.titles.get(language) or self.titles.get("en") or self.name

    def takes_one(self, file_name: str) -> bool:
        """Return whether it takes a file, by its name."""
        return self.kind.takes_one(file_name)


@dataclass(frozen=True)
class AnalysisEntry:
    """One analysis to choose.

    Parameters
    ----------
    name : as it is written everywhere
    titles, summaries : by language
    kind : which files it takes, and how many
    inputs : where it has several, whose files are given by their names
    gpus : that a job of it needs
    columns : that the table of a package must have, where it is its only input
    package_sha256 : of a released package; None for our own
    """

    name: str
    titles: Mapping[str, str]
    summaries: Mapping[str, str]
    kind: InputKind
    params: type[BaseModel]
    package_sha256: str | None = None
    hidden: frozenset[str] = frozenset()
    advanced: frozenset[str] = frozenset()
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    inputs: tuple[InputEntry, ...] = ()
    columns: tuple[str, ...] = ()
    gpus: int = 0

    def form(self, language: str) -> str:
        """Return how a table must look for an analysis that takes one, or nothing."""
        if self.columns:
            return text(language, "format.columns", columns=", ".join(self.columns))
        key = f"format.{self.name}"
        return text(language, key) if self.package_sha256 is None and has_text(key) else ""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Of the files that it takes."""
        return self.kind.suffixes

    def takes(self, file_names: Sequence[str]) -> bool:
        """Return whether the analysis takes all these files, by their names."""
        counted = self.kind.counted(file_names)
        return 0 < counted <= self.kind.most and all(map(self.takes_one, file_names))

    def takes_one(self, file_name: str) -> bool:
        """Return whether the analysis takes a file, by its name."""
        return self.kind.takes_one(file_name)

    def sorted_out(self, files: Mapping[str, str]) -> dict[str, list[str]]:
        """Return which files an input is likely to be for: of each the first that takes them.

        Parameters
        ----------
        files : names by id
        """
        given: dict[str, list[str]] = {one.name: [] for one in self.inputs}
        for key, file_name in files.items():
            for one in self.inputs:
                if one.takes_one(file_name) and len(given[one.name]) < one.kind.most:
                    given[one.name].append(key)
                    break
        return given

    def title(self, language: str) -> str:
        """Return the heading of the entry."""
        return self.titles.get(language) or self.titles.get("en") or self.name

    def summary(self, language: str) -> str:
        """Return what the analysis does, in a sentence or two."""
        return self.summaries.get(language) or self.summaries.get("en") or ""


@cache
def builtin_entries() -> tuple[AnalysisEntry, ...]:
    """Return the entries of all analyses that come with us, in the order of the page."""
    return tuple(builtin_entry(name, kinds()[name]) for name in ORDER)


def _title_of(part: Input, language: str) -> str:
    """Return what an input of a package is, with the columns that its table must have."""
    title = part.description.in_language(language) or part.name
    return f"{title} ({', '.join(part.columns)})" if part.columns else title


def package_entry(package: Package) -> AnalysisEntry:
    """Return the entry of a released package, from its manifest."""
    manifest = parse_manifest(package.manifest, package.name)
    inputs = tuple(
        InputEntry(
            part.name,
            uploads_of(part.kind),
            {language: _title_of(part, language) for language in LANGUAGES},
        )
        for part in manifest.inputs
    )
    suffixes = dict.fromkeys(
        suffix for one in inputs for suffix in (*one.kind.suffixes, *one.kind.beside)
    )
    return AnalysisEntry(
        name=manifest.name,
        titles={language: manifest.title.in_language(language) for language in LANGUAGES},
        summaries={language: manifest.description.in_language(language) for language in LANGUAGES},
        kind=InputKind(tuple(suffixes), sum(one.kind.most for one in inputs)),
        inputs=inputs if any(one.name for one in inputs) else (),
        gpus=manifest.gpu,
        columns=() if manifest.inputs[0].name else manifest.inputs[0].columns,
        params=params_model(manifest.name, manifest.parameters),
        package_sha256=package.sha256,
    )


def readable_entry(package: Package) -> AnalysisEntry | None:
    """Return the entry of a package; None where an earlier version took what this one refuses."""
    try:
        return package_entry(package)
    except PackageError as error:
        logger.error("%s %s is not offered: %s", package.name, package.version, error)
        return None


def builtin_entry(name: str, kind: InputKind) -> AnalysisEntry:
    """Return the entry of an analysis that comes with us.

    One without texts of its own is called by its name, and described by its class' docstring.
    """

    def by_language(what: str, otherwise: str) -> dict[str, str]:
        key = f"analysis.{name}.{what}"
        if not has_text(key):  # an analysis that nobody has described to users yet
            return {"en": otherwise}
        return {language: text(language, key) for language in LANGUAGES}

    analysis = find_analysis(name)
    first_line, *_ = (inspect.getdoc(type(analysis)) or "").splitlines() or [""]
    return AnalysisEntry(
        name=name,
        titles=by_language("title", name),
        summaries=by_language("summary", first_line),
        kind=kind,
        params=analysis.Params,
        hidden=frozenset(HIDDEN.get(name, ())),
        advanced=frozenset(ADVANCED.get(name, ())),
        choices={"model": tuple(segmentation.shipped_models())} if name in BY_MODEL else {},
    )
