"""Starting an analysis by its form: once, with all that it needs, and with a way back."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
import pytest
import tifffile
from sqlalchemy import func, select

from bl_steer.server.db.tables import Job, Worker
from bl_steer.server.jobs.queue import cancel

TABLE = ("map.csv", b"x,y,value\n1,2,3\n2,3,4\n")
SUBMISSION = re.compile(r'name="submission" value="([^"]+)"')
PASSWORD = "correct horse battery"


def jobs(site: Any) -> int:
    with site.context.database.read() as session:
        return session.scalar(select(func.count()).select_from(Job)) or 0


def upload(browser: Any, name: str, content: bytes) -> str:
    sent = browser.upload((name, content))
    assert sent.status_code == 303, sent.text
    return str(sent.headers["location"]).partition("file=")[2]


def test_a_form_that_is_sent_twice_starts_one_job_and_changed_another(site: Any) -> None:
    site.user()
    browser = site.browser()
    file = upload(browser, *TABLE)
    page = browser.get(f"/analyses/advise?file={file}")
    assert "no-store" not in page.headers["cache-control"]  # so that Back shows this very form
    form = {"file": file, "submission": SUBMISSION.findall(page.text)[0], "p.n_points": "3"}
    first, again = (browser.post("/analyses/advise", form) for _ in range(2))
    assert first.headers["location"] == again.headers["location"]
    assert jobs(site) == 1
    changed = browser.post("/analyses/advise", {**form, "p.n_points": "4"})
    assert changed.headers["location"] != first.headers["location"]
    assert jobs(site) == 2
    fresh = SUBMISSION.findall(browser.get(f"/analyses/advise?file={file}").text)[0]
    browser.post("/analyses/advise", {**form, "submission": fresh})
    assert jobs(site) == 3


def test_a_form_of_a_cancelled_job_starts_it_again(site: Any) -> None:
    site.user()
    browser = site.browser()
    form = {"file": upload(browser, *TABLE), "submission": "a form"}
    first = browser.post("/analyses/advise", form).headers["location"]
    with site.context.database.write() as session:
        cancel(session, first.rpartition("/")[2])
    again = {browser.post("/analyses/advise", form).headers["location"] for _ in range(2)}
    assert len(again | {first}) == 2


def test_back_and_start_in_a_browser_queues_the_job_once(site: Any, chromium: Any) -> None:
    site.user()
    file = upload(site.browser(), *TABLE)
    page = chromium.new_context(locale="en-GB").new_page()
    page.goto(f"{site.address}/sign-in?next=/analyses/advise?file={file}")
    page.fill("#email", "ann@example.org")
    page.fill("#password", PASSWORD)
    page.click("button.main")
    page.click("text=Start")
    page.wait_for_url("**/jobs/*")
    first = page.url
    page.go_back()
    page.click("text=Start")
    page.wait_for_url("**/jobs/*")
    assert page.url == first
    assert jobs(site) == 1
    page.context.close()


def labels(**tags: Any) -> bytes:
    stack = np.random.default_rng(1).integers(0, 3, (4, 16, 16)).astype(np.uint8)
    file = io.BytesIO()
    if tags:
        tifffile.imwrite(file, stack, **tags)
    else:
        np.save(file, stack)
    return file.getvalue()


PLAIN = {"photometric": "minisblack"}
OURS = '{"voxel_nm": "100,10,10"}'
IMAGEJ = {"imagej": True, "resolution": (0.1, 0.1), "metadata": {"spacing": 100.0, "unit": "nm"}}


@pytest.mark.parametrize(
    ("name", "content", "asked"),
    [
        ("labels.npy", labels(), True),
        ("labels.tif", labels(**PLAIN), True),
        ("labels.tif", labels(**IMAGEJ), False),
        ("labels.tif", labels(**IMAGEJ, byteorder=">"), False),
        ("labels.tif", labels(**PLAIN, bigtiff=True, description=OURS), False),
    ],
    ids=["npy", "silent tiff", "imagej", "big endian", "bigtiff"],
)
def test_a_voxel_that_no_file_says_is_asked_for_before_the_queue(
    site: Any, name: str, content: bytes, asked: bool
) -> None:
    user = site.user()
    browser, program = site.browser(), site.program(user)
    file = upload(browser, name, content)
    answer = browser.post("/analyses/structure", {"file": file})
    sent = program.post("/api/v1/jobs", json={"analysis": "structure", "files": [file]})
    if not asked:
        assert (answer.status_code, sent.status_code) == (303, 201)
        return
    assert (answer.status_code, sent.status_code) == (422, 422)
    assert f"{name} does not say it; please give it." in answer.text
    assert "voxel_size_nm" in sent.json()["message"]
    assert jobs(site) == 0
    given = {"file": file, "p.voxel_size_nm": "100, 10, 10"}
    assert browser.post("/analyses/structure", given).status_code == 303


@pytest.mark.parametrize("analysis", ["superres", "reconstruct"])
def test_slices_need_their_distance_and_pixels(site: Any, analysis: str) -> None:
    site.user()
    browser = site.browser()
    file = upload(browser, "slices.npy", labels())
    answer = browser.post(f"/analyses/{analysis}", {"file": file, "p.pixel_size_nm": "10"})
    assert answer.status_code == 422
    assert answer.text.count("slices.npy does not say it") == 1


def test_a_waiting_job_says_its_place_and_when_it_begins_and_a_form_leads_back(site: Any) -> None:
    site.user()
    browser = site.browser()
    file = upload(browser, *TABLE)
    done = browser.post("/analyses/advise", {"file": file}).headers["location"]
    job_id = site.finish({"a.csv": b"a\n1\n"})
    with site.context.database.write() as session:
        job = session.get_one(Job, job_id)
        job.started = (job.finished or 0.0) - 40.0
    ids = [browser.post("/analyses/advise", {"file": file}).headers["location"] for _ in range(2)]
    assert "No worker is heard of" in browser.get(ids[1]).text
    with site.context.database.write() as session:
        session.add(Worker(name="w", seen=session.get_one(Job, job_id).finished or 0.0))
    page, next_page = browser.get(ids[1]).text, browser.get(f"{ids[0]}/progress").text
    assert "1 ahead of it. It begins in about 40 s. Such an analysis takes about 40 s." in page
    assert "It is next. Such an analysis takes about 40 s." in next_page
    again = browser.get(f"/analyses/advise?again={job_id}").text
    assert f'<a href="{done}">What was run before</a>' in again


def test_files_are_taken_as_they_were_uploaded_however_a_page_lists_them(site: Any) -> None:
    user = site.user()
    browser = site.browser()
    light = [np.full((4, 4), grey, np.uint8) for grey in (200, 20)]
    images = [io.BytesIO(), io.BytesIO()]
    for image, grey in zip(images, light, strict=True):
        tifffile.imwrite(image, grey)
    names = ("z_bright.tif", "a_dark.tif")
    sent = [upload(browser, name, one.getvalue()) for name, one in zip(names, images, strict=True)]
    newest_first = "&".join(f"file={one}" for one in reversed(sent))
    listed = re.compile(r'type="checkbox" id="file-\d" name="file" value="([^"]+)"')
    for query in ("", f"?{newest_first}", f"?file={sent[1]}"):
        page = browser.get(f"/analyses/segment{query}").text
        assert listed.findall(page) == sent, query
        assert "uploaded first comes first" in page
    assert f"file={sent[0]}&amp;file={sent[1]}" in browser.get(f"/analyses?{newest_first}").text
    started = browser.post("/analyses/segment", {"file": sent[::-1]}).headers["location"]
    assert site.job(started.rpartition("/")[2]).upload_ids == sent
    # A program may say another order, which an analysis that is run again keeps.
    asked = {"analysis": "segment", "files": sent[::-1]}
    job = site.program(user).post("/api/v1/jobs", json=asked).json()["id"]
    page = browser.get(f"/analyses/segment?again={job}").text
    assert listed.findall(page) == sent[::-1]
    again = browser.post("/analyses/segment", {"file": sent[::-1], "parent": job})
    assert site.job(again.headers["location"].rpartition("/")[2]).upload_ids == sent[::-1]
