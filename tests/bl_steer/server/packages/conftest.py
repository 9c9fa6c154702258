from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bl_steer.processing.registry import make_params
from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import User
from bl_steer.server.packages import package_analysis
from bl_steer.server.packages.approval import ReviewKey
from bl_steer.server.packages.archive import build, build_archive, unpack
from bl_steer.server.packages.content import content_hash
from bl_steer.server.packages.expected import expected_of
from bl_steer.server.packages.store import PackageStore
from bl_steer.server.settings import ServerSettings

SCRIPT = """\
import numpy as np


def run(inputs, params, model):
    x = inputs.arrays["x"]
    factor = params.factor * (1.0 if model is None else float(model["weight"]))
    return {"tables": {"sums": {"sum": np.array([factor * x.sum()])}}, "arrays": {"x": factor * x}}
"""
SOURCE = """\
name = "{name}"
version = "{version}"
title = {{ en = "Sums", ja = "合計" }}
licence = "BSD-3-Clause"
authors = [{{ name = "A. Author" }}]

[input]
kind = "table"
columns = ["x"]

[[parameters]]
name = "factor"
type = "number"
default = 2.0
minimum = 0.0
maximum = 10.0
unit = "counts"

[[tests]]
name = "three"
inputs = ["tests/three.csv"]
params = {{ factor = 3.0 }}
expected = "tests/three.json"
{more}"""


@dataclass
class SmallPackage:
    """A folder as an author makes it, for tests to change."""

    folder: Path
    name: str = "sums"
    version: str = "1.0.0"
    script: str = SCRIPT
    more: str = ""
    source: str = ""
    """Written instead of the usual one."""
    files: dict[str, bytes] = field(default_factory=dict)

    def write(self) -> Path:
        (self.folder / "tests").mkdir(parents=True, exist_ok=True)
        usual = SOURCE.format(name=self.name, version=self.version, more=self.more)
        (self.folder / "package.toml").write_text(self.source or usual, encoding="utf-8")
        (self.folder / "script.py").write_text(self.script, encoding="utf-8")
        (self.folder / "tests" / "three.csv").write_text("x,y\n1,0\n2,0\n4,0\n")
        (self.folder / "tests" / "three.json").write_text("{}")
        for name, data in self.files.items():
            (self.folder / name).write_bytes(data)
        return self.folder

    def accept(self) -> Path:
        """Run it here, which is safe for these, and write what it found as expected."""
        folder = self.write()
        analysis = package_analysis(folder)
        inputs = analysis.inputs_from_files([folder / "tests" / "three.csv"])
        result = analysis.run(inputs, make_params(analysis, {"factor": 3.0}))
        (folder / "tests" / "three.json").write_text(json.dumps(expected_of(result)))
        return folder

    def built(self) -> Path:
        out = self.folder.with_name(f"{self.folder.name}-built")
        build(self.write(), out)
        return out

    def archive(self, *, accepted: bool = True) -> Path:
        folder = self.accept() if accepted else self.write()
        path = self.folder.with_name(f"{self.name}-{self.version}.zip")
        build_archive(folder, path)
        return path


@pytest.fixture
def small(tmp_path: Path) -> Callable[..., SmallPackage]:
    """Make packages of the test's choosing, each in a folder of its own."""
    made: list[SmallPackage] = []

    def make(**changes: object) -> SmallPackage:
        made.append(SmallPackage(tmp_path / f"author-{len(made)}", **changes))  # type: ignore[arg-type]
        return made[-1]

    return make


@pytest.fixture
def service(tmp_path: Path) -> ServerSettings:
    return ServerSettings(folder=tmp_path / "service", poll_s=0.1)


@pytest.fixture
def packages(service: ServerSettings) -> PackageStore:
    return PackageStore(service)


@pytest.fixture
def people(database: Database) -> dict[str, User]:
    """An author, two reviewers (one of them an author too), a user and an admin."""
    roles = {"author": "reviewer", "one": "reviewer", "two": "reviewer", "user": "user"}
    with database.write() as session:
        made = {
            name: User(id=name, email=f"{name}@example.org", role=role)
            for name, role in {**roles, "admin": "admin"}.items()
        }
        session.add_all(made.values())
    return made


@pytest.fixture
def key(packages: PackageStore) -> ReviewKey:
    return packages.key


@pytest.fixture
def unpacked(tmp_path: Path) -> Callable[[Path], tuple[Path, str]]:
    """Unpack an archive as the server does; return the folder and its content hash."""

    def take(archive: Path) -> tuple[Path, str]:
        with archive.open("rb") as file:
            folder = unpack(file, tmp_path / "unpacked")
        return folder, content_hash(folder)

    return take
