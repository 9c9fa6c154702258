"""The analyses that users choose from: those that come with us, and the released packages.

A card knows which files an analysis takes, and which of its parameters a form shows. What runs is
looked up again by the job's own process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from pydantic import BaseModel

from bl_steer.service.languages import text

__all__ = ["BUILT_IN", "Card", "own_card", "own_cards"]

STACKS = (".tif", ".tiff", ".npy", ".npz", ".zip")
BUILT_IN: dict[str, tuple[str, ...]] = {
    "segment": (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", ".npy", ".npz"),
    "structure": STACKS,
    "superres": STACKS,
    "components": (".csv", ".tsv", ".txt", ".npz"),
    "advise": (".csv", ".tsv", ".txt", ".npz"),
}
HIDDEN = {"superres": {"model"}, "segment": {"keep_probability"}}
ADVANCED = {
    "segment": {"precision", "tile_px", "model"},
    "structure": {"directions", "blocks", "n_bootstrap", "max_lag_nm", "seed"},
    "superres": {"blocks", "channels", "steps", "seed", "keep_fractions"},
    "components": {"seed", "n_bootstrap"},
    "advise": {"seed"},
}


@dataclass(frozen=True)
class Card:
    """One analysis to choose.

    Parameters
    ----------
    name : as it is written everywhere
    titles, summaries : by language
    suffixes : of the files that it takes
    package_sha256 : of a released package; None for our own
    """

    name: str
    titles: Mapping[str, str]
    summaries: Mapping[str, str]
    suffixes: tuple[str, ...]
    params: type[BaseModel]
    package_sha256: str | None = None
    hidden: frozenset[str] = frozenset()
    advanced: frozenset[str] = frozenset()
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def takes(self, file_names: Sequence[str]) -> bool:
        """Return whether the analysis takes files of these names; false without files."""
        return bool(file_names) and all(
            Path(name).suffix.lower() in self.suffixes for name in file_names
        )

    def title(self, language: str) -> str:
        """Return what the card is headed with."""
        return self.titles.get(language) or self.titles.get("en") or self.name

    def summary(self, language: str) -> str:
        """Return what the analysis does, in a sentence or two."""
        return self.summaries.get(language) or self.summaries.get("en") or ""


@cache
def own_card(name: str) -> Card:
    """Return the card of an analysis that comes with us."""
    from bl_steer.analysis.registry import find_analysis

    def words(what: str) -> dict[str, str]:
        return {one: text(one, f"card.{name}.{what}") for one in ("en", "ja")}

    return Card(
        name=name,
        titles=words("title"),
        summaries=words("summary"),
        suffixes=BUILT_IN[name],
        params=find_analysis(name).Params,
        hidden=frozenset(HIDDEN.get(name, ())),
        advanced=frozenset(ADVANCED.get(name, ())),
        choices={"model": _models()} if name == "segment" else {},
    )


def own_cards() -> list[Card]:
    """Return the cards of all analyses that come with us, in the order of the page."""
    from bl_steer.analysis.registry import analysis_names

    installed = analysis_names()
    return [own_card(name) for name in BUILT_IN if name in installed]


def _models() -> tuple[str, ...]:
    from bl_steer.analysis.segmentation.shipped import shipped_models

    return tuple(shipped_models())
