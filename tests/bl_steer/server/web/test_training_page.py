"""What to paint next, pairs with who and when, and retrainings that are begun from the page."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from bl_steer.server.db.tables import Correction, Job, Retraining
from bl_steer.server.retraining.run import RetrainingFailed, Retrainings
from bl_steer.server.retraining.schedule import open_retraining, start_waiting
from bl_steer.server.retraining.settings import RetrainingSettings
from bl_steer.server.sandbox import run as sandbox
from bl_steer.server.sandbox.run import sandbox_problem
from tests.bl_steer.server.segmented import GREY, LABELS, png, segmented, uploaded, work

pytestmark = pytest.mark.skipif(bool(sandbox_problem()), reason=sandbox_problem() or "-")


def image(number: int) -> bytes:
    return png(np.roll(GREY, number, axis=1))


def give(browser: Any, job_id: str) -> Any:
    return browser.post(f"/jobs/{job_id}/masks", files=[("files", ("m.png", png(LABELS)))])


def test_the_least_sure_field_comes_first_until_it_is_painted(site: Any) -> None:
    site.user(name="Ann")
    site.user("ben@example.org")
    browser = site.browser()
    jobs = {}
    for number, unsure in enumerate((0.2, 0.6, 0.4)):
        upload_id = uploaded(browser, f"{number}.png", image(number), sample=f"film {number}")
        jobs[number] = segmented(site, browser, upload_id, unsure=unsure)
    page = browser.get("/training").text
    order = [page.index(f"film {number}") for number in (1, 2, 0)]
    assert order == sorted(order)
    painting = browser.get(f"/jobs/{jobs[1]}/paint/field_000")
    assert painting.status_code == 200
    assert "Next: film 2" in painting.text
    assert give(browser, jobs[1]).status_code == 200
    queue, _, pairs = browser.get("/training").text.partition("Your pairs")
    assert "film 1" not in queue
    assert "film 1" in pairs
    assert "Ann" in pairs
    others = site.browser("ben@example.org").get("/training").text
    assert "film" not in others
    with site.context.database.read() as session:
        (mask,) = session.scalars(select(Correction.mask_id))
    assert browser.post(f"/files/{mask}/delete").status_code == 303
    queue, _, pairs = browser.get("/training").text.partition("Your pairs")
    assert "film 1" in queue, "whoever deletes a mask may paint another"
    assert "film 1" not in pairs
    assert (
        site.browser("ben@example.org").get(f"/jobs/{jobs[1]}/paint/field_000").status_code == 404
    )


def test_an_image_too_small_to_train_on_is_named_and_not_ranked(site: Any, tmp_path: Path) -> None:
    """Five by five pixels are unsure enough to come first."""
    site.user()
    browser = site.browser()
    for edge, sample in ((5, "chip"), (64, "film")):
        grey = np.random.default_rng(edge).integers(0, 256, (edge, edge)).astype(np.uint8)
        upload_id = uploaded(browser, f"{edge}.png", png(grey), sample=sample)
        browser.post("/analyses/segment", {"file": upload_id, "p.pixel_size_nm": "10"})
        job_id = work(site, tmp_path / sample)
        with site.context.database.write() as session:
            job = session.get_one(Job, job_id)
            job.provenance = {**job.provenance, "mean_uncertainty": {"field_000": 1 / edge}}
    queue, _, _ = browser.get("/training").text.partition("Your pairs")
    rows, _, left_out = queue.partition("Left out")
    assert "film" in rows
    assert "chip" not in rows
    assert "chip (5 × 5 px)" in left_out
    japanese = browser.get("/training", headers={"Accept-Language": "ja"}).text
    assert "除いた画像：" in japanese


def test_a_file_that_is_not_for_training_is_not_offered_to_be_painted(site: Any) -> None:
    site.user(language="ja")
    browser = site.browser()
    upload_id = uploaded(browser, "a.png", png(GREY))
    job = segmented(site, browser, upload_id)
    assert "a.png" in browser.get("/training").text
    browser.post(f"/files/{upload_id}/training", {"may_train": ""})
    assert "待っている画像はありません" in browser.get("/training").text
    page = browser.get(f"/jobs/{job}/paint/field_000").text
    assert '<p><a href="/files">' in page.partition("学習用になっていません")[2][:200]


def test_a_retraining_is_begun_from_the_page_once_there_are_three_specimens(site: Any) -> None:
    site.user()
    browser = site.browser()
    refused = browser.post("/training")
    assert refused.status_code == 409
    assert "too few pairs" in refused.text
    for number in range(3):
        upload_id = uploaded(browser, f"{number}.png", image(number), sample=f"film {number}")
        assert give(browser, segmented(site, browser, upload_id)).status_code == 200
    assert browser.post("/training").status_code == 303
    assert "state-queued" in browser.get("/training").text
    again = browser.post("/training")
    assert again.status_code == 409
    assert "waits or runs already" in again.text

    # It waits for housekeeping, whose process says why it came to nothing: a file was taken back.
    with site.context.database.read() as session:
        given = session.scalars(select(Correction.mask_id)).first()
    browser.post(f"/files/{given}/delete")
    retrainings = Retrainings(site.context.settings, site.context.database)
    assert start_waiting(retrainings) is None, "whoever begins one on the command line goes first"
    process = start_waiting(retrainings, now=time.time() + 10)
    assert process is not None
    process.wait(120)
    with site.context.database.read() as session:
        (row,) = session.scalars(select(Retraining))
        assert row.state == "failed"
        assert "withdrawn or deleted" in row.message
    page = browser.get("/training").text
    assert "withdrawn or deleted" in page
    assert start_waiting(retrainings, now=time.time() + 10) is None


def test_a_retraining_whose_sandbox_cannot_be_set_up_fails_and_another_may_begin(
    site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.user()
    browser = site.browser()
    for number in range(3):
        upload_id = uploaded(browser, f"{number}.png", image(number), sample=f"film {number}")
        give(browser, segmented(site, browser, upload_id))
    monkeypatch.setattr(sandbox, "PAUSES_S", (0.01, 0.01))
    gone = RetrainingSettings(champion=str(site.context.settings.folder / "gone"))
    retrainings = Retrainings(site.context.settings, site.context.database, gone)
    retraining_id = retrainings.begin(actor="test")
    with pytest.raises(RetrainingFailed, match="could not be started"):
        retrainings.carry_out(retraining_id)
    with site.context.database.read() as session:
        row = session.get_one(Retraining, retraining_id)
        assert (row.state, row.package_sha256) == ("failed", None)
        assert open_retraining(session) is None
    assert "Can&#39;t find source path" in browser.get("/training").text
    assert browser.post("/training").status_code == 303


def test_what_a_retraining_came_to_stands_on_the_page_in_both_languages(site: Any) -> None:
    site.user()
    browser = site.browser()
    for number in range(3):
        upload_id = uploaded(browser, f"{number}.png", image(number), sample=f"film {number}")
        give(browser, segmented(site, browser, upload_id))
    browser.post("/training")
    report = {
        "phases": ["matrix", "pore"],
        "hold_out": ["0.png"],
        "comparison": {
            "verdict": "better",
            "champion": [0.71, 0.68, 0.74],
            "candidate": [0.81, 0.78, 0.84],
            "difference": [0.1, 0.06, 0.14],
            "champion_iou": [0.8, None],
            "candidate_iou": [0.9, 0.72],
        },
    }
    with site.context.database.write() as session:
        (row,) = session.scalars(select(Retraining))
        row.state, row.report = "done", report
    english = browser.get("/training").text
    japanese = browser.get("/training", headers={"Accept-Language": "ja"}).text
    for page in (english, japanese):
        assert "0.810" in page
        assert "0.780 – 0.840" in page
        assert f"/training/{row.id}/submit" in page
    alone = browser.post(f"/training/{row.id}/submit")  # nothing was trained in truth
    assert alone.status_code == 409
    assert "cannot be put into review" in alone.text
    assert browser.post("/training/nothing/submit").status_code == 404
    assert "再学習" in japanese


def test_scribbles_on_an_image_label_the_rest_of_it(site: Any) -> None:
    site.user()
    browser = site.browser()
    grey = np.full((48, 64), 70.0)
    grey[:, 32:] = 180
    grey += np.random.default_rng(0).normal(0, 6, grey.shape)
    upload_id = uploaded(browser, "断面.png", png(grey.astype(np.uint8)))
    path = f"/jobs/{segmented(site, browser, upload_id)}/views/field_000/proposal"
    scribbles = np.full(grey.shape, 255, np.uint8)
    scribbles[20:24, 4:12] = 1
    alone = browser.post(path, files=[("files", ("m.png", png(scribbles)))])
    assert alone.status_code == 422
    assert "two phases or more must be painted, got 1" in alone.text
    scribbles[20:24, 50:60] = 0
    sent = browser.post(path, files=[("files", ("m.png", png(scribbles)))])
    assert sent.status_code == 200, sent.text
    labels = np.frombuffer(sent.content, np.uint8).reshape(grey.shape)
    right = np.where(np.arange(64) < 32, 1, 0)
    assert np.mean(labels == right) > 0.95
