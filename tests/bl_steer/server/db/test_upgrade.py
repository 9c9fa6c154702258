"""A real server of an earlier version, as it is brought up to date and moved.

``old_server.zip`` holds the folder of a server with SQLite and a backup of it, both made on
2026-11-30 by the code before the second change of the tables. ``make.py`` in it tells how: jobs
were carried out by the worker of that time, a package was tested, approved and released by its
rules. ``facts.json`` holds what its users know: passwords, keys and links.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from sqlalchemy import select

from bl_steer.cli import main
from bl_steer.server.db import migrations
from bl_steer.server.db.audit import broken_link
from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import Base, Job, JobOutput, Package, User
from bl_steer.server.jobs import queue as jobs
from bl_steer.server.operations.backup import ROWS, back_up, restore
from bl_steer.server.retraining.pairs import training_pairs
from bl_steer.server.settings import ServerSettings

OLD = Path(__file__).with_name("old_server.zip")
EVERYBODY = ("/", "/files", "/analyses", "/analyses/advise", "/analyses/sums", "/jobs", "/training")
EVERYBODY += ("/account", "/packages")
PAGES = {
    "ueda": "/packages/{package}",
    "rev": "/packages/{package} /packages/{package}/archive",
    "author": "/packages/{package} /packages/{package}/archive",
    "admin": "/admin /admin/users /admin/users/{user} /admin/access /admin/audit",
}
"""What each of the users may see."""


@dataclass(frozen=True)
class Upgraded:
    settings: ServerSettings
    facts: dict[str, Any]


def unpacked(folder: Path) -> Path:
    with zipfile.ZipFile(OLD) as archive:
        archive.extractall(folder)
    for key in folder.glob("*/keys/*"):
        key.chmod(0o600)
    (folder / "backup" / "files").mkdir()
    for file in (folder / "server" / "files").glob("??/*"):
        shutil.copy(file, folder / "backup" / "files" / file.name)
    return folder


def emptied(url: str) -> None:
    database = Database(url)
    with database.change() as connection:
        Base.metadata.drop_all(connection)
        connection.execute(sa.text("DROP TABLE IF EXISTS alembic_version"))
    database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def upgraded(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Upgraded]:
    """SQLite as it lay there; PostgreSQL on another machine, from the old version's backup."""
    old = unpacked(tmp_path / "old")
    facts = json.loads((old / "facts.json").read_text())
    settings = ServerSettings(folder=old / "server")
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
        emptied(url)
        settings = ServerSettings(folder=tmp_path / "elsewhere", database_url=url)
        restore(settings, old / "backup")
    yield Upgraded(settings, facts)
    if request.param == "postgresql":
        emptied(settings.database_url)


def test_an_old_server_goes_on_as_it_was_with_all_its_pages(
    upgraded: Upgraded, site_module: Any
) -> None:
    facts, chosen = upgraded.facts, upgraded.settings
    with site_module.running_site(chosen.folder, database_url=chosen.database_url) as site:
        with site.context.database.read() as session:
            assert broken_link(session) is None
            assert len(training_pairs(session)) == 3
            kept = select(JobOutput.job_id, "outputs/" + JobOutput.name).order_by(JobOutput.job_id)
            outputs = session.execute(kept).all()
            account = session.scalars(select(User.id)).first()
            analysis, permit = site.context.packages.permitted(session, facts["package"])
            states = dict(session.execute(select(Job.id, Job.state)).tuples().all())
        assert (analysis / "script.py").exists()
        assert permit.approvals
        wanted = {"done": "done", "summed": "done"}
        assert states == {job: wanted.get(said, said) for said, job in facts["jobs"].items()}
        for user, pages in PAGES.items():
            browser = site.browser(f"{user}@example.org")
            shown = [*EVERYBODY, *pages.format(user=account, package=facts["package"]).split()]
            if user == "ueda":
                shown += [f"/jobs/{job}" for job in facts["jobs"].values()]
                shown += [f"/jobs/{job}/{name}" for job, name in outputs]
            answers = {page: browser.get(page).status_code for page in shown}
            assert answers == dict.fromkeys(shown, 200)
        program = site.stranger(Authorization=f"Bearer {facts['key']}")
        assert len(program.get("/api/v1/jobs").json()) == 6
        assert site.stranger().get(f"/s/{facts['share']}/all.zip").status_code == 200
        assert site.stranger().get(f"/join/{facts['invitation']}").status_code == 200
        with site.context.database.write() as session:
            assert jobs.sweep(session, attempts=5).requeued == 1  # of a machine that is no more
        ended = {site.finish({"t.csv": b"a\n1\n"}) for _ in range(2)}
        assert ended == {facts["jobs"]["running"], facts["jobs"]["queued"]}


def test_a_backup_of_a_server_that_was_not_yet_upgraded_is_one_of_its_version(
    tmp_path: Path,
) -> None:
    old = unpacked(tmp_path / "old")
    settings = ServerSettings(folder=old / "server")
    back_up(settings, tmp_path / "backup")
    before, now = (
        (one / ROWS).read_text().splitlines() for one in (old / "backup", tmp_path / "backup")
    )
    assert json.loads(now[0])["revision"] == "0001"
    assert [json.loads(line) for line in now[1:]] == [json.loads(line) for line in before[1:]]
    restore(ServerSettings(folder=tmp_path / "new"), tmp_path / "backup")
    database = Database(ServerSettings(folder=tmp_path / "new").database)
    with database.read() as session:
        assert broken_link(session) is None
        assert session.scalars(select(Package.state).order_by(Package.state)).all() == [
            "released",
            "submitted",
        ]
    database.close()


def test_each_change_can_be_undone_and_made_again_with_rows_in_the_tables(
    upgraded: Upgraded,
) -> None:
    database = Database(upgraded.settings.database)
    database.create_tables()
    with database.change() as connection:
        number = connection.scalar(sa.text("SELECT count(*) FROM uploads"))
        command.downgrade(migrations._config(connection), "0001")
        assert connection.scalar(sa.text("SELECT count(*) FROM uploads")) == number
    database.create_tables()
    with database.read() as session:
        assert broken_link(session) is None
        assert session.scalars(select(Job.state).order_by(Job.state)).first() == "cancelled"
    database.close()


def test_an_older_program_refuses_a_newer_database_and_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ServerSettings(folder=tmp_path / "server")
    database = Database(settings.database)
    database.create_tables()
    with database.change() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    said = r"got one with the tables of '9999', where this version knows them up to 0\d+; install"
    with pytest.raises(RuntimeError, match=f"the server's database must be .* {said}"):
        database.create_tables()
    database.close()
    folder = str(settings.folder)
    assert main(["server", "add-user", "a@example.org", "--folder", folder]) == 2
    assert main(["server", "backup", str(tmp_path / "backup"), "--folder", folder]) == 2
    assert capsys.readouterr().err.count("'9999'") == 2
    backup = unpacked(tmp_path / "old") / "backup"
    rows = (backup / ROWS).read_text().partition("\n")[2]
    header = json.dumps({"form": "bl_steer server backup, form 2", "revision": "9999"})
    (backup / ROWS).write_text(f"{header}\n{rows}")
    with pytest.raises(RuntimeError, match=f"a backup must be .* {said}"):
        restore(ServerSettings(folder=tmp_path / "new"), backup)
