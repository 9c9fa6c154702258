"""Two who submit a package, or begin a retraining, at the same moment, on both databases."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import Package, Retraining, Upload
from bl_steer.server.db.training_tables import Snapshot
from bl_steer.server.packages.archive import unpack
from bl_steer.server.retraining.pairs import add_correction

LONG_S = 60.0
OTHER = "def run(inputs, params, model):\n    return {'tables': {}}\n"


@pytest.fixture
def site(site_module: Any, database: Database, tmp_path: Path) -> Iterator[Any]:
    """A running server on each kind of database."""
    url = database.engine.url.render_as_string(hide_password=False)
    with site_module.running_site(tmp_path / "service", database_url=url) as running:
        yield running


def at_once(
    site: Any, *deeds: Callable[[], Any], until: Callable[[], object] = lambda: time.sleep(0.5)
) -> list[Any]:
    """Return what deeds come to that all wait for the same turn to write.

    Parameters
    ----------
    until : called while they wait
    """
    found: list[Any] = [None] * len(deeds)

    def do(number: int) -> None:
        found[number] = deeds[number]()

    threads = [threading.Thread(target=do, args=(number,)) for number in range(len(deeds))]
    with site.context.database.write():
        for thread in threads:
            thread.start()
        until()
    for thread in threads:
        thread.join(LONG_S)
    return found


def send(browser: Any, content: bytes) -> Callable[[], Any]:
    return lambda: browser.post("/packages", files=[("archive", ("sums.zip", content))])


@pytest.mark.parametrize("same", [True, False], ids=["one content", "two contents"])
def test_of_two_submissions_of_a_version_one_is_taken_and_the_other_told_so(
    site: Any, small: Callable[..., Any], same: bool
) -> None:
    site.user()
    first, second = site.browser(), site.browser()
    one = small().archive().read_bytes()
    other = one if same else small(script=OTHER).archive(accepted=False).read_bytes()
    folder = site.context.packages.folder

    def unpacked() -> None:
        deadline = time.monotonic() + LONG_S
        while len(list(folder.glob("?" * 64))) < (1 if same else 2):
            assert time.monotonic() < deadline, "nothing is unpacked while another writes"
            time.sleep(0.05)
        with site.context.database.read() as session:
            assert session.scalars(select(Package)).all() == []

    answers = at_once(site, send(first, one), send(second, other), until=unpacked)
    (refused,) = (answer for answer in answers if answer.status_code != 303)
    assert refused.status_code in (409, 422), refused.text
    assert "sums 1.0.0" in refused.text
    with site.context.database.read() as session:
        (package,) = session.scalars(select(Package))
    assert package.state == "submitted"


def test_an_archive_that_many_unpack_at_the_same_moment_is_there_once(
    small: Callable[..., Any], tmp_path: Path
) -> None:
    archive, failed = small().archive(), []
    for number in range(10):
        packages = tmp_path / f"packages-{number}"
        together = threading.Barrier(6)

        def take(packages: Path = packages, together: threading.Barrier = together) -> None:
            together.wait(LONG_S)
            try:
                with archive.open("rb") as file:
                    unpack(file, packages)
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=take) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LONG_S)
        assert not failed
        assert len(list(packages.iterdir())) == 1


def test_of_two_retrainings_that_are_begun_one_is_queued(site: Any) -> None:
    ann = site.user()
    with site.context.database.write() as session:
        for number in range(3):
            pair = [
                Upload(
                    user_id=ann.id,
                    sha256=f"{number}{part}" * 32,
                    file_name=f"{number}.png",
                    size=1,
                    may_train=True,
                    sample=f"film {number}",
                )
                for part in range(2)
            ]
            session.add_all(pair)
            session.flush()
            add_correction(session, pair[0].id, pair[1].id, ann)
    browsers = site.browser(), site.browser()
    answers = at_once(site, *(lambda b=b: b.post("/training") for b in browsers))
    assert sorted(answer.status_code for answer in answers) == [303, 409]
    with site.context.database.read() as session:
        assert len(session.scalars(select(Retraining)).all()) == 1
        assert len(session.scalars(select(Snapshot)).all()) == 1


def test_a_candidate_that_two_put_into_review_is_one_package_which_both_are_led_to(
    site: Any, small: Callable[..., Any]
) -> None:
    site.user()
    site.user("ben@example.org")
    with site.context.database.write() as session:
        session.add(Snapshot(sha256="5" * 64, manifest={"pairs": []}))
        session.flush()
        row = Retraining(snapshot_sha256="5" * 64, champion="fibsem", state="done")
        session.add(row)
    place = site.context.settings.folder / "retraining" / row.id
    place.mkdir(parents=True)
    shutil.copyfile(small().archive(), place / "candidate.zip")
    browsers = site.browser(), site.browser("ben@example.org")
    path = f"/training/{row.id}/submit"
    answers = at_once(site, *(lambda b=b: b.post(path) for b in browsers))
    assert [answer.status_code for answer in answers] == [303, 303]
    with site.context.database.read() as session:
        (package,) = session.scalars(select(Package))
    assert {answer.headers["location"] for answer in answers} == {f"/packages/{package.sha256}"}
