"""Libraries that packages ask for beside the server's own: allowed and installed by an admin.

Each set of them that a package names has a folder, which the sandbox shows to that package's jobs
alone, read-only, at the end of the path where Python looks: it can neither change nor hide a
library of the server. Only what the server's own environment lacks goes into it, resolved by pip
against that environment, and pip installs into nothing else. `bl_steer.server.packages` says which
package asks for what.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path
from typing import Any, Self

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bl_steer.server.errors import WordedError
from bl_steer.server.settings import ServerSettings

__all__ = ["Dependencies", "DependencyRefused", "canonical", "missing_here"]

SETTING = "BL_STEER_SERVICE_PACKAGE_DEPENDENCIES"
COMMAND = "bl-steer server install-dependencies"
LIBRARIES, ABOUT = "lib", "installed.json"
OLD = ".old-"
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input")
WHEELS = ("--only-binary", ":all:")
"""Building from source would run code of the library with the rights of whoever installs it."""


class DependencyRefused(WordedError):
    """A library is not allowed, not installed, or cannot be."""


def canonical(pinned: Sequence[str]) -> list[str]:
    """Return ``name==version`` of each library as everybody writes it, sorted, each once.

    >>> canonical(["Some_Thing==1.0", "some-thing==1.0"])
    ['some-thing==1.0']
    """
    parts = [one.partition("==") for one in pinned]
    return sorted({f"{canonicalize_name(name)}=={number}" for name, _, number in parts})


def missing_here(pinned: Sequence[str]) -> list[str]:
    """Return those that this process does not find in just this version."""
    missing = []
    for one in canonical(pinned):
        name, _, number = one.partition("==")
        try:
            if version(name) != number:
                missing.append(one)
        except PackageNotFoundError:
            missing.append(one)
    return missing


@dataclass(frozen=True)
class Dependencies:
    """What packages may ask for on one server, and what of it is installed.

    Parameters
    ----------
    folder : of the installed sets
    allowed : by the administrator
    """

    folder: Path
    allowed: tuple[Requirement, ...] = ()

    @classmethod
    def of(cls, settings: ServerSettings) -> Self:
        """Return those of the operator's settings."""
        return cls(settings.dependencies, settings.allowed_dependencies)

    def check(self, pinned: Sequence[str]) -> Path | None:
        """Return the folder of the libraries of a package; None where the server has all itself.

        Raises
        ------
        DependencyRefused
            When one is not on the list, or the set is not installed.
        """
        self._check_allowed(pinned)
        if not missing_here(pinned):
            return None
        installed = self.installed(pinned)
        if installed is None:
            raise DependencyRefused(
                f"dependencies must be installed on the server, got {' '.join(canonical(pinned))} "
                f"not yet; an administrator runs: {COMMAND} {' '.join(canonical(pinned))}",
                "dependency.not_installed",
                names=" ".join(canonical(pinned)),
                command=COMMAND,
            )
        return installed

    def installed(self, pinned: Sequence[str]) -> Path | None:
        """Return the folder of a set of libraries; None where it is not installed."""
        place = self.place(pinned)
        return place / LIBRARIES if (place / ABOUT).is_file() else None

    def place(self, pinned: Sequence[str]) -> Path:
        """Return where a set lies, installed or not: for this Python alone, in any order."""
        text = "\n".join([str(sys.implementation.cache_tag), *canonical(pinned)])
        return self.folder / hashlib.sha256(text.encode()).hexdigest()[:16]

    def install(self, pinned: Sequence[str]) -> Mapping[str, str]:
        """Install a set as pip is configured, whole or not at all; return what went into it.

        Raises
        ------
        DependencyRefused
            When one is not on the list, or pip finds no wheels that go with the server's own
            libraries.
        """
        self._check_allowed(pinned)
        place = self.place(pinned)
        if (about := place / ABOUT).is_file():
            known: dict[str, str] = json.loads(about.read_text(encoding="utf-8"))["installed"]
            return known
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=self.folder) as scratch:
            draft = Path(scratch) / "set"
            (draft / LIBRARIES).mkdir(parents=True)
            found = _resolved(canonical(pinned), Path(scratch))
            if found:
                wanted = Path(scratch) / "wanted.txt"
                wanted.write_text("".join(f"{line}\n" for line in found.values()))
                _pip("install", *WHEELS, "--no-deps", "-r", wanted, "--target", draft / LIBRARIES)
            installed = {
                name: line.partition(" ")[0].partition("==")[2] for name, line in found.items()
            }
            said = {"dependencies": canonical(pinned), "installed": installed, "wheels": found}
            (draft / ABOUT).write_text(json.dumps(said, indent=1), encoding="utf-8")
            try:
                draft.rename(place)
            except OSError:  # another has just installed it
                if not (place / ABOUT).is_file():
                    raise
        return installed

    def remove_unused(
        self, asked_for: Iterable[Sequence[str]], *, grace_s: float, now: float | None = None
    ) -> list[str]:
        """Remove the sets that no package has asked for in a while; return what each held.

        Parameters
        ----------
        asked_for : the sets that packages ask for
        grace_s : how long a set stays that was installed, or last asked for, s
        """
        now = time.time() if now is None else now
        used = {self.place(pinned) for pinned in asked_for}
        removed = []
        for about in sorted(self.folder.glob(f"[!.]*/{ABOUT}")):
            place = about.parent
            if place in used:
                os.utime(about, (now, now))
            elif now - about.stat().st_mtime > grace_s:
                held = json.loads(about.read_text(encoding="utf-8"))["dependencies"]
                place.rename(self.folder / f"{OLD}{place.name}")  # gone as a whole
                removed.append(" ".join(held))
        for old in self.folder.glob(f"{OLD}*"):
            shutil.rmtree(old, ignore_errors=True)
        return removed

    def _check_allowed(self, pinned: Sequence[str]) -> None:
        for one in canonical(pinned):
            name, _, number = one.partition("==")
            named = [rule for rule in self.allowed if canonicalize_name(rule.name) == name]
            if not any(rule.specifier.contains(number, prereleases=True) for rule in named):
                allowed = ", ".join(map(str, named or self.allowed)) or "none"
                raise DependencyRefused(
                    f"a dependency must be on this server's list, got {one} (allowed: {allowed}); "
                    f"use what is allowed, or ask its administrator, who sets {SETTING}",
                    "dependency.not_allowed",
                    name=one,
                    allowed=", ".join(map(str, named or self.allowed)) or "–",
                )


