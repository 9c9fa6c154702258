from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink

from bl_steer.cli import main
from bl_steer.server.auth.accounts import add_user
from bl_steer.server.db.audit import record_event
from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import AuditRecord, Worker
from bl_steer.server.folder import PARTS, alone
from bl_steer.server.operations.check import check_server
from bl_steer.server.packages.store import PackageStore
from bl_steer.server.sandbox.run import sandbox_problem
from bl_steer.server.settings import ServerSettings

OTHERWISE = ({"sandbox"} if sandbox_problem() else set()) | {"user"}
"""What the machine of the tests may lack."""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(scope="module")
def mail_port() -> Iterator[int]:
    controller = Controller(Sink(), hostname="127.0.0.1", port=free_port())
    controller.start()
    yield controller.port
    controller.stop()


@pytest.fixture
def whole(tmp_path: Path, mail_port: int) -> ServerSettings:
    """A server that lacks nothing."""
    settings = ServerSettings(
        folder=tmp_path / "server",
        base_url="https://bl.example.org",
        behind_tls=True,
        smtp_host="127.0.0.1",
        smtp_port=mail_port,
        alarm_to="a@example.org",
        max_upload_mib=1,
    )
    settings.folder.mkdir(mode=0o700)
    assert PackageStore(settings).key.public
    with written(settings) as session:
        add_user(session, "a@example.org", role="admin")
        session.add(Worker(name="w", seen=time.time()))
        for number in range(3):
            record_event(session, "a@example.org", "test", str(number))
    return settings


class written:
    """A transaction in a server's database."""

    def __init__(self, settings: ServerSettings) -> None:
        self.database = Database(settings.database)
        self.database.create_tables()
        self.opened = self.database.write()

    def __enter__(self) -> Any:
        return self.opened.__enter__()

    def __exit__(self, *error: Any) -> None:
        self.opened.__exit__(*error)
        self.database.close()


def graded(settings: ServerSettings) -> dict[str, str]:
    """Return what is not well, by what was looked at."""
    found = {}
    for one in check_server(settings):
        assert one.said
        if one.grade != "ok" and one.what not in OTHERWISE:
            found[one.what] = f"{one.grade}: {one.said}"
    return found


def changed(settings: ServerSettings, **values: Any) -> dict[str, str]:
    with alone(settings, PARTS):
        return graded(settings.model_copy(update=values))


def test_a_server_that_lacks_nothing_has_nothing_said_of_it(whole: ServerSettings) -> None:
    assert changed(whole) == {}
    assert set(graded(whole)) == {"parts"}


def test_a_server_that_root_runs_is_asked_for_a_user_of_its_own(whole: ServerSettings) -> None:
    said = [one.said for one in check_server(whole) if one.what == "user"]
    assert len(said) == (os.geteuid() == 0)
    assert all("run it as a user of its own" in one for one in said)


def test_a_server_before_its_first_start_has_no_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BL_STEER_SERVICE_TRUST_PACKAGES", "1")
    assert main(["serve", "--check", "--folder", str(tmp_path / "new")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines} == {"ok", "note"}
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("values", "what", "said"),
    [
        ({"smtp_port": 9}, "mail", "FAULT: 127.0.0.1:9: .*refused; correct BL_STEER_SERVICE_SMTP"),
        ({"smtp_host": ""}, "mail", "note: no mail is sent"),
        ({"alarm_to": ""}, "alarms", "note: nobody hears"),
        ({"behind_tls": False}, "address", "FAULT: https://bl.example.org and BEHIND_TLS=False"),
        (
            {"base_url": ""},
            "address",
            "FAULT: http://127.0.0.1:8800 and BEHIND_TLS=True do not fit",
        ),
        (
            {"base_url": "http://bl", "behind_tls": False, "host": "0.0.0.0"},
            "address",
            "FAULT: http://bl is open to the network without HTTPS",
        ),
        ({"base_url": "", "behind_tls": False}, "address", "note: links in mails begin with"),
        ({"max_upload_mib": 2**40}, "room", "note: .* less than the largest upload"),
        ({"files_url": "none://x"}, "files", "FAULT: none://x: .*none"),
        (
            {"database_url": "postgresql+psycopg://x@127.0.0.1:9/x"},
            "database",
            "FAULT: .*refused.*; start it, or correct",
        ),
    ],
)
def test_what_is_set_wrongly_is_named_with_its_remedy(
    whole: ServerSettings, values: dict[str, Any], what: str, said: str
) -> None:
    found = changed(whole, **values)
    assert set(found) == {what}
    assert re.match(said, found[what]), found[what]


def test_what_went_wrong_over_the_years_is_named(
    whole: ServerSettings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (whole.keys / "reviews.key").chmod(0o644)
    whole.folder.chmod(0o755)
    monkeypatch.setenv("BL_STEER_SERVICE_WORKER", "3")
    with written(whole) as session:
        session.execute(sa.update(AuditRecord).where(AuditRecord.id == 2).values(actor="eve"))
        session.execute(sa.update(Worker).values(seen=time.time() + 3600.0))
        session.execute(sa.text("UPDATE users SET role = 'user'"))
    found = graded(whole)
    assert "mode 644" in found["key"]
    assert "run chmod 700" in found["folder"]
    assert "write BL_STEER_SERVICE_WORKERS" in found["settings"]
    assert "broken at number 2" in found["audit"]
    assert "+3600 s off" in found["clocks"]
    assert "no administrator" in found["accounts"]
    assert main(["serve", "--check", "--folder", str(whole.folder)]) == 2
    said = capsys.readouterr()
    assert said.out.count("FAULT") == 6
    assert said.err.count("\n") == 1
    with written(whole) as session:
        session.execute(sa.text("UPDATE alembic_version SET version_num = '0001'"))
    assert "note: sqlite has the tables of 0001, of an earlier" in graded(whole)["database"]


def test_clocks_and_tables_of_postgresql_are_looked_at(
    tmp_path: Path, postgres_url: str, database: Database
) -> None:
    settings = ServerSettings(folder=tmp_path, database_url=postgres_url)
    clocks = [one for one in check_server(settings) if one.what == "clocks"]
    if not database.is_sqlite:
        assert [one.grade for one in clocks] == ["ok"]
