"""``bl-steer package submit --server``: a real access point on loopback, with a key."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bl_steer.cli import main
from bl_steer.service.tables import Package


def test_a_folder_is_built_and_submitted_in_the_name_of_the_key(
    site: Any,
    small: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    author = site.user()
    monkeypatch.setenv("BL_STEER_SERVICE_KEY", site.key(author, "packages:write"))
    made = small()
    archive, report = made.archive(), tmp_path / "report.json"
    submit = ["package", "submit", str(made.folder), "--server", site.address]
    assert main([*submit, "--json", str(report)]) == 0
    told = json.loads(report.read_text())
    assert (told["name"], told["version"], told["state"]) == ("sums", "1.0.0", "submitted")
    with site.office.database.read() as session:
        package = session.get_one(Package, told["sha256"])
    assert package.author_id == author.id
    assert site.office.store.has(package.blob_sha256)
    capsys.readouterr()
    # The same content again is refused in the server's words, and so is a file that is no package.
    assert main(["package", "submit", str(archive), "--server", site.address]) == 2
    assert "must be a draft to be submitted, got the state submitted" in capsys.readouterr().err
    archive.write_bytes(b"no zip")
    assert main(["package", "submit", str(archive), "--server", site.address]) == 2
    assert "The package does not fit" in capsys.readouterr().err


def test_a_key_without_leave_and_no_key_are_named(
    site: Any,
    small: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = str(small().accept())
    monkeypatch.delenv("BL_STEER_SERVICE_KEY", raising=False)
    submit = ["package", "submit", folder, "--server", site.address]
    assert main(submit) == 2
    assert "a key must be given" in capsys.readouterr().err
    assert main([*submit, "--key", site.key(site.user(), "jobs:read")]) == 2
    assert "it needs packages:write" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["package", "submit", folder])
