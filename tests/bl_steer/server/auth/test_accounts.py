from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from bl_steer.server.auth.accounts import (
    add_user,
    change_user,
    invite,
    join,
    sign_in,
    start_session,
    visitor_of_session,
)
from bl_steer.server.auth.api_keys import keys_of, make_key, revoke_key, visitor_of_key
from bl_steer.server.auth.passwords import change_password
from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import User
from bl_steer.server.errors import Refused
from bl_steer.server.web.process import first_link

PASSWORD = "correct horse battery"


def make(database: Database, email: str = "ann@example.org", role: str = "user") -> User:
    with database.write() as session:
        return add_user(session, email, password=PASSWORD, role=role)


def test_a_password_opens_its_own_account_only(database: Database) -> None:
    ann = make(database, "Ann@Example.org")
    with database.read() as session:
        assert sign_in(session, " ANN@example.org ", PASSWORD).id == ann.id
        for email, password in (("ann@example.org", "x"), ("ben@example.org", PASSWORD), ("", "")):
            with pytest.raises(Refused, match="address or the password is wrong"):
                sign_in(session, email, password)


@pytest.mark.parametrize("email", ["", "ann", "a@b@c", "a b@c", "a@b\r\nBcc: x@y", "é@x.org", "a@"])
def test_what_is_no_address_gets_no_account(database: Database, email: str) -> None:
    with pytest.raises(Refused, match="Must be an e-mail address"), database.write() as s:
        add_user(s, email, password=PASSWORD)


def test_a_session_ends_with_its_time_with_the_password_and_with_the_account(
    database: Database,
) -> None:
    ann, root = make(database), make(database, "root@example.org", "admin")

    def visitor(days: float = 1.0, password: str = PASSWORD) -> str:
        with database.write() as session:
            user = sign_in(session, ann.email, password)
            return start_session(session, user, days=days)

    def is_there(token: str) -> bool:
        with database.read() as session:
            return visitor_of_session(session, token).user is not None

    assert is_there(token := visitor())
    assert not is_there(visitor(days=-1.0))
    assert not is_there("nonsense\udcff")
    with database.write() as session:
        change_password(session, ann.id, ann.password_hash, PASSWORD + "2")
    assert not is_there(token)
    token = visitor(password=PASSWORD + "2")
    with database.write() as session:
        change_user(session, ann.id, by=root, disabled=True)
    assert not is_there(token)
    with pytest.raises(Refused), database.read() as session:
        sign_in(session, ann.email, PASSWORD + "2")


def test_the_last_administrator_stays(database: Database) -> None:
    root = make(database, "root@example.org", "admin")
    for change in ({"role": "user"}, {"disabled": True}):
        with pytest.raises(Refused, match="At least one administrator"), database.write() as s:
            change_user(s, root.id, by=root, **change)
    other = make(database, "other@example.org", "admin")
    with database.write() as session:
        assert change_user(session, root.id, by=other, role="user").role == "user"


def test_two_administrators_cannot_take_the_role_from_each_other_at_once(
    database: Database,
) -> None:
    root, other = (make(database, f"{name}@example.org", "admin") for name in ("root", "other"))

    def take_from_other() -> None:
        with database.write() as session:
            change_user(session, other.id, by=root, role="user")

    with ThreadPoolExecutor(1) as pool:
        with database.write() as session:
            change_user(session, root.id, by=other, role="user")
            second = pool.submit(take_from_other)
            time.sleep(0.5)  # it reads, and waits for this transaction
        with pytest.raises(Refused, match="At least one administrator"):
            second.result(timeout=120)


def test_an_invitation_is_good_for_one_account(database: Database) -> None:
    with database.write() as session:
        token = invite(session, by="root@example.org", role="reviewer", email="ben@example.org")
    with database.write() as session:
        made = join(session, token, email="eve@example.org", name="Ben", password=PASSWORD)
    assert (made.email, made.role) == ("ben@example.org", "reviewer")
    with pytest.raises(Refused, match="invitation"), database.write() as session:
        join(session, token, email="", name="", password=PASSWORD)


def test_an_invitation_is_not_used_up_by_a_password_that_is_too_short(database: Database) -> None:
    with database.write() as session:
        token = invite(session, by="root@example.org")
    for password, works in (("short", False), (PASSWORD, True)):
        try:
            with database.write() as session:
                join(session, token, email="ben@example.org", name="", password=password)
        except Refused:
            assert not works
        else:
            assert works


def test_the_first_link_makes_an_administrator_and_is_made_only_once_at_a_time(
    database: Database,
) -> None:
    links = [first_link(database, "http://here") for _ in range(2)]
    tokens = [str(link).rpartition("/")[2] for link in links]
    with pytest.raises(Refused), database.write() as session:
        join(session, tokens[0], email="eve@example.org", name="", password=PASSWORD)
    with database.write() as session:
        made = join(session, tokens[1], email="root@example.org", name="", password=PASSWORD)
    assert made.role == "admin"
    assert first_link(database, "http://here") is None


def test_a_key_opens_until_it_is_revoked_or_expires(database: Database) -> None:
    ann, eve = make(database), make(database, "eve@example.org")
    with database.write() as session:
        key = make_key(session, ann, "script", ["jobs:read"], days=1)
        old = make_key(session, ann, "old", ["jobs:read"], days=-1)
    with database.read() as session:
        visitor = visitor_of_key(session, key)
        assert visitor.user is not None
        assert visitor.scopes == {"jobs:read"}
        assert visitor_of_key(session, old).user is None
        (kept,) = (one for one in keys_of(session, ann.id) if one.name == "script")
        assert key not in repr(vars(kept))
    with pytest.raises(Refused), database.write() as session:
        revoke_key(session, eve, kept.id)
    with database.write() as session:
        revoke_key(session, ann, kept.id)
    with database.read() as session:
        assert visitor_of_key(session, key).user is None


def test_a_wrong_password_takes_as_long_without_an_account(database: Database) -> None:
    make(database)

    def cpu_s(email: str) -> float:
        began = time.thread_time()
        with pytest.raises(Refused), database.read() as session:
            sign_in(session, email, "wrong")
        return time.thread_time() - began

    cpu_s("ann@example.org")
    known, unknown = (min(cpu_s(one) for _ in range(5)) for one in ("ann@example.org", "no@x.org"))
    assert 0.3 < known / unknown < 3.0
