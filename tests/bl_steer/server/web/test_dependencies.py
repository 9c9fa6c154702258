from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def browser(site: Any) -> Any:
    site.user()
    return site.browser()


@pytest.mark.parametrize("before", ["yesterday", "nan"])
def test_a_page_before_no_time_is_refused_with_the_form_of_one(browser: Any, before: str) -> None:
    answer = browser.get("/files", params={"before": before})
    assert answer.status_code == 422
    assert before in answer.text


@pytest.mark.parametrize("before", ["", "9e9"])
def test_a_page_of_a_list_begins_at_the_newest_where_no_time_is_given(
    browser: Any, before: str
) -> None:
    browser.upload(("a.csv", b"x,y,value\n1,2,3\n"))
    answer = browser.get("/files", params={"before": before})
    assert answer.status_code == 200
    assert "a.csv" in answer.text


def test_a_page_before_a_time_leaves_out_what_is_newer(browser: Any) -> None:
    browser.upload(("a.csv", b"x,y,value\n1,2,3\n"))
    assert "a.csv" not in browser.get("/files", params={"before": "1"}).text


@pytest.mark.parametrize("path", ["/files", "/jobs", "/account", "/analyses/segment"])
def test_a_stranger_is_sent_to_sign_in_and_back(site: Any, path: str) -> None:
    answer = site.stranger().get(path)
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/sign-in?next=%2F{path[1:].replace('/', '%2F')}"
