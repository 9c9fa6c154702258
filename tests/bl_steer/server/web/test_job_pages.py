from __future__ import annotations

import re
import time
from typing import Any

import pytest
from sqlalchemy import select

from bl_steer.server.db.tables import Job
from bl_steer.server.jobs.shares import shares_of
from bl_steer.stages import STAGES, Stages

TABLE = b"x,y,value\n1,2,3\n"


@pytest.fixture
def browser(site: Any) -> Any:
    site.user()
    return site.browser()


def job_of(browser: Any) -> str:
    """Queue a job; return the path of its page."""
    upload = browser.upload(("a.csv", TABLE)).headers["location"]
    made = browser.post("/analyses/advise", {"file": upload.partition("file=")[2]})
    return str(made.headers["location"])


def links_of(site: Any, path: str) -> int:
    with site.context.database.read() as session:
        return len(shares_of(session, path.rpartition("/")[2]))


def test_a_new_link_is_shown_once_where_the_browser_lands_and_no_reload_makes_another(
    site: Any, browser: Any
) -> None:
    path = job_of(browser)
    site.finish({"t.csv": b"a\n1\n"})
    answer = browser.post(f"{path}/shares", {"days": "2"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"{path}#share")
    panel = browser.get(path).text.partition('id="share"')[2]
    link = re.search(r'value="(http[^"]*/s/[^"]*)"', panel)
    assert link is not None
    assert site.stranger().get(link[1]).status_code == 200
    assert "share-link" not in browser.get(path).text
    again = browser.get(f"{path}/shares")
    assert (again.status_code, again.headers["location"]) == (303, f"{path}#share")
    assert links_of(site, path) == 1


@pytest.mark.parametrize("days", ["soon", "0", "400", "", "nan"])
def test_a_wrong_number_of_days_is_told_beside_its_box(site: Any, browser: Any, days: str) -> None:
    path = job_of(browser)
    site.finish({"t.csv": b"a\n1\n"})
    answer = browser.post(f"{path}/shares", {"days": days})
    panel = answer.text.partition('id="share"')[2]
    assert answer.status_code == 422
    assert f"Days must be a positive number, at most 365, got &#39;{days}&#39;" in panel
    assert f'value="{days}"' in panel
    assert links_of(site, path) == 0


def test_progress_brings_the_state_for_the_top_of_its_page(site: Any, browser: Any) -> None:
    path = job_of(browser)
    assert 'id="state" class="state state-queued">' in browser.get(path).text
    site.take()
    part = browser.get(f"{path}/progress").text
    assert 'id="state" class="state state-running" hx-swap-oob="true">' in part


def test_a_running_job_names_its_stage_its_share_and_the_time_that_is_left(
    site: Any, browser: Any
) -> None:
    path = job_of(browser)
    site.take()
    told: list[tuple[int, int]] = []
    expected = {"align": 1.0, "learn": 2.0, "measure": 1.0}
    learn = Stages(STAGES["reconstruct"], expected, lambda *step: told.append(step)).of("learn")
    assert learn is not None
    learn(1, 2)
    with site.context.database.write() as session:
        job = session.scalars(select(Job)).one()
        job.analysis, job.progress_done, job.progress_total = "reconstruct", *told[-1]
        job.started = time.time() - 600
    part = browser.get(f"{path}/progress").text
    assert "3 of 6: training the super-resolution networks, 50 % of all." in part
    assert re.search(r"About (9 min 59|10 min \d+) s left\.", part), part
    browser.post("/language", {"language": "ja"})
    assert "6 段階中 3：超解像ネットワークの学習" in browser.get(f"{path}/progress").text


def test_a_japanese_page_names_tables_columns_and_reasons_the_first_tables_first(
    site: Any, browser: Any
) -> None:
    path = job_of(browser)
    tables = {"areas.csv": b"phase_a,area_um2,own\nA,1.5,b\n", "chords.csv": b"phase\nA\n"}
    tables["volumes.csv"] = b"reason\nimprove\n"
    site.finish(tables)
    browser.post("/language", {"language": "ja"})
    page = browser.get(path).text
    assert re.findall("<h2>(体積|界面積|弦長)</h2>", page) == ["体積", "界面積", "弦長"]
    assert '<th scope="col" class="number" title="area_um2">面積 (µm²)</th>' in page
    assert '<th scope="col" title="own">Own</th>' in page
    assert "<td>予測より良い値が期待できる</td>" in page


def test_a_form_lists_the_chosen_files_and_the_latest_few_with_a_link_to_all(browser: Any) -> None:
    where = [browser.upload((f"n{count}.csv", TABLE)).headers["location"] for count in range(7)]
    page = browser.get("/analyses/advise").text
    assert re.findall(r">(n\d\.csv) <", page) == [f"n{count}.csv" for count in (2, 3, 4, 5, 6)]
    link = '<a href="/files">Choose from all your files</a>'
    assert link in page
    page = browser.get("/analyses/advise", params=[("file", where[0].partition("=")[2])]).text
    assert re.findall(r">(n\d\.csv) <", page)[:2] == ["n0.csv", "n2.csv"]
    assert re.findall(r"checked><label[^>]*>(\S+) <", page) == ["n0.csv"]
    for path in where[:2]:
        browser.post(f"/files/{path.partition('=')[2]}/delete")
    assert link not in browser.get("/analyses/advise").text


def test_warnings_name_what_the_form_calls_a_parameter(site: Any, browser: Any) -> None:
    path = job_of(browser)
    site.finish({"t.csv": b"a\n1\n"}, warnings=("too few; give n_points=3",))
    assert "too few; give “Points to suggest” = 3" in browser.get(path).text