def _resolved(pinned: Sequence[str], scratch: Path) -> dict[str, str]:
    """Return a line for pip of each library that the environment lacks, with its hash, by name."""
    report, fixed = scratch / "report.json", scratch / "own.txt"
    own = {canonicalize_name(found.name): found.version for found in distributions() if found.name}
    fixed.write_text("".join(f"{name}=={number}\n" for name, number in sorted(own.items())))
    _pip("install", *WHEELS, "--dry-run", "--report", report, "-c", fixed, *pinned)
    rows: list[dict[str, Any]] = json.loads(report.read_text(encoding="utf-8"))["install"]
    lines: dict[str, str] = {}
    for row in rows:
        about, archive = row["metadata"], row["download_info"]["archive_info"]
        line = f"{about['name']}=={about['version']} --hash=sha256:{archive['hashes']['sha256']}"
        lines[canonicalize_name(about["name"])] = line
    return lines


def _pip(*words: object) -> None:
    done = subprocess.run(
        [*PIP, *map(str, words)], capture_output=True, text=True, check=False, cwd="/"
    )
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        said = [line.removeprefix("ERROR: ") for line in lines if "ERROR" in line] or lines
        raise DependencyRefused(
            "the dependencies must have wheels that go with this server's own libraries, got from "
            f"pip: {' '.join(said[:4])[:600] or done.returncode}; name another version, or give "
            "pip a folder of wheels (PIP_FIND_LINKS)"
        )
