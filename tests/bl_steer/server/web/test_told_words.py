"""What pages and programs are told of small mistakes."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

TABLE = b"x,y,value\n0,0,1\n1,0,2\n0,1,3\n1,1,5\n"


@pytest.fixture(scope="module")
def site(site_module: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with site_module.running_site(tmp_path_factory.mktemp("server")) as running:
        running.user(role="admin")
        running.user("bob@example.org")
        yield running


@pytest.fixture(scope="module")
def browser(site: Any) -> Any:
    return site.browser()


def file_id(browser: Any, name: str) -> str:
    location: str = browser.upload((name, TABLE)).headers["location"]
    return location.partition("file=")[2]


def start(browser: Any, **values: Any) -> Any:
    wanted = {"analysis": "advise", **values}
    headers = {"X-CSRF-Token": browser.csrf_token}
    return browser.client.post("/api/v1/jobs", json=wanted, headers=headers)


def test_true_is_no_number_and_a_file_is_given_once(browser: Any) -> None:
    upload = file_id(browser, "once.csv")
    refused = start(browser, files=[upload], params={"pitch": True})
    assert refused.status_code == 422
    assert "Must be a number, got true" in refused.json()["message"]
    refused = start(browser, files={"image": [upload]})
    assert refused.json()["message"].endswith("has one input; give its files as a list.")
    refused = start(browser, files=[upload, upload])
    assert refused.status_code == 422
    assert refused.json()["message"] == "once.csv is given twice; give each file once."
    job = start(browser, files=[upload]).json()["id"]
    headers = {"X-CSRF-Token": browser.csrf_token}
    shares = f"/api/v1/jobs/{job}/shares"
    assert browser.client.post(shares, json={"days": True}, headers=headers).status_code == 422
    assert (
        browser.client.post(shares, json={"days": 2}, headers=headers).status_code == 409
    )  # not done


def test_one_waiting_job_is_told_as_one(site_module: Any, tmp_path: Path) -> None:
    with site_module.running_site(tmp_path) as alone:
        alone.user(role="admin")
        browser = alone.browser()
        upload = file_id(browser, "a.csv")
        for said in ("0 jobs waiting", "1 job waiting", "2 jobs waiting"):
            page = " ".join(re.sub(r"<[^>]+>", " ", browser.get("/admin").text).split())
            assert said in page
            assert "1 open account " in page
            assert start(browser, files=[upload]).status_code == 201


def test_a_member_without_an_address_and_one_that_is_in_already_are_told(browser: Any) -> None:
    group = browser.post("/groups", {"name": "cells"}).headers["location"]
    answer = browser.post(f"{group}/members", {"email": "  "})
    assert answer.status_code == 422
    assert "Give the e-mail address of the account" in answer.text
    assert browser.post(f"{group}/members", {"email": "bob@example.org"}).status_code == 303
    answer = browser.post(f"{group}/members", {"email": "bob@example.org"})
    assert answer.status_code == 200
    assert "bob@example.org is a member already." in answer.text


def test_groups_of_one_name_are_listed_in_the_order_of_their_numbers(browser: Any) -> None:
    for _ in range(5):
        assert browser.post("/groups", {"name": "Twins"}).status_code == 303
    titles = re.findall(r">(Twins \(ann@example.org\)(?: – \d)?)<", browser.get("/groups").text)
    assert titles == ["Twins (ann@example.org)"] + [
        f"Twins (ann@example.org) – {number}" for number in range(2, 6)
    ]


def test_a_history_that_ends_before_it_begins_is_refused(browser: Any) -> None:
    for since, until in (("2026-12-02", "2026-12-01"), ("2026-12-05", "2026-12-01")):
        page = browser.get(f"/jobs?since={since}&until={until}")
        assert page.status_code == 422
        assert f"must not be before the beginning, got {since} to {until}" in page.text
    assert browser.get("/jobs?since=2026-12-01&until=2026-12-01").status_code == 200
    answer = browser.get("/api/v1/jobs?since=20&until=10")
    assert answer.status_code == 422
    assert "got 20 to 10" in answer.json()["message"]


def test_a_deleted_file_is_told_where_jobs_need_it(browser: Any) -> None:
    upload = file_id(browser, "needed.csv")
    needed = "Delete needed.csv? Jobs that wait for their turn need it and would fail: 1."
    assert needed not in browser.get("/files").text
    job = start(browser, files=[upload]).json()["id"]
    assert needed in browser.get("/files").text
    again = f"/analyses/advise?again={job}"
    assert "Deleted since that job" not in browser.get(again).text
    assert browser.post(f"/files/{upload}/delete").status_code == 303
    assert "Deleted since that job: needed.csv." in browser.get(again).text


def test_a_workbook_that_is_cut_off_is_told_as_such(browser: Any) -> None:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>" * 50)
    answer = browser.post("/files", files=[("files", ("t.xlsx", whole.getvalue()[:300]))])
    assert answer.status_code == 422
    assert "cut off" in answer.text
