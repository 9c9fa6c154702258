"""Japanese pages in all states hold no English sentence, but for what somebody wrote in English."""

from __future__ import annotations

import html
import re
import shutil
import time
from collections.abc import Iterator
from typing import Any

import pytest

from bl_steer.server.auth.groups import make_group, share_result
from bl_steer.server.db.tables import Job, Package, Retraining, Snapshot, User
from bl_steer.server.jobs.queue import fail
from bl_steer.server.jobs.shares import share_job
from bl_steer.server.packages.manifest import read_source
from bl_steer.server.packages.template import write_template
from tests.bl_steer.server.segmented import GREY, png, segmented, uploaded

SENTENCE = re.compile(r"[A-Za-z][\w'’-]*(?:[ ,;:]+[a-zA-Z][\w'’-]*){3,}")
HIDDEN = re.compile(r"<(script|style|pre|code|svg|title)\b.*?</\1>", re.DOTALL)
POINTS = b"x,y,value\n0,0,1\n1,0,2\n0,1,3\n1,1,5\n"
WARNINGS = (
    "field_000: the image is not finite in .01% of its 900 pixels.",
    "Columns without numbers left out: 'time'.",
    "the last 9 rows of film.png look like a data bar, and are counted as phases: give bar_px=9, "
    "or crop the image above it",
    "the model is in doubt about film.png: its mean uncertainty is 3.1 times the limit that the 9 "
    "held out in training give for that size, and there is no interval; other conditions, or what "
    "was not trained, may be the cause: look at the label maps",
)
FAILED = (
    "a snapshot must hold what may still be used, got 2 pairs withdrawn or deleted since "
    "bbbbbbbbbbbb… was taken; take a new one",
    "its time ran out: no word",
    "its process died: a retraining must have pairs of each part, got none to train and hold-out "
    "(a.png: mask must be painted, got no pixel of pore (255, 0, 0); paint some); collect more",
)
PROBLEMS = (
    "tables.fractions.columns.share[0] must be 0.2, got 0.3",
    "arrays.labels must be absent",
    "the tests must run to their end, but its memory ran out (status 9)",
    "tests/a.json must hold the expected output; look at what was found, then run 'bl-steer "
    "package test --accept'",
)


def english_in(page: str) -> list[str]:
    """The sentences of a page in English, of what somebody reads."""
    shown = html.unescape(re.sub(r"<[^>]+>", "\n", HIDDEN.sub("\n", page)))
    return [found[0] for found in SENTENCE.finditer(shown)]


@pytest.fixture(scope="module")
def site(site_module: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with site_module.running_site(tmp_path_factory.mktemp("server")) as running:
        running.user(role="admin", language="ja")
        yield running


@pytest.fixture(scope="module")
def paths(site: Any) -> dict[str, str]:
    """Pages in all states, by what they show."""
    browser, context = site.browser(), site.context
    image = uploaded(browser, "film.png", png(GREY), sample="Film 7")
    points = uploaded(browser, "points.csv", POINTS)
    done = segmented(site, browser, image)
    browser.post("/analyses/advise", {"file": points})
    lease = site.take()
    source = context.settings.folder / "grains"
    write_template(source, author="bench")
    manifest = read_source(source)
    shutil.copytree(source, context.settings.folder / "packages" / ("a" * 64))
    with context.database.write() as session:
        message = "a table must have rows, got a header alone in points.csv"
        assert fail(session, lease, "input", message)
        session.get_one(Job, done).warnings = list(WARNINGS)
        user = session.get_one(User, session.get_one(Job, done).user_id)
        tests = [{"name": "a", "problems": list(PROBLEMS), "warnings": [], "duration_s": 1.0}]
        report = {"check": {"problems": ["not begun"], "tests": tests}, "inspection": {}}
        session.add(
            Package(
                sha256="a" * 64,
                name=manifest.name,
                version="1.0.0",
                author_id=user.id,
                state="draft",
                manifest=manifest.model_dump(mode="json"),
                report=report,
            )
        )
        session.add(Snapshot(sha256="b" * 64, manifest={"pairs": []}))
        session.flush()
        for number, message in enumerate(FAILED):
            made = time.time() + number
            values = {"champion": "fibsem", "state": "failed", "message": message}
            session.add(Retraining(snapshot_sha256="b" * 64, created=made, **values))
        group = make_group(session, user, "Film group")
        share_result(session, user, session.get_one(Job, done), group.id)
        _, link = share_job(session, user, session.get_one(Job, done), days=3)
    browser.post("/analyses/advise", {"file": points})
    waiting = re.findall(r'href="/jobs/([0-9a-f-]{36})"', browser.get("/jobs").text)[0]
    named = {
        "result": f"/jobs/{done}",
        "failed job": f"/jobs/{lease.job_id}",
        "waiting job": f"/jobs/{waiting}",
        "painting": f"/jobs/{done}/paint/field_000",
        "package": f"/packages/{'a' * 64}",
        "shared result": f"/s/{link}",
        "file": f"/files/{image}/view",
        "group": f"/groups/{group.id}",
        "sharing": f"/sharing?file={image}",
        "nothing": "/nothing",
        "one account": f"/admin/users/{user.id}",
    }
    named |= {f"form of {name}": f"/analyses/{name}?file={image}" for name in ("segment", "film")}
    plain = ("/", "/files", "/analyses", "/jobs", "/training", "/account", "/api", "/packages")
    plain += ("/groups", "/admin", "/admin/users", "/admin/access", "/admin/audit")
    return named | {path: path for path in plain}


def test_no_page_holds_an_english_sentence(site: Any, paths: dict[str, str]) -> None:
    browser = site.browser()
    found = {name: english_in(browser.get(path).text) for name, path in paths.items()}
    found["painting"].remove("v b f e a")  # keys of the keyboard
    assert {name: said for name, said in found.items() if said} == {}


def test_failed_retrainings_and_tests_of_packages_say_why_in_japanese(
    site: Any, paths: dict[str, str]
) -> None:
    browser = site.browser()
    training, package = (browser.get(path).text for path in ("/training", paths["package"]))
    assert (
        "学習用・選択用・比較用のそれぞれに組が必要ですが、学習用、比較用の組がありません"
        in training
    )
    assert "その後取り下げられたか削除された組が 2 組あります" in training
    assert "制限時間を超えました：メッセージなし" in training
    assert "tables.fractions.columns.share[0] が期待と異なります（期待：0.2、結果：0.3）" in package
    assert "メモリの制限を超えました（終了状態 9）" in package
    assert "実行されていません" in package
    failed = browser.get(paths["failed job"]).text
    assert "表 points.csv には見出し行しかありません" in failed


def test_a_file_that_cannot_be_read_is_told_in_japanese(site: Any, paths: dict[str, str]) -> None:
    browser = site.browser()
    mask = png(GREY)[:-20]
    answer = browser.post(f"{paths['result']}/masks", files=[("files", ("mask.png", mask))])
    assert answer.status_code in (200, 422)
    assert english_in(answer.text) == []
    answer = browser.upload(("broken.tif", b"II*\0\xff\xff\0\0"))
    assert english_in(answer.text) == []
