"""Libraries that a package asks for: allowed by the administrator, installed, and nowhere else."""

from __future__ import annotations

import base64
import hashlib
import json
import time
import zipfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from bl_steer.cli import main
from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import Package, User
from bl_steer.server.environment import read_settings
from bl_steer.server.operations.alarms import DAY_S
from bl_steer.server.operations.housekeeping import Housekeeping
from bl_steer.server.packages import PackageError, check_package, package_analysis
from bl_steer.server.packages.manifest import parse_manifest, read_source
from bl_steer.server.packages.store import PackageStore
from bl_steer.server.sandbox.dependencies import (
    Dependencies,
    DependencyRefused,
    canonical,
    missing_here,
)
from bl_steer.server.sandbox.run import sandbox_problem
from bl_steer.server.settings import ServerSettings

ASKS = 'dependencies = ["Tiny_Lib==1.2"]\n'
SCRIPT = """\
import numpy as np
import tiny_lib


def run(inputs, params, model):
    return {"tables": {"sums": {"sum": np.array([tiny_lib.twice(params.factor)])}}}
"""


def wheel(folder: Path, name: str, number: str, code: str, *needs: str) -> None:
    """Write a wheel as a build tool does."""
    about = f"{name}-{number}.dist-info"
    requires = "".join(f"Requires-Dist: {need}\n" for need in needs)
    files = {
        f"{name}.py": code,
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n{requires}",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [
        f"{path},sha256={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()},{len(text)}"
        for path, text in files.items()
        for digest in [hashlib.sha256(text.encode()).digest()]
    ]
    files[f"{about}/RECORD"] = "\n".join([*rows, f"{about}/RECORD,,"])
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-{number}-py3-none-any.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that pip is configured to take everything from."""
    folder = tmp_path / "wheels"
    here = version("numpy")
    wheel(
        folder,
        "tiny_lib",
        "1.2",
        "import tiny_part\n\ndef twice(x):\n    return 2 * x\n",
        "tiny_part>=1",
        f"numpy>={here}",
    )
    wheel(folder, "tiny_part", "1.0", "")
    wheel(folder, "numpy", "99.0", "raise SystemExit")
    wheel(folder, "greedy", "1.0", "", "numpy>=99")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def settings_of(folder: Path, allowed: str) -> ServerSettings:
    return ServerSettings(folder=folder / "service", package_dependencies=allowed)


def test_a_list_has_names_with_versions_and_is_refused_where_it_has_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = Dependencies.of(settings_of(tmp_path, "ase>=3.22,<4, tiny-lib==1.2,other"))
    assert [str(rule) for rule in listed.allowed] == ["ase<4,>=3.22", "tiny-lib==1.2", "other"]
    monkeypatch.setenv("BL_STEER_SERVICE_PACKAGE_DEPENDENCIES", "lmfit 1.3")
    said = r"PACKAGE_DEPENDENCIES must be names with versions, .*, got 'lmfit 1\.3'; give another"
    with pytest.raises(ValueError, match=said):
        read_settings()
    assert Dependencies.of(settings_of(tmp_path, "")).check([]) is None


def test_a_library_that_is_not_on_the_list_or_not_installed_is_refused_with_the_remedy(
    tmp_path: Path,
) -> None:
    listed = Dependencies.of(settings_of(tmp_path, "tiny-lib==1.1"))
    with pytest.raises(DependencyRefused, match=r"got tiny-lib==1\.2 \(allowed: tiny-lib==1\.1\)"):
        listed.check(["Tiny_Lib==1.2"])
    with pytest.raises(DependencyRefused, match=r"runs: bl-steer server install-dep.* tiny-lib==1"):
        listed.check(["tiny_lib==1.1"])
    own = f"numpy=={version('numpy')}"
    assert Dependencies.of(settings_of(tmp_path, "numpy")).check([own]) is None, "the server's own"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ('["tiny-lib"]', r"dependencies\.0: .*match pattern"),
        ('["tiny-lib>=1"]', r"dependencies\.0: .*match pattern"),
        ('["tiny-lib==1; import os"]', r"dependencies\.0: .*match pattern"),
        ('["--index-url==1"]', r"dependencies\.0: .*match pattern"),
        ('["tiny-lib==1", "Tiny_lib==2"]', "dependencies must each have a name of their own"),
    ],
)
def test_a_manifest_names_each_library_once_with_its_version(
    small: Callable[..., Any], entry: str, said: str
) -> None:
    package = small()
    folder = package.write()
    text = f"dependencies = {entry}\n" + (folder / "package.toml").read_text("utf-8")
    (folder / "package.toml").write_text(text, encoding="utf-8")
    with pytest.raises(PackageError, match=said):
        read_source(folder)


def test_a_set_is_installed_beside_the_environment_and_hides_nothing_of_it(
    wheels: Path, tmp_path: Path
) -> None:
    listed = Dependencies.of(settings_of(tmp_path, "tiny-lib, greedy, absent"))
    assert listed.install(["Tiny_Lib==1.2"]) == {"tiny-lib": "1.2", "tiny-part": "1.0"}
    folder = listed.check(["tiny-lib==1.2"])
    assert folder is not None
    assert sorted(path.name for path in folder.glob("*.py")) == ["tiny_lib.py", "tiny_part.py"]
    assert missing_here(["tiny-lib==1.2"]) == ["tiny-lib==1.2"], "nothing came into this process"
    about = json.loads((folder.parent / "installed.json").read_text())
    assert "--hash=sha256:" in about["wheels"]["tiny-lib"]
    with pytest.raises(DependencyRefused, match="go with this server's own libraries"):
        listed.install(["greedy==1.0"])
    with pytest.raises(DependencyRefused, match=r"from pip: .*absent==3"):
        listed.install(["absent==3"])
    assert [path.name for path in listed.folder.iterdir()] == [folder.parent.name]


@pytest.mark.skipif(bool(sandbox_problem()), reason=sandbox_problem() or "-")
def test_a_package_with_a_library_goes_from_refusal_to_a_passed_check(
    wheels: Path,
    small: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    service = settings_of(tmp_path, "tiny-lib<2")
    monkeypatch.setenv("BL_STEER_SERVICE_FOLDER", str(service.folder))
    monkeypatch.setenv("BL_STEER_SERVICE_PACKAGE_DEPENDENCIES", "tiny-lib<2")
    database = Database(service.database)
    database.create_tables()
    with database.write() as session:
        session.add(User(id="a", email="a@example.org"))
    package = small(script=SCRIPT)
    folder = package.write()
    text = ASKS + (folder / "package.toml").read_text("utf-8")
    (folder / "package.toml").write_text(text, encoding="utf-8")
    found = {"tables": {"sums": {"rows": 1, "columns": {"sum": [6.0]}}}}
    (folder / "tests" / "three.json").write_text(json.dumps(found))
    submit = ["package", "submit", str(folder), "--user", "a@example.org"]
    assert main(submit) == 2
    assert "runs: bl-steer server install-dependencies tiny-lib==1.2" in capsys.readouterr().err
    analysis = package_analysis(folder)
    inputs = analysis.inputs_from_files([folder / "tests" / "three.csv"])
    with pytest.raises(PackageError, match=r"install them: pip install tiny-lib==1\.2"):
        analysis.run(inputs, analysis.Params())
    assert main(["server", "install-dependencies", "tiny-lib==1.2"]) == 0
    assert "tiny-lib 1.2, tiny-part 1.0" in capsys.readouterr().out
    assert main(submit) == 0
    assert main(["server", "install-dependencies"]) == 0, "those of all packages"
    with database.read() as session:
        row = session.query(Package).one()
    assert row.report["inspection"]["dependencies"] == ["Tiny_Lib==1.2"]
    store = PackageStore(service)
    assert check_package(database, store, row.sha256).passed
    fewer = PackageStore(settings_of(tmp_path, ""))
    with pytest.raises(PackageError, match="must be on this server's list"):
        fewer.dependencies_of(parse_manifest(row.manifest, row.name))
    _removed_when_nobody_asks_for_them(service, database, row.sha256)
    database.close()


def _removed_when_nobody_asks_for_them(
    service: ServerSettings, database: Database, sha256: str
) -> None:
    keeper, listed, now = Housekeeping(service), Dependencies.of(service), time.time()
    for day, state, stays in (
        (40, "checked", True),
        (60, "revoked", True),
        (71, "revoked", False),
    ):
        with database.write() as session:
            session.get_one(Package, sha256).state = state
        keeper.step(now + day * DAY_S)
        assert (listed.installed(["tiny-lib==1.2"]) is not None) == stays, day
    assert list(listed.folder.iterdir()) == []
    keeper.database.close()


def test_the_same_set_has_one_folder_in_any_order_and_spelling(tmp_path: Path) -> None:
    listed = Dependencies(tmp_path)
    assert canonical(["B.b==1", "a_A==2"]) == ["a-a==2", "b-b==1"]
    assert listed.place(["B.b==1", "a_A==2"]) == listed.place(["A-a==2", "b_B==1"])
    assert listed.place(["B.b==1"]) != listed.place(["b==1"])
