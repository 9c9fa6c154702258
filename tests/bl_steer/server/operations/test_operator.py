"""What the operator of the server reads on the command line."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import func, select

from bl_steer.cli import main
from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import Invitation
from bl_steer.server.environment import misspelt
from bl_steer.server.sandbox.run import sandbox_problem
from bl_steer.server.settings import ServerSettings
from bl_steer.server.web.rendering import time_in


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A server's folder, not yet made, in an environment that is as it was afterwards."""
    for name in ("FOLDER", "HOST", "PORT", "WORKERS"):
        monkeypatch.setenv(f"BL_STEER_SERVICE_{name}", str(ServerSettings().port))
        monkeypatch.delenv(f"BL_STEER_SERVICE_{name}")
    monkeypatch.setenv("BL_STEER_SERVICE_FOLDER", str(tmp_path / "server"))
    return tmp_path / "server"


def line_of(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Run a command that is to fail; return the one line that it says."""
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "http" not in err
    return err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--port", "99999"), "--port must be less than or equal to 65535, got 99999"),
        (("--workers", "0"), "--workers must be greater than or equal to 1, got 0"),
    ],
)
def test_an_option_that_does_not_fit_is_named_in_one_line(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    assert said in line_of(capsys, "serve", *words)
    assert not folder.exists()


def test_a_variable_that_does_not_fit_is_named_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BL_STEER_SERVICE_PORT", "abc")
    said = "BL_STEER_SERVICE_PORT must be a valid integer, got 'abc'; give another value"
    assert said in line_of(capsys, "serve")
    assert said in line_of(capsys, "review", "list", "--user", "ann@example.org")


def test_a_time_zone_that_there_is_not_is_told_with_one_that_there_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BL_STEER_SERVICE_TIME_ZONE", "Asia/Tokio")
    said = "TIME_ZONE must be the name of a time zone, such as Asia/Tokyo, got 'Asia/Tokio'"
    assert said in line_of(capsys, "serve")


def test_times_are_this_machines_unless_a_zone_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert time_in(1e9, ServerSettings().time_zone) == "2001-09-09 10:46 JST"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_misspelt_variable_is_told_with_what_was_meant() -> None:
    environment = {
        "BL_STEER_SERVICE_SMPT_HOST": "mail.example.org",
        "BL_STEER_SERVICE_RETRAIN_EVERY_DAY": "3",
        "BL_STEER_SERVICE_ANYTHING": "1",
        "BL_STEER_SERVICE_SMTP_PORT": "25",
        "BL_STEER_SERVICE_KEY": "bls_1",
        "HOME": "/",
    }
    assert misspelt(environment) == {
        "BL_STEER_SERVICE_SMPT_HOST": "BL_STEER_SERVICE_SMTP_HOST",
        "BL_STEER_SERVICE_RETRAIN_EVERY_DAY": "BL_STEER_SERVICE_RETRAIN_EVERY_DAYS",
        "BL_STEER_SERVICE_ANYTHING": "",
    }


def test_a_folder_that_cannot_be_made_is_named_with_the_remedy(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    said = line_of(capsys, "serve", "--folder", str(tmp_path / "file" / "server"))
    assert "Not a directory" in said
    assert "give another place" in said


@pytest.mark.parametrize("url", ["nonsense", "postgresql+psycopg://ann@127.0.0.1:1/service"])
def test_a_database_that_cannot_be_had_is_told_in_one_line(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BL_STEER_SERVICE_DATABASE_URL", url)
    said = line_of(capsys, "server", "add-user", "ann@example.org")
    assert "correct BL_STEER_SERVICE_DATABASE_URL" in said


def test_a_user_is_added_only_where_a_server_is(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    assert "run 'bl-steer serve' first" in line_of(
        capsys, "server", "add-user", "ann@example.org", "--folder", str(folder)
    )
    assert not folder.exists()
    database = Database(ServerSettings(folder=folder).database)
    database.create_tables()
    assert "'notanemail'" in line_of(capsys, "server", "add-user", "notanemail")
    assert main(["server", "add-user", "ann@example.org"]) == 0
    assert "(put the address of your server before it): /join/" in capsys.readouterr().out
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Invitation)) == 1
    database.close()


WHO = ("--user", "ann@example.org")


@pytest.mark.parametrize(
    "words",
    [
        ("review", "list"),
        ("review", "show", "mine@1"),
        ("review", "check", "mine@1", *WHO),
        ("review", "approve", "mine@1", *WHO),
        ("review", "revoke", "mine@1", *WHO, "--comment", "wrong"),
        ("review", "rollback", "mine", *WHO),
        ("package", "submit", "mine.zip", *WHO),
        ("retrain", "list"),
        ("retrain", "run", "5f3a"),
        ("retrain", "snapshot", *WHO),
    ],
)
def test_a_command_on_a_servers_folder_takes_it_as_the_option_that_it_asks_for(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    nowhere = folder.with_name("nowhere")
    said = line_of(capsys, *words, "--folder", str(nowhere))
    assert f"got {nowhere} without a database; give --folder" in said


def test_packages_are_listed_in_the_folder_that_the_option_names(
    capsys: pytest.CaptureFixture[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(ServerSettings(folder=folder).database)
    database.create_tables()
    database.close()
    monkeypatch.setenv("BL_STEER_SERVICE_FOLDER", "nowhere")
    assert main(["review", "list", "--folder", str(folder)]) == 0
    assert "no packages" in capsys.readouterr().out


@pytest.mark.skipif(bool(sandbox_problem()), reason=sandbox_problem() or "-")
def test_a_link_has_the_address_of_the_server_in_the_folder(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    command = [sys.executable, "-m", "bl_steer", "serve", "--port", "0", "--part", "web"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = re.findall(r"http://\S+", server.stdout.readline())[0]
        assert main(["server", "add-user", "ann@example.org", "--folder", str(folder)]) == 0
        server.terminate()
    assert f"{address}/join/" in capsys.readouterr().out
