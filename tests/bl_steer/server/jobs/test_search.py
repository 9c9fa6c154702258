"""The history is searched by words, days, state and analysis, page by page, in any language."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

import pytest

from bl_steer.server.auth.groups import make_group, share_result
from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import Job, Upload, User
from bl_steer.server.jobs import queue, search
from bl_steer.server.jobs.history import jobs_of
from tests.bl_steer.server.segmented import uploaded

FILES = {
    "a": ("Film_7 top.tif", "Film 7"),
    "b": ("film_7 100%.tif", ""),
    "c": ("断面.tif", "試料３"),
    "d": ("other.csv", "Film 7"),
}
JOBS = {  # files, and the day on which each was submitted
    "both": (("a", "b"), 1),
    "japanese": (("c",), 2),
    "table": (("d",), 3),
    "again": (("a",), 4),
}


@pytest.fixture
def filled(database: Database) -> dict[str, str]:
    with database.write() as session:
        session.add_all([User(id="u", email="u@x"), User(id="v", email="v@x")])
        session.flush()
        for user in "uv":
            for key, (name, sample) in FILES.items():
                row = {"file_name": name, "sample": sample, "sha256": "s", "size": 1}
                session.add(Upload(id=user + key, user_id=user, **row))
        session.flush()
        made = {}
        for name, (files, day) in JOBS.items():
            for user in "uv":
                made[user + name] = queue.submit(
                    session,
                    user_id=user,
                    analysis="advise" if name == "table" else "segment",
                    params={},
                    upload_ids=[user + key for key in files],
                    now=86_400.0 * day,
                ).id
        session.get_one(Job, made["uagain"]).state = "done"
    return made


@pytest.mark.parametrize("walks", [False, True])
@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"words": "film"}, ["again", "table", "both"]),
        ({"words": "FILM tif"}, ["again", "both"]),
        ({"words": "film_7 top"}, ["again", "both"]),
        ({"words": "100%"}, ["both"]),
        ({"words": "100_"}, []),
        ({"words": "断面 試料"}, ["japanese"]),
        ({"words": "試料3"}, ["japanese"]),
        ({"words": "ＦＩＬＭ＿７\u3000ｔｏｐ"}, ["again", "both"]),
        ({"words": "断面 film"}, []),
        ({"words": "film", "state": "done"}, ["again"]),
        ({"words": "film", "analysis": "advise"}, ["table"]),
        ({"words": "film", "since": 2 * 86_400.0, "until": 4 * 86_400.0}, ["table"]),
        ({"since": 2 * 86_400.0}, ["again", "table", "japanese"]),
        ({"until": 2 * 86_400.0}, ["both"]),
        ({"words": "  "}, ["again", "table", "japanese", "both"]),
    ],
)
def test_jobs_are_found_by_the_words_of_one_file_and_by_all_filters_at_once(
    database: Database,
    filled: dict[str, str],
    asked: dict[str, Any],
    found: Sequence[str],
    walks: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if walks:
        monkeypatch.setattr(search, "MOST_JOBS", 0)
    names = {job_id: name for name, job_id in filled.items()}
    with database.read() as session:
        assert [names[job.id] for job in jobs_of(session, "u", **asked).jobs] == [
            f"u{name}" for name in found
        ]


def test_names_are_found_however_they_were_typed(
    database: Database, filled: dict[str, str]
) -> None:
    whole = "データ Größe.csv"
    apart = unicodedata.normalize("NFD", whole)
    assert apart != whole
    with database.write() as session:
        session.add(Upload(id="m", user_id="u", file_name=apart, sha256="s", size=1))
        session.flush()
        more: Any = {"params": {}, "upload_ids": ["m"], "now": 1e9}
        job = queue.submit(session, user_id="u", analysis="advise", **more)
        for words in (whole, apart, "ﾃﾞｰﾀ", "GRÖSSE"):
            assert [one.id for one in jobs_of(session, "u", words=words).jobs] == [job.id]


@pytest.mark.parametrize("walks", [False, True])
def test_pages_of_what_is_found_hold_all_of_it_once_and_those_of_a_group_what_is_shared(
    database: Database, filled: dict[str, str], walks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if walks:
        monkeypatch.setattr(search, "MOST_FILES", 0)
    with database.write() as session:
        for number in range(7):  # two of each time
            at = 86_400.0 * (10 + number // 2)
            more = {"params": {}, "upload_ids": ["ua"], "now": at}
            queue.submit(session, user_id="u", analysis="segment", **more)
    pages, before = [], None
    with database.read() as session:
        while not pages or before is not None:
            page = jobs_of(session, "u", words="film top", before=before, limit=2)
            pages.append([job.id for job in page.jobs])
            before = page.next_before
        assert all(2 <= len(ids) <= 3 for ids in pages[:-1])
        shown = [job_id for ids in pages for job_id in ids]
        assert len(shown) == len(set(shown)) == 9
    with database.write() as session:
        user = session.get_one(User, "v")
        group = make_group(session, user, "lab")
        share_result(session, user, session.get_one(Job, filled["vtable"]), group.id)
        seen = jobs_of(session, "u", words="film", group_id=group.id)
        assert [job.id for job in seen.jobs] == [filled["vtable"]]
        assert not jobs_of(session, "u", words="断面", group_id=group.id).jobs


@pytest.mark.parametrize(("language", "label"), [("en", "File or specimen"), ("ja", "試料名")])
def test_the_page_and_the_api_search_and_the_next_page_keeps_what_was_asked(
    site: Any, language: str, label: str
) -> None:
    user = site.user(language=language)
    browser, program = site.browser(), site.program(user)
    file = uploaded(browser, "測定 7.csv", b"x,y,value\n1,2,3\n", sample="Film & 7")
    other = uploaded(browser, "other.csv", b"x,y,value\n1,2,3\n")
    with site.context.database.write() as session:
        for number in range(30):
            queue.submit(
                session,
                user_id=user.id,
                analysis="advise",
                params={},
                upload_ids=[other if number < 3 else file],
                now=1e9 + number,
            )
    asked = {"q": "測定 film &", "since": "2001-09-08", "until": "2001-09-10"}
    page = browser.get("/jobs", params=asked).text
    assert label in page
    assert 'value="測定 film &amp;"' in page
    assert page.count('href="/jobs/') == 25
    older = page.partition('href="/jobs?')[2].partition('"')[0].replace("&amp;", "&")
    assert browser.get(f"/jobs?{older}").text.count('href="/jobs/') == 2
    for nothing in ({"q": "nowhere"}, {"until": "2001-09-01"}, {"since": "2030-01-01"}):
        assert 'href="/jobs/' not in browser.get("/jobs", params=nothing).text
    found = program.get("/api/v1/jobs", params={"q": "other", "analysis": "advise"}).json()
    assert len(found) == 3
    times = {"since": 1e9 + 1, "until": 1e9 + 2}
    assert len(program.get("/api/v1/jobs", params={"q": "other", **times}).json()) == 1


def test_days_are_those_of_the_readers_zone_and_moments_of_programs_say_theirs(site: Any) -> None:
    user = site.user()
    browser, program = site.browser(), site.program(user)
    file = uploaded(browser, "late.csv", b"x,y,value\n1,2,3\n")
    at = 1_796_034_720.0  # 2026-11-30 10:32 UTC, 2026-12-01 00:32 on Kiritimati
    with site.context.database.write() as session:
        more: Any = {"params": {}, "upload_ids": [file], "now": at}
        queue.submit(session, user_id=user.id, analysis="advise", **more)
    day = {"since": "2026-12-01", "until": "2026-12-01"}
    there = browser.get("/jobs", params={**day, "zone": "Pacific/Kiritimati"}).text
    assert 'href="/jobs/' in there
    assert "Days of the zone Pacific/Kiritimati" in there
    here = browser.get("/jobs", params={**day, "zone": "../etc/passwd"}).text
    assert 'href="/jobs/' not in here
    assert "Nothing was found" in here
    assert "Days of the zone" in browser.get("/jobs").text
    for since, until in (
        (at, at + 1),
        ("2026-12-01T00:32+14:00", "2026-11-30T10:32:01Z"),
        ("2026-11-30T10:32Z", None),
    ):
        asked = {"since": since, **({"until": until} if until else {})}
        assert len(program.get("/api/v1/jobs", params=asked).json()) == 1
    assert len(program.get("/api/v1/jobs?since=2026-12-01T00:32+14:00").json()) == 1
    assert not program.get("/api/v1/jobs", params={"until": "2026-12-01T00:32+14:00"}).json()


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"since": "2026-02-30"}, "since"),
        ({"until": "abc"}, "until"),
        ({"until": "9999-12-31"}, "until"),
        ({"since": "nan"}, "since"),
        ({"until": "inf"}, "until"),
        ({"since": "2026-12-01T00:00"}, "since"),
        ({"state": "bogus"}, "queued, running, done, failed, cancelled"),
        ({"analysis": "bogus"}, "segment"),
        ({"before": "nan"}, "before"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_value_and_lists_nothing(
    site: Any, asked: dict[str, str], named: str
) -> None:
    user = site.user()
    browser = site.browser()
    (value,) = asked.values()
    answer = site.program(user).get("/api/v1/jobs", params=asked)
    assert answer.status_code == 422
    assert named in answer.json()["message"]
    page = browser.get("/jobs", params=asked)
    assert page.status_code == 422
    if "before" not in asked:
        assert value in answer.json()["message"]
        assert f"got {value}" in page.text
        assert 'role="alert"' in page.text
