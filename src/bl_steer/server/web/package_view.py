"""What a package changes against the release before it, for its author and its reviewers.

Nothing of a package runs here. Whatever its author wrote is shown as text, with characters that
nobody sees, or that turn the direction of a line, written out.
"""

from __future__ import annotations

import difflib
import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sqlalchemy.orm import Session

from bl_steer.server.db.tables import Package
from bl_steer.server.errors import Refused
from bl_steer.server.languages import Sentence, text
from bl_steer.server.packages import Manifest, PackageError
from bl_steer.server.packages.catalogue import author_of, release_before
from bl_steer.server.packages.manifest import ManifestError, parse_manifest
from bl_steer.server.packages.store import PackageStore
from bl_steer.server.web.forms import problem_of

__all__ = [
    "TEXTS",
    "Changes",
    "changes_of",
    "dependencies_of",
    "folder_of",
    "refusal_of",
    "script_of",
    "visible",
]

LONGEST_SCRIPT = 200_000
TEXTS = (".py", ".toml", ".md", ".txt", ".csv", ".cfg", ".ini", ".yaml", ".yml")
"""Files whose lines are compared; of others, hash and size."""
MOST_LINES = 1000
"""Of one comparison are shown."""
MOST_PAIRS = 1_000_000
"""Of lines that are compared with each other in one package: more would keep a reader waiting."""
MOST_PROBLEMS = 20
"""Of a manifest, that are told at a time."""
FILLED = ("files", "form", "versions")
"""Entries of a manifest that no author writes."""
Kind = Literal["added", "removed", "changed"]


@dataclass(frozen=True)
class FileChange:
    """One file that is not as it was.

    Parameters
    ----------
    before, after : sha256 and size in bytes; None where there is no such file
    is_weights : whether a model is loaded from it
    lines : of the comparison of a text, each with its mark: ``" "``, ``"-"``, ``"+"`` or ``"@"``
    more : whether the comparison goes on
    """

    name: str
    kind: Kind
    before: tuple[str, int] | None
    after: tuple[str, int] | None
    is_weights: bool
    lines: Sequence[tuple[str, str]] = ()
    more: bool = False


@dataclass(frozen=True)
class Changes:
    """Against which release, and what.

    Parameters
    ----------
    authors : addresses of the accounts that submitted the release and this package
    entries : of the manifest: name, and what stood and stands there
    """

    version: str
    sha256: str
    authors: tuple[str, str]
    entries: Sequence[tuple[str, str, str]]
    files: Sequence[FileChange]


def changes_of(session: Session, store: PackageStore, package: Package) -> Changes | None:
    """Return what a package changes; None where nothing of its name was released before it.

    Raises
    ------
    PackageError
        When the files of either are not there.
    """
    earlier = release_before(session, package)
    if earlier is None:
        return None
    old, new = (parse_manifest(one.manifest, one.name) for one in (earlier, package))
    before, after = (store.folder_of(session, one.sha256) for one in (earlier, package))
    return Changes(
        version=earlier.version,
        sha256=earlier.sha256,
        authors=(author_of(session, earlier), author_of(session, package)),
        entries=list(_entries(old, new)),
        files=list(_files(old, new, before, after)),
    )


def folder_of(session: Session, store: PackageStore, package: Package) -> Path | None:
    """Return the folder of a package; None where its files are not there."""
    try:
        return store.folder_of(session, package.sha256)
    except (PackageError, OSError):
        return None


def script_of(folder: Path, manifest: Manifest) -> str:
    """Return the script of a package to be read; empty where it is not there."""
    try:
        with (folder / manifest.script).open(encoding="utf-8", errors="replace") as file:
            return visible(file.read(LONGEST_SCRIPT))
    except OSError:
        return ""


