"""Groups: who sees what is shared with one, who may change it, and that all of it is recorded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import select

from bl_steer.server.auth.closing import close_account
from bl_steer.server.db.audit import broken_link
from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import AuditRecord, Base, Group, User
from bl_steer.server.retraining.pairs import add_correction
from tests.bl_steer.server.segmented import GREY, png, segmented, uploaded


@dataclass
class Lab:
    """Ann shares with Ben, who is in her group; Cy is in another one, Dee in none."""

    site: Any
    browsers: dict[str, Any]
    users: dict[str, User]
    group: str
    other: str
    upload: str
    job: str

    def get(self, who: str, path: str) -> int:
        return int(self.browsers[who].get(path).status_code)


@pytest.fixture(params=["sqlite", "postgresql"])
def lab(request: pytest.FixtureRequest, site_module: Any, tmp_path: Any) -> Iterator[Lab]:
    settings = {}
    if request.param == "postgresql":
        settings["database_url"] = request.getfixturevalue("postgres_url")
        database = Database(settings["database_url"])
        Base.metadata.drop_all(database.engine)
        database.close()
    with site_module.running_site(tmp_path / "service", **settings) as site:
        names = ("ann", "ben", "cy", "dee")
        users = {name: site.user(f"{name}@example.org", name=name.title()) for name in names}
        users["root"] = site.user("root@example.org", role="admin")
        browsers = {name: site.browser(user.email) for name, user in users.items()}
        groups = {}
        for maker, member in (("ann", "ben"), ("cy", "root")):
            made = browsers[maker].post("/groups", {"name": f"{maker}'s"})
            groups[maker] = made.headers["location"].rpartition("/")[2]
            path = f"/groups/{groups[maker]}/members"
            assert browsers[maker].post(path, {"email": users[member].email}).status_code == 303
        upload = uploaded(browsers["ann"], "film.png", png(GREY), sample="Film 1")
        job = segmented(site, browsers["ann"], upload)
        yield Lab(site, browsers, users, groups["ann"], groups["cy"], upload, job)


def pages(lab: Lab) -> list[str]:
    file, job = f"/files/{lab.upload}", f"/jobs/{lab.job}"
    view = f"{job}/views/field_000"
    return [
        *(file, f"{file}/view", f"{file}/layers", f"{file}/layers/image/values/0/0/0"),
        *(job, f"{job}/outputs/field_000_labels.tif", f"{job}/all.zip", view),
        f"{view}/labels/tiles/0/1/0/0?phase=1",
        f"{view}/image/values/0/0/0",
    ]


def test_members_see_what_is_shared_and_nobody_else_and_nobody_changes_it(lab: Lab) -> None:
    for who in ("ben", "cy", "dee", "root"):
        assert {lab.get(who, path) for path in pages(lab)} == {404}, who
    shared = {"group": lab.group, "file": lab.upload, "job": lab.job}
    assert lab.browsers["ann"].get(f"/sharing?file={lab.upload}").status_code == 200
    assert lab.browsers["ann"].post("/sharing", shared).status_code == 303
    for who, status in (("ann", 200), ("ben", 200), ("cy", 404), ("dee", 404), ("root", 404)):
        assert {path: lab.get(who, path) for path in pages(lab)} == dict.fromkeys(
            pages(lab), status
        ), who
    ben = lab.browsers["ben"]
    mask = uploaded(lab.browsers["ann"], "mask.png", png(GREY))
    assert lab.get("ben", f"/files/{mask}") == 404
    with lab.site.context.database.write() as session:
        add_correction(session, lab.upload, mask, session.get_one(User, lab.users["ann"].id))
    assert lab.get("ben", f"/files/{mask}") == 200, "a mask goes with its micrograph"
    assert "mask.png" in ben.get("/training").text
    assert "mask.png" not in lab.browsers["dee"].get("/training").text
    for kind, thing in (("files", "film.png"), ("jobs", f"/jobs/{lab.job}")):
        listed = ben.get(f"/{kind}?group={lab.group}").text
        assert thing in listed
        assert "Ann" in listed
        assert thing not in ben.get(f"/{kind}").text
        for who in ("cy", "root"):
            assert lab.get(who, f"/{kind}?group={lab.group}") == 404
    page = ben.get(f"/jobs/{lab.job}").text
    assert "Shared by Ann" in page
    words = ("Share the result", "Give a corrected mask", "Run again", f"/files/{lab.upload}")
    assert [word for word in words if word in page] == []
    scene = ben.get(f"/jobs/{lab.job}/views/field_000").json()
    assert (scene["paint"], scene["others"]) == ("", [])
    deeds = (
        *((f"/files/{lab.upload}/{deed}", {}) for deed in ("delete", "training")),
        *((f"/jobs/{lab.job}/{deed}", {"days": "3"}) for deed in ("cancel", "shares")),
        ("/analyses/segment", {"file": lab.upload}),
        ("/sharing", shared),
        (f"/groups/{lab.group}/unshare", {"file": lab.upload}),
    )
    assert {path: ben.post(path, data).status_code for path, data in deeds} == {
        path: 404 for path, _ in deeds
    }
    assert lab.get("ben", f"/jobs/{lab.job}/paint/field_000") == 404
    assert lab.get("ben", f"/analyses/segment?again={lab.job}") == 404
    assert lab.browsers["ann"].post(f"/groups/{lab.group}/unshare", {"job": lab.job}).is_redirect
    assert lab.get("ben", f"/jobs/{lab.job}") == 404
    assert lab.get("ben", f"/files/{lab.upload}") == 200


def test_managers_and_administrators_change_members_and_a_leaver_takes_its_things(
    lab: Lab,
) -> None:
    ann, ben, root = (lab.browsers[who] for who in ("ann", "ben", "root"))
    path = f"/groups/{lab.group}"
    assert ben.post(f"{path}/members", {"email": "dee@example.org"}).status_code == 403
    assert lab.get("dee", path) == 404
    assert lab.browsers["dee"].post("/sharing", {"group": lab.group}).status_code == 303
    assert root.post(f"{path}/members", {"email": "dee@example.org"}).status_code == 303
    unknown = ann.post(f"{path}/members", {"email": "nobody@example.org"})
    assert unknown.status_code == 422
    assert "nobody@example.org" in unknown.text
    theirs = uploaded(ben, "ben.csv", b"x,y,value\n1,2,3\n")
    assert ben.post("/sharing", {"group": lab.group, "file": theirs}).status_code == 303
    assert lab.get("dee", f"/files/{theirs}") == 200
    ids = {name: user.id for name, user in lab.users.items()}
    assert lab.browsers["dee"].post(f"{path}/members/{ids['ben']}/remove").status_code == 403
    assert ben.post(f"{path}/members/{ids['ben']}/remove").headers["location"] == "/groups"
    assert lab.get("dee", f"/files/{theirs}") == 404
    # Whoever stays longest manages it; without members it is no more.
    assert ann.post(f"{path}/members/{ids['ann']}/remove").is_redirect
    assert "Remove" not in lab.browsers["dee"].get(path).text
    assert lab.browsers["dee"].post(f"{path}/members", {"email": "ben@example.org"}).is_redirect
    for name in ("ben", "dee"):
        lab.browsers["dee"].post(f"{path}/members/{ids[name]}/remove")
    assert root.get(path).status_code == 404
    with lab.site.context.database.read() as session:
        actions = list(session.scalars(select(AuditRecord.action).order_by(AuditRecord.id)))
        assert [action for action in actions if action.startswith("group")][-8:] == [
            *("group add", "group share", "group remove", "group remove", "group add"),
            *("group remove", "group remove", "group end"),
        ]
        assert broken_link(session) is None


@pytest.mark.parametrize("lab", ["sqlite"], indirect=True)
def test_a_closed_account_sees_nothing_and_is_marked_and_an_heir_inside_goes_on_sharing(
    lab: Lab,
) -> None:
    lab.browsers["ann"].post("/sharing", {"group": lab.group, "file": lab.upload})
    root, ben = lab.browsers["root"], lab.browsers["ben"]
    root.post(f"/groups/{lab.group}/members", {"email": "dee@example.org"})
    with lab.site.context.database.write() as session:
        root = session.get_one(User, lab.users["root"].id)
        close_account(session, lab.users["ann"].id, by=root, heir="dee@example.org")
    assert lab.get("ben", f"/files/{lab.upload}") == 200
    assert lab.get("dee", f"/files/{lab.upload}") == 200
    assert lab.get("ann", f"/files/{lab.upload}") == 303
    assert ben.get(f"/groups/{lab.group}").text.count("account closed") == 1
    program = lab.site.program(lab.users["ben"], "jobs:read")
    members = program.get(f"/api/v1/groups/{lab.group}").json()["members"]
    assert [one["email"] for one in members if one["closed"]] == ["ann@example.org"]
    dee = lab.browsers["dee"]
    page = dee.get(f"/files/{lab.upload}/view").text
    assert "Stop sharing" in page
    stop = {"file": lab.upload, "back": "1"}
    stopped = dee.post(f"/groups/{lab.group}/unshare", stop)
    assert stopped.headers["location"] == f"/files/{lab.upload}/view"
    assert lab.get("ben", f"/files/{lab.upload}") == 404


@pytest.mark.parametrize("lab", ["sqlite"], indirect=True)
def test_what_goes_to_an_heir_outside_a_group_is_shared_with_it_no_more(lab: Lab) -> None:
    shared = {"group": lab.group, "file": lab.upload, "job": lab.job}
    lab.browsers["ann"].post("/sharing", shared)
    assert "Stop sharing" in lab.browsers["ann"].get(f"/jobs/{lab.job}").text
    with lab.site.context.database.write() as session:
        root = session.get_one(User, lab.users["root"].id)
        close_account(session, lab.users["ann"].id, by=root)
    assert lab.get("ben", f"/jobs/{lab.job}") == 200, "what is not handed over stays"
    with lab.site.context.database.write() as session:
        root = session.get_one(User, lab.users["root"].id)
        close_account(session, lab.users["ann"].id, by=root, heir="dee@example.org")
    for path in (f"/files/{lab.upload}", f"/jobs/{lab.job}"):
        assert (lab.get("ben", path), lab.get("dee", path)) == (404, 200)
    with lab.site.context.database.read() as session:
        last = session.scalars(select(AuditRecord).order_by(AuditRecord.id.desc())).first()
        assert last is not None
        assert last.detail["unshared"] == 2


@pytest.mark.parametrize("lab", ["sqlite"], indirect=True)
def test_programs_do_what_the_pages_do(lab: Lab) -> None:
    ann, ben, dee = (lab.site.program(lab.users[who]) for who in ("ann", "ben", "dee"))
    path = f"/api/v1/groups/{lab.group}"
    assert [one["name"] for one in ann.get("/api/v1/groups").json()] == ["ann's"]
    members = ann.get(path).json()["members"]
    assert [(one["email"], one["manages"]) for one in members] == [
        ("ann@example.org", True),
        ("ben@example.org", False),
    ]
    assert ben.get(f"/api/v1/files/{lab.upload}").status_code == 404
    for kind, key in (("files", lab.upload), ("jobs", lab.job)):
        assert ann.put(f"{path}/{kind}/{key}").status_code == 204
        assert [one["id"] for one in ben.get(f"/api/v1/{kind}?group={lab.group}").json()] == [key]
        assert ben.get(f"/api/v1/{kind}/{key}").status_code == 200
        assert dee.get(f"/api/v1/{kind}/{key}").status_code == 404
        assert dee.get(f"/api/v1/{kind}?group={lab.group}").status_code == 404
        assert ben.delete(f"{path}/{kind}/{key}").status_code == 404
    assert ben.get(f"/api/v1/jobs/{lab.job}/outputs/field_000_labels.tif").status_code == 200
    assert ben.delete(f"/api/v1/files/{lab.upload}").status_code == 404
    assert ann.delete(f"{path}/jobs/{lab.job}").status_code == 204
    assert ben.get(f"/api/v1/jobs/{lab.job}").status_code == 404
    made = dee.post("/api/v1/groups", json={"name": "dee's"})
    assert made.status_code == 201
    own = f"/api/v1/groups/{made.json()['id']}"
    added = dee.post(f"{own}/members", json={"email": "ben@example.org"})
    assert added.status_code == 201
    assert dee.delete(f"{own}/members/{added.json()['id']}").status_code == 204
    assert lab.site.program(lab.users["dee"], "jobs:read").delete(own).status_code == 403
    assert dee.delete(own).status_code == 204
    with lab.site.context.database.read() as session:
        assert session.get(Group, made.json()["id"]) is None


def test_a_shared_result_brings_its_images_and_no_masks(lab: Lab) -> None:
    mask = uploaded(lab.browsers["ann"], "mask.png", png(GREY // 200))
    with lab.site.context.database.write() as session:
        add_correction(session, lab.upload, mask, session.get_one(User, lab.users["ann"].id))
    lab.browsers["ann"].post("/sharing", {"group": lab.group, "job": lab.job})
    view = f"/jobs/{lab.job}/views/field_000"
    layer = f"{view}/truth-{mask}"
    for path in (f"{layer}/values/0/0/0", f"{layer}/tiles/0/1/0/0?phase=1"):
        assert (lab.get("ann", path), lab.get("ben", path)) == (200, 404), path
    assert lab.get("ben", f"{view}/image/values/0/0/0") == 200
    assert lab.get("ben", f"/files/{mask}") == lab.get("ben", f"/files/{lab.upload}") == 404
