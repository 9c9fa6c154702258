"""Browser sessions as their owner sees them, and accounts that end."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from bl_steer.server.auth.accounts import add_user, change_user, start_session, visitor_of_session
from bl_steer.server.auth.closing import close_account
from bl_steer.server.auth.sessions import browser_name, note_seen, sessions_of
from bl_steer.server.db.audit import broken_link
from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import AuditRecord, Correction, Job, Upload, User
from bl_steer.server.errors import Refused
from bl_steer.server.jobs.queue import submit
from bl_steer.server.retraining.pairs import training_pairs

PASSWORD = "correct horse battery"
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (FIREFOX, "Firefox, Windows"),
        ("Mozilla/5.0 (X11; Linux x86_64) Chrome/139.0.0.0 Safari/537.36 Edg/139.0", "Edge, Linux"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) Safari/604.1", "Safari, iPhone"),
        ("Mozilla/5.0 (Linux; Android 15) Chrome/139.0 Mobile Safari/537.36", "Chrome, Android"),
        ("python-httpx/0.28", ""),
    ],
)
def test_a_browser_is_called_as_people_call_it(agent: str, name: str) -> None:
    assert browser_name(agent) == name


def test_an_owner_sees_the_sessions_and_ends_them(site: Any) -> None:
    user = site.user()
    site.user("ben@example.org")
    here, there = site.browser(), site.browser(**{"User-Agent": FIREFOX})
    third, ben = site.browser(), site.browser("ben@example.org")
    page = here.get("/account").text
    assert "Firefox, Windows" in page
    assert page.count("(this one)") == 1
    with site.context.database.read() as session:
        rows = sessions_of(session, user.id)
    assert {row.address for row in rows} == {"127.0.0.1"}
    (firefox,) = (row.token_hash for row in rows if "Firefox" in row.agent)
    assert ben.post(f"/account/sessions/{firefox}/end").status_code == 404
    assert there.get("/account").status_code == 200
    assert here.post(f"/account/sessions/{firefox}/end").status_code == 303
    assert there.get("/account").status_code == 303
    assert here.post("/account/sessions/end").status_code == 303
    assert third.get("/account").status_code == 303
    assert here.get("/account").status_code == ben.get("/account").status_code == 200
    with site.context.database.read() as session:
        ended = select(AuditRecord).where(AuditRecord.action == "session end")
        assert len(session.scalars(ended).all()) == 2
        assert broken_link(session) is None


def test_a_session_remembers_when_it_was_seen(database: Database) -> None:
    with database.write() as session:
        user = add_user(session, "ann@example.org", password=PASSWORD)
        token = start_session(session, user, days=1.0, agent="a" * 900)
        session.flush()
        sessions_of(session, user.id)[0].seen = None
    with database.write() as session:
        note_seen(session, token)
    with database.read() as session:
        (row,) = sessions_of(session, user.id)
        assert row.seen is not None
        assert visitor_of_session(session, token).user is not None


def given(database: Database) -> tuple[User, User, User]:
    """Return an administrator, somebody with files, a pair and a job, and a colleague."""
    with database.write() as session:
        root, ann, ben = (
            add_user(session, f"{name}@example.org", password=PASSWORD, role=role)
            for name, role in (("root", "admin"), ("ann", "user"), ("ben", "user"))
        )
        for number in range(2):
            values = {"sha256": f"{number}" * 64, "size": 1, "may_train": True, "sample": "S"}
            session.add(Upload(id=f"f{number}", user_id=ann.id, file_name="f.png", **values))
        session.flush()
        session.add(Correction(image_id="f0", mask_id="f1", user_id=ann.id))
        for user, ids in ((ann, ["f0"]), (ben, [])):
            values = {"params": {}, "upload_ids": ids, "submission_key": "same"}
            submit(session, user_id=user.id, analysis="segment", **values)
    return root, ann, ben


def test_a_closed_account_keeps_its_work_or_hands_it_over(database: Database) -> None:
    root, ann, ben = given(database)
    with database.read() as session:
        (before,) = training_pairs(session)
    with database.write() as session:
        token = start_session(session, session.get_one(User, ann.id), days=1.0)
        close_account(session, ann.id, by=root)
    with database.read() as session:
        assert session.get_one(Upload, "f0").user_id == ann.id
        assert visitor_of_session(session, token).user is None
    with database.write() as session:
        close_account(session, ann.id, by=root, heir=" BEN@example.org")
    with database.read() as session:
        assert {one.user_id for one in session.scalars(select(Upload))} == {ben.id}
        assert {job.user_id for job in session.scalars(select(Job))} == {ben.id}
        assert session.get_one(User, ann.id).heir_id == ben.id
        # A specimen keeps its part in training, whoever has its files.
        assert [pair.sample for pair in training_pairs(session)] == [before.sample]
        records = session.scalars(select(AuditRecord).order_by(AuditRecord.id)).all()
        assert [one.action for one in records[-2:]] == ["user close", "user hand over"]
        assert records[-1].detail == {
            **{"to": "ben@example.org", "files": 2},
            **{"jobs": 1, "unshared": 0},
        }
        assert broken_link(session) is None


@pytest.mark.parametrize("heir", ["nobody@example.org", "ann@example.org", "closed@example.org"])
def test_work_goes_to_another_account_that_is_open(database: Database, heir: str) -> None:
    root, ann, _ = given(database)
    with database.write() as session:
        closed = add_user(session, "closed@example.org", password=PASSWORD)
        change_user(session, closed.id, by=root, disabled=True)
    with pytest.raises(Refused, match=heir), database.write() as session:
        close_account(session, ann.id, by=root, heir=heir)
    with database.read() as session:
        assert session.get_one(User, ann.id).disabled is None
    with pytest.raises(Refused, match="At least one administrator"), database.write() as session:
        close_account(session, root.id, by=root)


def test_an_administrator_closes_hands_over_and_opens_by_the_page(site: Any) -> None:
    user = site.user()
    site.user("ben@example.org")
    site.user("root@example.org", "admin")
    ann, ben, root = (site.browser(f"{name}@example.org") for name in ("ann", "ben", "root"))
    sent = ann.upload(("map.csv", b"x,y,value\n1,2,3\n"))
    job = ann.post("/analyses/advise", {"file": sent.headers["location"].partition("file=")[2]})
    site.finish({"a.csv": b"a\n1\n"})
    where = f"/admin/users/{user.id}"
    assert where in root.get("/admin/users").text
    assert "Files: 1 · analyses: 1 · packages: 0 · browsers signed in: 1" in root.get(where).text
    made = ann.post(f"{job.headers['location']}/shares", {"days": "3"})
    link = f"/s/{made.cookies['bl_steer_new_link']}"
    stranger = site.stranger()
    assert {stranger.get(f"{link}{part}").status_code for part in ("", "/all.zip")} == {200}
    assert root.post(f"{where}/close", {"heir": "nobody@example.org"}).status_code == 422
    assert root.post(f"{where}/close", {"heir": "ben@example.org"}).status_code == 303
    assert ann.get("/files").status_code == 303
    assert {stranger.get(f"{link}{part}").status_code for part in ("", "/all.zip")} == {404}
    assert "map.csv" in ben.get("/files").text
    assert ben.get(job.headers["location"]).status_code == 200
    assert "handed over to ben@example.org" in root.get(where).text
    invited = root.post("/admin/invitations", {"email": user.email}).text
    assert "has an account that is closed" in invited
    assert root.post(where, {"disabled": ""}).status_code == 303
    assert stranger.get(link).status_code == 404, "ended for good"
    assert "map.csv" not in site.browser().get("/files").text
    for path in ("", "/close", "/reset"):
        asked = root.post if path else root.get
        assert asked(f"/admin/users/nobody{path}").status_code == 404
