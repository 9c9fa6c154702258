"""Open registration tells nobody whether an address has an account."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sqlalchemy import select

from bl_steer.server.db.tables import Invitation, OutgoingMail, User
from bl_steer.server.mail.passwords import MOST_AN_HOUR, body_to_send

PASSWORD = "correct horse battery"


def answers(site: Any, **form: str) -> dict[str, tuple[int, str, str]]:
    """Return what registering says of an address with an account, and of one without."""
    said = {}
    for email in ("ann@example.org", "new@example.org"):
        sent = site.stranger().post("/register", data={"email": email, **form})
        text = sent.text.replace(email, "…")
        said[email] = (sent.status_code, sent.headers.get("location", ""), text)
    return said


def test_by_mail_all_addresses_are_answered_alike_and_the_link_makes_one_account(
    site_module: Any, tmp_path: Path
) -> None:
    asked = {"registration": True, "smtp_host": "127.0.0.1"}
    with site_module.running_site(tmp_path / "mail", **asked) as site:
        site.user()
        for _ in range(MOST_AN_HOUR + 1):
            known, new = answers(site).values()
            assert known == new
            assert "is on its way" in known[2]
        assert site.stranger().post("/register", data={"email": "no address"}).status_code == 422
        with site.context.database.write() as session:
            mails = list(session.scalars(select(OutgoingMail).order_by(OutgoingMail.created)))
            assert len(mails) == 2 * MOST_AN_HOUR
            assert session.scalars(select(Invitation)).all() == []
            bodies = {
                mail.recipient: body_to_send(session, mail, address=site.address) for mail in mails
            }
        assert f"{site.address}/reset" in bodies["ann@example.org"]
        link = re.search(r"http\S+/join/\S+", bodies["new@example.org"])
        assert link is not None
        visitor = site.stranger()
        form = {"email": "other@example.org", "password": PASSWORD}
        assert visitor.post(link[0], data=form).headers["location"] == "/"
        assert site.stranger().get(link[0]).status_code == 404
        with site.context.database.read() as session:
            emails = set(session.scalars(select(User.email)))
        assert emails == {"ann@example.org", "new@example.org"}


def test_without_mail_all_addresses_are_answered_alike_too(
    site_module: Any, tmp_path: Path
) -> None:
    with site_module.running_site(tmp_path / "none", registration=True) as site:
        site.user()
        known, new = answers(site, password="another long one").values()
        assert known == new
        assert known[:2] == (303, "/sign-in?note=registered")
        page = site.stranger().get(known[1]).text
        assert "it has one now" in page
        form = {"email": "new@example.org", "password": "another long one"}
        assert site.stranger().post("/sign-in", data=form).headers["location"] == "/"
        form["email"] = "ann@example.org"
        assert site.stranger().post("/sign-in", data=form).status_code == 401
        short = site.stranger().post("/register", data={"email": "x@example.org", "password": "s"})
        assert short.status_code == 422
