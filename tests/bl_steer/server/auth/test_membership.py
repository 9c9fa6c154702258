"""Being put into a group: it is told and can be left; a form sent twice does it once."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from bl_steer.server.auth.accounts import add_user
from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import Group, GroupMember, OutgoingMail
from bl_steer.server.settings import ServerSettings
from bl_steer.server.web.context import Context
from bl_steer.server.web.routes.groups import made
from tests.bl_steer.server.segmented import uploaded


def test_a_group_that_is_asked_for_twice_at_once_is_made_once(
    database: Database, tmp_path: Path
) -> None:
    url = database.engine.url.render_as_string(hide_password=False)
    context = Context(ServerSettings(folder=tmp_path, database_url=url))
    with database.write() as session:
        ann, ben = (add_user(session, f"{name}@example.org") for name in ("ann", "ben"))
    asked = [(ann, "film", "form 1")] * 4
    asked += [(ann, "film", "form 2"), (ann, "foil", "form 1"), (ben, "film", "form 1")]
    asked += [(ann, "film", "")] * 2
    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(lambda one: made(context, *one).id, asked))
    context.close()
    assert len(set(ids[:4])) == 1
    assert len(set(ids)) == 6
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Group)) == 6
        assert session.scalar(select(func.count()).select_from(GroupMember)) == 6


def test_members_are_told_and_leave_and_groups_of_one_name_are_told_apart_everywhere(
    site_module: Any, tmp_path: Path
) -> None:
    with site_module.running_site(tmp_path / "service", smtp_host="mail.invalid") as site:
        users = {name: site.user(f"{name}@example.org") for name in ("ann", "ben")}
        ann = site.browser("ann@example.org")
        ben = site.browser("ben@example.org", **{"Accept-Language": "ja"})
        form = {"name": "film", "submission": hidden(ann.get("/groups").text, "submission")}
        first, again = (ann.post("/groups", form).headers["location"] for _ in range(2))
        assert first == again
        program = site.program(users["ann"])
        more = {"name": "film", "submission_key": "k"}
        by_key = [program.post("/api/v1/groups", json=more).json()["id"] for _ in range(2)]
        assert by_key[0] == by_key[1] != first.rpartition("/")[2]
        ben.post("/groups", {"name": "Film"})
        # One who is a member already is named on the page.
        for path, status in ((first, 303), (first, 200), (f"/groups/{by_key[0]}", 303)):
            given = ann.post(f"{path}/members", {"email": "ben@example.org"})
            assert given.status_code == status
        with site.context.database.read() as session:
            mails = list(session.scalars(select(OutgoingMail)))
        assert [mail.recipient for mail in mails] == ["ben@example.org"] * 2
        assert f"{site.address}{first}" in mails[0].body
        assert "ann@example.org" in mails[0].body
        assert "グループ" in mails[0].body, "ben, who chose no language, has a Japanese browser"

        names = ["film (ann@example.org)", "film (ann@example.org) – 2", "Film (ben@example.org)"]
        upload = uploaded(ben, "a.csv", b"x,y,value\n1,2,3\n")
        ben.post("/sharing", {"group": first.rpartition("/")[2], "file": upload})
        for path in ("/groups", "/files", "/jobs", f"/sharing?file={upload}"):
            page = ben.get(path).text
            assert [name for name in names if f">{name}<" in page] == names, path
        assert names[0] in ben.get(f"/files/{upload}/view").text
        assert names[1] in ben.get(f"/groups/{by_key[0]}").text

        leave = f"{first}/members/{users['ben'].id}/remove"
        assert f'action="{leave}"' in ben.get("/groups").text
        for _ in range(2):
            assert ben.post(leave).headers["location"] == "/groups"
        assert ben.get(first).status_code == 404


def hidden(page: str, name: str) -> str:
    found = re.search(f'name="{name}" value="([^"]+)"', page)
    assert found is not None
    return found[1]
