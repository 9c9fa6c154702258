"""What accounts, keys and providers refuse, on each kind of database."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bl_steer.server.auth.accounts import (
    ROLES,
    Visitor,
    add_user,
    change_user,
    check_email,
    find_user,
    has_role,
    invite,
    open_invitation,
    sign_in,
    sign_out,
    start_session,
    visitor_of_session,
)
from bl_steer.server.auth.api_keys import SCOPES, make_key, note_use, revoke_key, visitor_of_key
from bl_steer.server.auth.oidc import user_of_claims
from bl_steer.server.auth.passwords import change_password, check_password, prove_password
from bl_steer.server.auth.rate_limits import MOST_KEPT, Rate
from bl_steer.server.auth.tokens import hash_password, hash_token, is_password, new_token
from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import ApiKey, User
from bl_steer.server.errors import Refused

PASSWORD = "correct horse battery"


def ann(database: Database, **values: Any) -> User:
    with database.write() as session:
        return add_user(session, "ann@example.org", password=PASSWORD, **values)


@pytest.mark.parametrize(
    ("values", "status", "reason"),
    [
        ({"email": "ANN@example.org"}, 409, "ann@example.org has an account already"),
        ({"email": "b@example.org", "role": "root"}, 422, "There is no role root"),
        ({"email": "b@example.org", "password": "123456789"}, 422, "10 to 1000 characters, got 9"),
        ({"email": "b@example.org", "password": "x" * 1001}, 422, "characters, got 1001"),
        ({"email": f"b@{'x' * 251}.org"}, 422, "Must be an e-mail address"),
    ],
)
def test_no_account_is_made_of_what_does_not_fit(
    database: Database, values: dict[str, str], status: int, reason: str
) -> None:
    ann(database)
    with pytest.raises(Refused, match=reason) as caught, database.write() as session:
        add_user(session, **values)
    assert caught.value.status == status
    with database.read() as session:
        assert find_user(session, "b@example.org") is None


def test_an_account_is_found_by_its_address_however_that_is_written(database: Database) -> None:
    user = ann(database)
    with database.read() as session:
        found = find_user(session, "  ANN@Example.ORG ")
        assert found is not None
        assert found.id == user.id
        assert find_user(session, "ann@example.com") is None
        assert find_user(session, "x" * 10_000) is None


@pytest.mark.parametrize("email", ["a@b", "a.b+c@d-e.example.org", "x" * 250 + "@b.c", "!#$@b"])
def test_an_address_is_kept_in_lower_case_without_spaces(email: str) -> None:
    assert check_email(f" {email.upper()}\n") == email


@pytest.mark.parametrize("length", [10, 1000])
def test_a_password_of_an_allowed_length_is_returned_as_it_is(length: int) -> None:
    assert check_password(" " * length) == " " * length


@pytest.mark.parametrize("role", ROLES)
def test_a_role_includes_those_below_it_and_none_above(role: str) -> None:
    user = User(email="a@b", role=role)
    below = ROLES[: ROLES.index(role) + 1]
    assert [other for other in ROLES if has_role(user, other)] == list(below)
    assert [other for other in ROLES if Visitor(user).is_at_least(other)] == list(below)
    assert not any(Visitor().is_at_least(other) for other in ROLES)


def test_another_password_needs_the_present_one(database: Database) -> None:
    user = ann(database)
    for old, new, reason in (
        ("wrong", PASSWORD + "2", "present password is wrong"),
        (PASSWORD, "short", "10 to 1000 characters, got 5"),
    ):
        with pytest.raises(Refused, match=reason), database.write() as session:
            change_password(session, user.id, prove_password(session, user.id, old), new)
    with database.read() as session:
        assert sign_in(session, user.email, PASSWORD).id == user.id


def test_an_account_without_a_password_gets_its_first_without_an_old_one(
    database: Database,
) -> None:
    with database.write() as session:
        user = add_user(session, "ben@example.org")
    with pytest.raises(Refused, match="password is wrong"), database.read() as session:
        sign_in(session, user.email, "")
    with database.write() as session:
        change_password(session, user.id, prove_password(session, user.id, ""), PASSWORD)
    with database.read() as session:
        assert sign_in(session, user.email, PASSWORD).id == user.id


def test_who_is_not_there_cannot_be_changed(database: Database) -> None:
    root = ann(database, role="admin")
    with pytest.raises(Refused, match="no such account"), database.write() as session:
        change_user(session, "nobody", by=root, disabled=True)
    with pytest.raises(Refused, match="no such account"), database.write() as session:
        change_password(session, "nobody", None, PASSWORD)
    with pytest.raises(Refused, match="no such account"), database.read() as session:
        prove_password(session, "nobody", PASSWORD)
    with pytest.raises(Refused, match="no role root"), database.write() as session:
        change_user(session, root.id, by=root, role="root")


def test_a_closed_account_that_is_opened_again_signs_in_anew(database: Database) -> None:
    user = ann(database)
    with database.write() as session:
        token = start_session(session, user, days=1.0)
        change_user(session, user.id, by=user, disabled=True)
    with database.write() as session:
        change_user(session, user.id, by=user, disabled=False)
    with database.read() as session:
        assert visitor_of_session(session, token).user is None
        assert sign_in(session, user.email, PASSWORD).id == user.id


def test_signing_out_ends_one_session_and_no_other(database: Database) -> None:
    user = ann(database)
    with database.write() as session:
        here, there = (start_session(session, user, days=1.0) for _ in range(2))
        sign_out(session, here)
    with database.read() as session:
        assert visitor_of_session(session, here).user is None
        visitor = visitor_of_session(session, there)
        assert visitor.user is not None
        assert visitor.csrf
        assert visitor.scopes is None


def test_an_invitation_names_a_role_that_there_is_and_ends_with_its_time(
    database: Database,
) -> None:
    with pytest.raises(Refused, match="There is no role king"), database.write() as session:
        invite(session, by="root", role="king")
    with pytest.raises(Refused, match="Must be an e-mail"), database.write() as session:
        invite(session, by="root", email="nobody")
    with database.write() as session:
        old, new = invite(session, by="root", days=-1.0), invite(session, by="root", email=" ")
    with database.read() as session:
        assert open_invitation(session, new).email == ""
        for token in (old, "", "nonsense"):
            with pytest.raises(Refused, match="used, has expired, or never was"):
                open_invitation(session, token)


@pytest.mark.parametrize(
    ("name", "scopes", "reason"),
    [
        ("script", [], "Choose at least one of jobs:read"),
        ("script", ["jobs:read", "all"], "Choose at least one of jobs:read"),
        (" ", ["jobs:read"], "Give the key a name"),
    ],
)
def test_a_key_needs_a_name_and_scopes_that_there_are(
    database: Database, name: str, scopes: list[str], reason: str
) -> None:
    user = ann(database)
    with pytest.raises(Refused, match=reason), database.write() as session:
        make_key(session, user, name, scopes)


def test_a_key_opens_no_closed_account_and_is_revoked_once(database: Database) -> None:
    user = ann(database)
    with database.write() as session:
        key = make_key(session, user, "n" * 300, [*SCOPES, *SCOPES])
    with database.read() as session:
        row = session.query(ApiKey).one()
        assert (row.name, row.scopes) == ("n" * 200, sorted(SCOPES))
        assert visitor_of_key(session, key).scopes == set(SCOPES)
        assert visitor_of_key(session, f"{key}x").user is None
    with database.write() as session:
        change_user(session, user.id, by=user, disabled=True)
    with database.read() as session:
        assert visitor_of_key(session, key).user is None
    with database.write() as session:
        revoke_key(session, user, row.id)
    for key_id in (row.id, "nothing"):
        with pytest.raises(Refused, match="no such key"), database.write() as session:
            revoke_key(session, user, key_id)


def test_the_use_of_a_key_is_noted_once_in_a_minute(database: Database) -> None:
    user = ann(database)

    def used(then: float | None) -> float | None:
        with database.write() as session:
            session.query(ApiKey).update({"last_used": then})
            note_use(session, key)
        with database.read() as session:
            return session.query(ApiKey).one().last_used

    with database.write() as session:
        key = make_key(session, user, "script", ["jobs:read"])
    now = used(None)
    assert now is not None
    assert used(now - 30.0) == now - 30.0
    later = used(now - 90.0)
    assert later is not None
    assert later >= now


CLAIMS = {"iss": "https://idp", "sub": "7", "email": "Ann@Example.org", "email_verified": True}


def test_a_verified_address_links_its_account_and_the_subject_counts_from_then_on(
    database: Database,
) -> None:
    user = ann(database)
    with database.write() as session:
        assert user_of_claims(session, CLAIMS).id == user.id
    with database.write() as session:  # the address is another by now
        assert user_of_claims(session, {"iss": "https://idp", "sub": "7"}).id == user.id
        other = user_of_claims(session, {**CLAIMS, "sub": "8", "email": "ben@example.org"})
        assert (other.email, other.id != user.id) == ("ben@example.org", True)


@pytest.mark.parametrize(
    "change",
    [
        {"email": ""},
        {"email_verified": False},
        {"email_verified": "true"},
        {"email_verified": None},
    ],
)
def test_an_address_that_is_not_verified_links_nothing(
    database: Database, change: dict[str, object]
) -> None:
    user = ann(database)
    with pytest.raises(Refused, match="no verified e-mail address"), database.write() as session:
        user_of_claims(session, {**CLAIMS, **change})
    with database.read() as session:
        assert session.get_one(User, user.id).oidc_subject is None


def test_a_closed_account_is_not_opened_by_a_provider(database: Database) -> None:
    user = ann(database)
    with database.write() as session:
        change_user(session, user.id, by=user, disabled=True)
    with pytest.raises(Refused) as caught, database.write() as session:
        user_of_claims(session, CLAIMS)
    assert (caught.value.status, caught.value.key) == (401, "refused.sign_in")


@given(per_minute=st.integers(1, 50))
def test_a_bucket_gives_as_many_at_once_as_in_a_minute_and_then_waits(per_minute: int) -> None:
    rate = Rate(per_minute)
    assert [rate.wait_s("ann", take=False) for _ in range(3)] == [0.0] * 3
    assert [rate.wait_s("ann") for _ in range(per_minute)] == [0.0] * per_minute
    assert 0.0 < rate.wait_s("ann") <= 60.0 / per_minute
    assert rate.wait_s("ben") == 0.0


def test_the_keys_that_were_used_longest_ago_are_forgotten_first() -> None:
    rate = Rate(1)
    rate.wait_s("first")
    for number in range(MOST_KEPT - 1):
        rate.wait_s(str(number))
    assert rate.wait_s("first") > 0.0  # used again: no longer the oldest
    rate.wait_s("one more")
    assert rate.wait_s("first", take=False) > 0.0
    assert rate.wait_s("0", take=False) == 0.0


def test_tokens_differ_and_only_their_hashes_are_alike() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert {len(token) for token in tokens} == {43}
    assert hash_token("ä") == hash_token("ä") != hash_token("a")
    assert len(hash_token("\udcff")) == 64


def test_a_password_fits_its_own_hash_and_none_that_is_broken() -> None:
    hashed = hash_password(PASSWORD)
    assert PASSWORD not in hashed
    assert hashed != hash_password(PASSWORD)  # each has a salt of its own
    assert is_password(PASSWORD, hashed)
    for password, other in ((PASSWORD + " ", hashed), (PASSWORD, None), (PASSWORD, "broken")):
        assert not is_password(password, other)
