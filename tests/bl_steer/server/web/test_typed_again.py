"""A form that is refused is shown again as it was filled in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from bl_steer.server.jobs.leases import Produced
from bl_steer.server.jobs.queue import finish
from bl_steer.server.packages import review
from bl_steer.server.packages.archive import build_archive
from bl_steer.server.packages.template import write_template
from tests.bl_steer.server.segmented import GREY, PHASES, png, uploaded


def filled(page: str) -> dict[str, str]:
    """Return what stands in the boxes of a page by their ids; ticks and choices as ``on``."""
    boxes = {}
    for box in re.findall(r"<(?:input|option)[^>]*>", page):
        parts = dict(re.findall(r'([\w-]+)="([^"]*)"', box))
        is_on = re.search(r" (checked|selected)>", box) is not None
        is_choice = parts.get("type") == "checkbox" or box.startswith("<option")
        key = parts.get("id") or f"option {parts.get('value')}"
        boxes[key] = ("on" if is_on else "") if is_choice else parts.get("value", "")
    return boxes


def test_the_forms_of_accounts_and_groups_keep_what_was_typed(site: Any) -> None:
    site.user(role="admin")
    browser = site.browser()
    key = {"name": "lab <1>", "scope:packages:write": "1", "days": "0"}
    boxes = filled(browser.post("/account/keys", key).text)
    assert (boxes["key-name"], boxes["key-days"]) == ("lab &lt;1&gt;", "0")
    ticked = {name for name, value in boxes.items() if name.startswith("scope-") and value}
    assert len(ticked) == 1
    ticked = {n for n, value in filled(browser.get("/account").text).items() if value == "on"}
    assert len({name for name in ticked if name.startswith("scope-")}) > 1, "of an empty form"

    account = {"email": "new@example.org", "name": "N", "password": "x", "role": "reviewer"}
    answer = browser.post("/admin/users", account)
    boxes = filled(answer.text)
    assert (answer.status_code, boxes["new-email"], boxes["new-name"]) == (
        422,
        account["email"],
        "N",
    )
    assert boxes["new-password"] == boxes["invite-email"] == ""
    assert '<option value="reviewer" selected>' in answer.text.partition('id="new-role"')[2]
    answer = browser.post("/admin/invitations", {"email": "nobody", "role": "admin"})
    boxes = filled(answer.text)
    assert (answer.status_code, boxes["invite-email"], boxes["new-email"]) == (422, "nobody", "")
    assert '<option value="admin" selected>' in answer.text.partition('id="invite-role"')[2][:400]

    answer = browser.post("/groups", {"name": "g" * 101, "submission": "1"})
    assert (answer.status_code, filled(answer.text)["name"]) == (422, "g" * 101)


def test_a_refused_upload_keeps_the_specimen_and_whether_it_may_train(site: Any) -> None:
    site.user()
    browser = site.browser()
    assert filled(browser.get("/").text)["may_train"] == "on"
    for ticks in ({}, {"may_train": "1"}):
        answer = browser.post(
            "/files", {"sample": "film 3", **ticks}, files=[("files", ("a.exe", b"MZ"))]
        )
        assert answer.status_code == 415
        boxes = filled(answer.text)
        assert (boxes["sample"], boxes["may_train"]) == ("film 3", "on" if ticks else "")


def test_a_refused_mask_keeps_its_image_and_a_refused_decision_its_comment(
    site: Any, tmp_path: Path
) -> None:
    author = site.user(role="reviewer")
    browser = site.browser()
    ids = [uploaded(browser, f"{n}.png", png(GREY)) for n in range(2)]
    made = browser.post("/analyses/segment", {"file": ids, "p.pixel_size_nm": "10"})
    assert made.status_code == 303, made.text
    lease, produced = site.take(), Produced("d" * 64, (), {"phases": PHASES}, [])
    with site.context.database.write() as session:
        assert finish(session, lease, produced, address=site.address)
    job = made.headers["location"]
    answer = browser.post(f"{job}/masks", {"image": ids[1]}, files=[("other", ("x", b""))])
    assert answer.status_code == 422
    boxes = filled(answer.text)
    assert [boxes[f"option {one}"] for one in ids] == ["", "on"]

    write_template(tmp_path / "mine", author="A. Author")
    (tmp_path / "mine" / "tests" / "two-halves.expected.json").write_text("{}")
    build_archive(tmp_path / "mine", tmp_path / "mine.zip")
    with (tmp_path / "mine.zip").open("rb") as archive, site.context.database.write() as session:
        package = review.submit(session, site.context.packages.take_in(archive), author)
        page = f"/packages/{package.sha256}"
    answer = browser.post(page, {"deed": "approve", "comment": "read <all> of it"})
    assert answer.status_code == 422
    assert ">read &lt;all&gt; of it</textarea>" in answer.text


def test_a_name_of_an_account_that_is_changed_loses_what_nobody_sees(site: Any) -> None:
    site.user()
    browser = site.browser()
    browser.post("/account", {"name": " A\u202ebc\t7\u200b "})
    assert filled(browser.get("/account").text)["name"] == "Abc 7"
