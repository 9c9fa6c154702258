"""A password is hashed before the turn in which it is kept: nobody else's write waits for that."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy.orm import Session

from bl_steer.server.auth.accounts import add_user, invite, sign_in
from bl_steer.server.auth.password_resets import make_reset
from bl_steer.server.auth.passwords import change_password, hashed, prove_password
from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import User
from bl_steer.server.errors import Refused

PASSWORD, NEW = "correct horse battery", "a longer battery of horses"
NAMES = ("dan", "eve", "kay")


class Watched(Database):
    """A database that notes what of the library of hashes is called while it has the turn."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.turns, self.hashed_in = 0, list[str]()

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Open a transaction; see `Database.write`."""
        with super().write() as session:
            self.turns += 1
            sys.setprofile(self._note)
            try:
                yield session
            finally:
                sys.setprofile(None)

    def _note(self, frame: Any, event: str, arg: Any) -> None:
        if event == "call" and "argon2" in frame.f_code.co_filename:
            self.hashed_in.append(frame.f_code.co_name)


@pytest.fixture
def watched(site: Any) -> Iterator[Watched]:
    """The database of a running server."""
    database = Watched(site.context.settings.database)
    before, site.context.database = site.context.database, database
    yield database
    site.context.database = before
    database.close()


def test_what_watches_the_turn_sees_a_hash_that_is_made_in_it(watched: Watched) -> None:
    with watched.write() as session:
        add_user(session, "ann@example.org", password=PASSWORD)
    assert watched.hashed_in


def test_no_page_hashes_a_password_while_others_wait_for_the_turn(
    site: Any, watched: Watched
) -> None:
    site.context.settings = site.context.settings.model_copy(update={"registration": True})
    ready = hashed(PASSWORD)
    with watched.write() as session:
        ann = add_user(session, "ann@example.org", password=ready, role="admin")
        add_user(session, "ben@example.org", password=ready)
        reset = make_reset(session, session.get_one(User, ann.id), hours=1)
        invited = invite(session, by=ann.email)
    stranger = site.stranger()
    person = {"email": "eve@example.org", "name": "Eve", "password": NEW}
    assert stranger.post(f"/join/{invited}", data=person).status_code == 303
    joined = {"email": "dan@example.org", "name": "Dan", "password": NEW}
    assert site.stranger().post("/register", data=joined).status_code == 303
    browser = site.browser("ann@example.org")
    made = {"email": "kay@example.org", "name": "Kay", "password": NEW, "role": "user"}
    assert browser.post("/admin/users", made).status_code == 303
    assert browser.post("/account/password", {"old": PASSWORD, "new": NEW}).status_code == 303
    assert site.stranger().post(f"/reset/{reset}", data={"password": NEW}).status_code == 404
    with watched.write() as session:
        again = make_reset(session, session.get_one(User, ann.id), hours=1)
    assert site.stranger().post(f"/reset/{again}", data={"password": PASSWORD}).status_code == 303
    assert watched.turns >= 7
    assert watched.hashed_in == []
    with watched.read() as session:
        for email, password in ((ann.email, PASSWORD), *((f"{n}@example.org", NEW) for n in NAMES)):
            assert sign_in(session, email, password).email == email


def test_a_password_that_was_changed_meanwhile_is_not_changed_by_an_old_proof(
    database: Database,
) -> None:
    with database.write() as session:
        ann = add_user(session, "ann@example.org", password=PASSWORD)
    with database.read() as session:
        proven = prove_password(session, ann.id, PASSWORD)
    with database.write() as session:
        change_password(session, ann.id, proven, NEW)
    with pytest.raises(Refused, match="present password is wrong"), database.write() as session:
        change_password(session, ann.id, proven, PASSWORD)
    with database.read() as session:
        assert sign_in(session, ann.email, NEW).id == ann.id
