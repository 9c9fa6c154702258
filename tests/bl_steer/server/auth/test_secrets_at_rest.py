"""Whoever reads the database, a backup or the log gets no way in: only hashes are kept."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from bl_steer.server.auth.accounts import invite
from bl_steer.server.auth.password_resets import link_for
from bl_steer.server.db.tables import OutgoingMail
from bl_steer.server.mail.passwords import body_to_send, post_reset
from bl_steer.server.operations.backup import ROWS, back_up


def test_no_token_link_key_or_password_lies_anywhere(
    site: Any, site_module: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    user = site.user()
    browser = site.browser()
    sent = browser.upload(("p.csv", b"x,y,counts\n1,2,3\n"))
    file = sent.headers["location"].partition("file=")[2]
    made = browser.post("/analyses/advise", {"file": file})
    job_id = site.finish({"t.csv": b"a\n1\n"})
    assert made.headers["location"].endswith(job_id)
    shown = browser.post("/account/keys", {"name": "k", "scope:jobs:read": "on"})
    page = browser.post(f"/jobs/{job_id}/shares", {"days": "3"})
    program = site.program(user)
    with site.context.database.write() as session:
        secrets = {
            "invitation": invite(session, by="a@example.org", email="n@example.org", role="user"),
            "reset": link_for(session, user.email, by="a@example.org"),
        }
        assert post_reset(session, user.email, language="en", address=site.address)
        written = select(OutgoingMail).where(OutgoingMail.reset_user_id == user.id)
        mail = session.scalars(written).one()
        body = body_to_send(session, mail, address=site.address)
    secrets |= {
        "password": site_module.PASSWORD,
        "session": browser.client.cookies["bl_steer_session"],
        "share": page.cookies["bl_steer_new_link"],
        "key": program.headers["authorization"].split()[1],
        "key of the page": re.findall(r"bls_[\w-]{20,}", shown.text)[0],
        "mailed reset": body.partition("/reset/")[2].split()[0],
    }
    stranger = site.stranger()
    assert stranger.get(f"/s/{secrets['share']}").status_code == 200
    assert stranger.get(f"/join/{secrets['invitation']}").status_code == 200
    assert stranger.get(f"/reset/{secrets['mailed reset']}").status_code == 200
    assert program.get("/api/v1/jobs").status_code == 200
    site.context.log.flush()
    back_up(site.context.settings, tmp_path / "backup")
    folder = site.context.settings.folder
    kept = {path: path.read_bytes() for path in folder.glob("service.db*")}
    kept[Path(ROWS)] = (tmp_path / "backup" / ROWS).read_bytes()
    ours = [one.getMessage() for one in caplog.records if not one.name.startswith("http")]
    kept[Path("log")] = "\n".join(ours).encode()  # without that of the clients in this process
    assert b"ann@example.org" in kept[Path(ROWS)]
    found = [
        (name, path.name)
        for name, secret in secrets.items()
        for path, content in kept.items()
        if secret.encode() in content
    ]
    assert found == []
    assert all(len(secret) >= 20 for secret in secrets.values())
