"""A new password by a link: by mail, from an administrator, from a command."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from bl_steer.cli import main
from bl_steer.server.auth.accounts import add_user, change_user, sign_in
from bl_steer.server.auth.password_resets import link_for, make_reset, open_reset, reset_password
from bl_steer.server.auth.passwords import change_password
from bl_steer.server.db.audit import broken_link
from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import AuditRecord, OutgoingMail, PasswordReset, User
from bl_steer.server.errors import Refused
from bl_steer.server.mail.passwords import MOST_AN_HOUR, body_to_send, post_reset

PASSWORD = "correct horse battery"
NEW = "a longer battery of horses"
HERE = "http://here"


@pytest.fixture
def ann(database: Database) -> User:
    with database.write() as session:
        return add_user(session, "ann@example.org", password=PASSWORD)


def link(database: Database, user: User, hours: float = 1.0) -> str:
    with database.write() as session:
        return make_reset(session, session.get_one(User, user.id), hours=hours)


def is_good(database: Database, token: str) -> bool:
    try:
        with database.read() as session:
            return open_reset(session, token) is not None
    except Refused:
        return False


def test_a_link_sets_one_password_and_is_kept_as_a_hash(database: Database, ann: User) -> None:
    token, other = link(database, ann), link(database, ann)
    with pytest.raises(Refused, match="10 to 1000"), database.write() as session:
        reset_password(session, token, "short")
    with database.write() as session:
        reset_password(session, token, NEW)
    for used in (token, other):  # a new password ends them all
        with pytest.raises(Refused, match="was used"), database.write() as session:
            reset_password(session, used, PASSWORD)
    with database.read() as session:
        assert sign_in(session, ann.email, NEW).id == ann.id
        assert all(row.token_hash != token for row in session.scalars(select(PasswordReset)))
        assert "user reset" in [one.action for one in session.scalars(select(AuditRecord))]
        assert broken_link(session) is None


def test_a_link_ends_with_its_time_with_the_password_and_with_the_account(
    database: Database, ann: User
) -> None:
    with database.write() as session:
        root = add_user(session, "root@example.org", password=PASSWORD, role="admin")
    assert is_good(database, token := link(database, ann))
    assert not is_good(database, link(database, ann, hours=-1.0))
    assert not is_good(database, "nonsense")
    with database.write() as session:
        change_password(session, ann.id, ann.password_hash, NEW)
    assert not is_good(database, token)
    token = link(database, ann)
    with database.write() as session:
        change_user(session, ann.id, by=root, disabled=True)
    assert not is_good(database, token)
    with pytest.raises(Refused, match="no such account"), database.write() as session:
        link_for(session, ann.email, by="command line")


def test_a_mail_holds_its_link_only_while_it_is_sent(database: Database, ann: User) -> None:
    with database.write() as session:
        assert post_reset(session, " ANN@example.org", language="en", address=HERE)
    with database.write() as session:
        mail = session.scalars(select(OutgoingMail)).one()
        assert session.scalars(select(PasswordReset)).all() == []
        sent = body_to_send(session, mail, address=HERE)
        assert "/reset/" not in mail.body
    (token,) = re.findall(r"http://here/reset/(\S+)", sent)
    assert is_good(database, token)


def test_only_an_open_account_with_a_password_gets_mails_and_few(
    database: Database, ann: User
) -> None:
    with database.write() as session:
        root = add_user(session, "root@example.org", password=PASSWORD, role="admin")
        add_user(session, "sso@example.org", oidc_subject="https://idp#1")

        def posted(email: str) -> bool:
            return post_reset(session, email, language="en", address=HERE)

        assert not posted("sso@example.org")
        assert not posted("nobody@example.org")
        tries = [posted(ann.email) for _ in range(MOST_AN_HOUR + 2)]
        assert tries == [True] * MOST_AN_HOUR + [False] * 2
        for mail in session.scalars(select(OutgoingMail)):
            mail.created -= 4000.0
        session.flush()
        assert posted(ann.email)
        change_user(session, ann.id, by=root, disabled=True)
        assert not posted(ann.email)


@pytest.fixture
def mailing(site_module: Any, tmp_path: Path) -> Iterator[Any]:
    settings = {"smtp_host": "127.0.0.1", "sign_in_per_minute": 4}
    with site_module.running_site(tmp_path / "mailing", **settings) as running:
        yield running


def test_the_page_tells_nobody_which_addresses_have_accounts(mailing: Any) -> None:
    mailing.user()
    client = mailing.stranger()
    assert 'href="/reset"' in client.get("/sign-in").text
    known = client.post("/reset", data={"email": "ann@example.org"})
    unknown = client.post("/reset", data={"email": "nobody@example.org"})
    assert (known.status_code, known.text) == (unknown.status_code, unknown.text)
    assert "on its way" in known.text
    deadline = time.monotonic() + 60
    mails: list[OutgoingMail] = []
    while not mails and time.monotonic() < deadline:
        with mailing.context.database.read() as session:
            mails = list(session.scalars(select(OutgoingMail)))
    assert [mail.recipient for mail in mails] == ["ann@example.org"]
    statuses = [client.post("/reset", data={"email": "x"}).status_code for _ in range(4)]
    assert statuses[-1] == 429


def test_a_server_without_mail_says_whom_to_ask(site: Any) -> None:
    client = site.stranger()
    for answer in (client.get("/reset"), client.post("/reset", data={"email": "a@x.org"})):
        assert "Ask its administrator for a link" in answer.text
        assert '<form method="post" action="/reset"' not in answer.text


def test_a_new_password_by_a_link_of_an_administrator_ends_all_sessions(site: Any) -> None:
    user = site.user()
    site.user("root@example.org", "admin")
    before, root = site.browser(), site.browser("root@example.org")
    page = root.post(f"/admin/users/{user.id}/reset")
    (path,) = re.findall(rf'value="{re.escape(site.address)}(/reset/[^"]+)"', page.text)
    client = site.stranger()
    assert "ann@example.org" in client.get(path).text
    assert client.post(path, data={"password": "short"}).status_code == 422
    answer = client.post(path, data={"password": NEW})
    assert answer.headers["location"] == "/sign-in?note=password_changed"
    assert client.get(path).status_code == 404
    assert client.post(path, data={"password": NEW}).status_code == 404
    assert before.get("/account").status_code == 303
    signed_in = client.post("/sign-in", data={"email": "ann@example.org", "password": NEW})
    assert signed_in.status_code == 303
    with site.context.database.read() as session:
        actions = [one.action for one in session.scalars(select(AuditRecord))]
        subjects = [one.subject for one in session.scalars(select(OutgoingMail))]
    assert {"user reset link", "user reset"} <= set(actions)
    assert subjects == ["Your password was changed"]
    site.context.log.flush()
    log = root.get("/admin/access").text
    assert path not in log
    assert "/reset/{token}" in log


def test_the_command_makes_a_link_and_names_an_address_without_an_account(
    site: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    site.user()
    monkeypatch.setenv("BL_STEER_SERVICE_FOLDER", str(site.context.settings.folder))
    monkeypatch.setenv("BL_STEER_SERVICE_BASE_URL", site.address)
    assert main(["server", "reset-password", "Ann@example.org"]) == 0
    (path,) = re.findall(rf"{re.escape(site.address)}(/reset/\S+)", capsys.readouterr().out)
    assert site.stranger().get(path).status_code == 200
    assert main(["server", "reset-password", "nobody@example.org"]) == 2
    assert "EMAIL must have an open account, got nobody@example.org" in capsys.readouterr().err


def test_no_invitation_is_made_for_an_address_that_has_an_account(
    site: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    site.user(role="admin")
    monkeypatch.setenv("BL_STEER_SERVICE_FOLDER", str(site.context.settings.folder))
    assert main(["server", "add-user", "ANN@example.org"]) == 2
    error = capsys.readouterr().err
    assert "EMAIL must have no account yet, got ann@example.org" in error
    assert "bl-steer server reset-password ann@example.org" in error
    answer = site.browser().post("/admin/invitations", {"email": "ann@example.org"})
    assert answer.status_code == 409
    assert "/join/" not in answer.text


def test_the_commands_say_that_an_account_is_closed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], site: Any
) -> None:
    user, root = site.user(), site.user("root@example.org", "admin")
    with site.context.database.write() as session:
        change_user(session, user.id, by=root, disabled=True)
    folder = str(site.context.settings.folder)
    for words in (["server", "add-user"], ["server", "reset-password"]):
        assert main([*words, user.email, "--folder", folder]) == 2
        said = capsys.readouterr().err
        assert "ann@example.org, whose account was closed on 20" in said
        assert "reopens it on the page Administration, Accounts" in said


def test_keys_stay_with_a_new_password_which_says_so_and_end_together(site: Any) -> None:
    user = site.user()
    programs = [site.program(user) for _ in range(2)]
    with site.context.database.write() as session:
        token = make_reset(session, session.get_one(User, user.id), hours=1.0)
    assert "Keys of programs go on working" in site.stranger().get(f"/reset/{token}").text
    with site.context.database.write() as session:
        reset_password(session, token, PASSWORD)
    assert {one.get("/api/v1/jobs").status_code for one in programs} == {200}
    browser = site.browser()
    assert "Revoke all keys" in browser.get("/account").text
    assert browser.post("/account/keys/end").status_code == 303
    assert {one.get("/api/v1/jobs").status_code for one in programs} == {401}


def test_no_mail_is_promised_where_none_is_sent(site: Any) -> None:
    site.user(role="admin")
    browser = site.browser()
    page, admin = (browser.get(path).text for path in ("/analyses/advise", "/admin"))
    assert "Send a mail" not in page
    assert "No mail server is set" in admin
    sent = browser.upload(("map.csv", b"x,y,value\n1,2,3\n")).headers["location"]
    form = {"file": sent.partition("file=")[2], "mail": "1"}
    job = browser.post("/analyses/advise", form).headers["location"]
    assert "a mail tells" not in browser.get(job).text
    settings = site.context.settings
    site.context.settings = settings.model_copy(update={"smtp_host": "localhost"})
    assert "Send a mail" in browser.get("/analyses/advise").text
    assert "a mail tells" in browser.get(job).text
    assert "No mail server is set" not in browser.get("/admin").text