def refusal_of(error: PackageError, language: str) -> Refused:
    """Return why not: the rule of the review, or what does not fit in the package."""
    if isinstance(error, ManifestError):
        told = [
            (place, problem_of(problem, language))
            for place, problem in error.problems[:MOST_PROBLEMS]
        ]
        said = " ".join(f"{place}: {problem}" if place else problem for place, problem in told)
        return Refused(422, "refused.manifest", where=error.where, problems=said)
    if error.key.startswith("review."):
        return Refused(422, error.key, **error.values)
    reason = text(language, error.key, **error.values) if error.key else Sentence(error)
    return Refused(422, "refused.package", reason=reason)


def dependencies_of(
    store: PackageStore, manifest: Manifest, language: str
) -> tuple[Sequence[str], str]:
    """Return the libraries that a package names, and why it may not have them; empty if it may."""
    try:
        store.dependencies_of(manifest)
    except PackageError as error:
        return manifest.dependencies, refusal_of(error, language).in_language(language)
    return manifest.dependencies, ""


def visible(text: str) -> str:
    r"""Return a text with each character that is not seen written as its number.

    >>> visible("a\u202eb\tc\n")
    'a\\u202eb\tc\n'
    """
    return "".join(
        character
        if character in "\t\n" or unicodedata.category(character) not in ("Cc", "Cf", "Co", "Cs")
        else character.encode("unicode_escape").decode()
        for character in text.replace("\r\n", "\n")
    )


def _entries(old: Manifest, new: Manifest) -> Iterator[tuple[str, str, str]]:
    before, after = (dict(_flat(_values(manifest))) for manifest in (old, new))
    for name in sorted(before.keys() | after.keys()):
        values = before.get(name, ""), after.get(name, "")
        if values[0] != values[1]:
            yield (visible(name), visible(values[0]), visible(values[1]))


def _values(manifest: Manifest) -> dict[str, Any]:
    values = manifest.model_dump(mode="json", exclude=set(FILLED))
    values["dependencies"] = dict(one.split("==") for one in manifest.dependencies)
    return values


def _flat(values: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Yield each entry of a manifest by its place; parts that have names by these."""
    if isinstance(values, list) and values and all(isinstance(part, dict) for part in values):
        values = {part.get("name") or str(number): part for number, part in enumerate(values)}
    if isinstance(values, Mapping):
        for key, value in values.items():
            yield from _flat(value, f"{place}.{key}" if place else str(key))
    elif values not in (None, "", []):
        yield place, values if isinstance(values, str) else json.dumps(values, ensure_ascii=False)


def _files(old: Manifest, new: Manifest, before: Path, after: Path) -> Iterator[FileChange]:
    weights = {part.file for manifest in (old, new) for part in manifest.weights}
    pairs = MOST_PAIRS
    for name in sorted(old.files.keys() | new.files.keys()):
        if old.files.get(name) == new.files.get(name):
            continue
        was = before / name if name in old.files else None
        now = after / name if name in new.files else None
        lines: list[tuple[str, str]] = []
        if name.endswith(TEXTS) and name not in weights:
            lines, pairs = _compared(_lines(was), _lines(now), pairs)
        yield FileChange(
            visible(name),
            "added" if was is None else "removed" if now is None else "changed",
            _about(old, name, was),
            _about(new, name, now),
            is_weights=name in weights,
            lines=lines[:MOST_LINES],
            more=len(lines) > MOST_LINES,
        )


def _about(manifest: Manifest, name: str, path: Path | None) -> tuple[str, int] | None:
    if path is None:
        return None
    return manifest.files[name], path.stat().st_size if path.is_file() else 0


def _lines(path: Path | None) -> list[str]:
    if path is None or not path.is_file():
        return []
    with path.open(encoding="utf-8", errors="replace") as file:
        return visible(file.read(LONGEST_SCRIPT)).split("\n")


def _compared(before: list[str], after: list[str], pairs: int) -> tuple[list[tuple[str, str]], int]:
    """Return the lines of a comparison, and how many pairs of lines may still be compared."""
    needed = len(before) * len(after)
    if needed > pairs:  # one after the other
        return [("-", line) for line in before] + [("+", line) for line in after], pairs
    unified = list(difflib.unified_diff(before, after, lineterm=""))[2:]
    return [(line[:1], line[1:]) for line in unified], pairs - needed
