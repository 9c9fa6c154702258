"""Corrected masks, from the result page and by the API, become pairs to train on."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import select

from bl_steer.server.client import Client, ServerError
from bl_steer.server.db.tables import AuditRecord, Correction, Snapshot
from bl_steer.server.jobs.leases import Output, Produced
from bl_steer.server.jobs.queue import finish
from bl_steer.server.retraining.pairs import training_pairs
from bl_steer.server.sandbox.run import sandbox_problem
from bl_steer.server.uploads.uploads import uploads_of
from tests.bl_steer.files.annotations import written as w

pytestmark = pytest.mark.skipif(bool(sandbox_problem()), reason=sandbox_problem() or "-")

PHASES = [
    {"name": "matrix", "paint": None, "show": [0, 0, 0]},
    {"name": "pore", "paint": [255, 0, 0], "show": [213, 94, 0]},
]


def png(array: Any) -> bytes:
    place = io.BytesIO()
    Image.fromarray(array).save(place, format="PNG")
    return place.getvalue()


GREY = np.random.default_rng(0).integers(60, 200, (24, 32)).astype(np.uint8)
LABELS = np.zeros((24, 32), np.uint8)
LABELS[4:12, 4:20] = 1
PAINTED = np.repeat(GREY[..., None], 3, axis=2)
PAINTED[LABELS == 1] = (255, 0, 0)
GREEN = PAINTED.copy()
GREEN[LABELS == 1] = (0, 255, 0)


def segmented(site: Any, browser: Any, **ticks: str) -> tuple[str, str]:
    """Upload a micrograph and segment it as a worker does; return the ids of job and file."""
    sent = browser.upload(("断面.png", png(GREY)), sample="film 3", **ticks)
    upload_id = sent.headers["location"].partition("file=")[2]
    made = browser.post("/analyses/segment", {"file": upload_id, "pixel_size_nm": "10"})
    assert made.status_code == 303, made.text
    lease = site.take()
    sha256, size = site.context.store.put(iter([b"phase\n"]))
    output = Output("fractions.csv", "table", sha256, size, "text/csv")
    produced = Produced("d" * 64, (), {"phases": PHASES}, [output])
    with site.context.database.write() as session:
        assert finish(session, lease, produced, address=site.address)
    return lease.job_id, upload_id


def give(browser: Any, job_id: str, name: str, content: bytes, image: str = "") -> Any:
    files = [("files", (name, content))]
    return browser.post(f"/jobs/{job_id}/masks", {"image": image}, files=files)


def pairs(site: Any) -> list[tuple[str, str]]:
    with site.context.database.read() as session:
        return [(one.image_id, one.mask_id) for one in training_pairs(session)]


def test_a_mask_from_the_result_page_makes_a_pair_and_a_wrong_one_is_explained(site: Any) -> None:
    site.user()
    browser = site.browser()
    job_id, upload_id = segmented(site, browser)
    page = browser.get(f"/jobs/{job_id}").text
    assert "Give a corrected mask" in page
    assert "pore · RGB 255, 0, 0" in page

    small = give(browser, job_id, "m.png", png(PAINTED[:, :30]), upload_id)
    assert small.status_code == 422
    assert "must have the size of 断面.png, 32 × 24 pixels, got 30 × 24" in small.text
    green = give(browser, job_id, "m.png", png(GREEN), upload_id)
    assert green.status_code == 422
    assert "matrix –, pore (255, 0, 0)" in green.text
    assert "(0, 255, 0)" in green.text
    broken = give(browser, job_id, "m.png", png(PAINTED)[:200], upload_id)
    assert broken.status_code == 422
    assert "m.png" in broken.text
    assert "PNG that is cut off" in broken.text
    table = give(browser, job_id, "points.csv", b"x,y\n1,2\n", upload_id)
    assert table.status_code == 422
    assert "points.csv must be a TIFF" in table.text
    assert pairs(site) == []

    given = give(browser, job_id, "m.png", png(PAINTED), upload_id)
    assert given.status_code == 200, given.text
    ((image_id, mask_id),) = pairs(site)
    assert image_id == upload_id
    with site.context.database.read() as session:
        (pair,) = training_pairs(session)
    assert pair.sample.endswith("/film 3")
    with site.context.store.open(pair.mask) as file:
        assert file.read() == png(PAINTED)
    browser.post(f"/files/{mask_id}/training", {"may_train": ""})
    assert pairs(site) == [], "what was given can be taken back"


def test_a_program_gives_labels_and_hears_in_its_language(site: Any, tmp_path: Path) -> None:
    user = site.user()
    job_id, upload_id = segmented(site, site.browser())
    good, bad = tmp_path / "labels.png", tmp_path / "small.png"
    good.write_bytes(png(LABELS))
    bad.write_bytes(png(LABELS[:5]))
    with Client(site.address, site.key(user), language="ja") as server:
        with pytest.raises(ServerError, match="32 × 24 画素") as told:
            server.give_mask(job_id, bad)
        assert told.value.status == 422
        mask_id = server.give_mask(job_id, good)
        assert pairs(site) == [(upload_id, mask_id)]
        small = w.labelme(tmp_path / "small.json", [w.labelme_shape("pore", w.OUTER)], (48, 64))
        with pytest.raises(ServerError, match=r"マスクの大きさ \(48, 64\)（labelme"):
            server.give_mask(job_id, small)
        with pytest.raises(ServerError) as told:
            server.give_mask(job_id, good, image="another")
        assert told.value.status == 404


def test_outlines_of_a_tool_are_a_mask_and_how_they_were_read_is_said(
    site: Any, tmp_path: Path
) -> None:
    user = site.user()
    browser = site.browser()
    job_id, upload_id = segmented(site, browser)
    said = "Pixels in no outline are matrix"
    outlines = w.labelme(tmp_path / "m.json", [w.labelme_shape("pore", w.OUTER)]).read_bytes()
    given = give(browser, job_id, "m.json", outlines, upload_id)
    assert given.status_code == 200, given.text
    assert f"<li>{said}" in given.text
    roi = w.polygon_roi("pore", w.OUTER).tobytes()
    answer = site.program(user).post(
        f"/api/v1/jobs/{job_id}/masks", params={"file_name": "m.roi"}, content=roi
    )
    assert answer.status_code == 201, answer.text
    assert answer.json()["notes"][0].startswith(said)
    many = w.coco(
        tmp_path / "c.json", [("pore", [np.ravel(w.OUTER).tolist()])], images=["断面.png", "b.png"]
    )
    given = give(browser, job_id, "c.json", many.read_bytes(), upload_id)
    assert given.status_code == 200, given.text
    assert len(pairs(site)) == 1, "the later one takes the place of the earlier one"


def test_a_later_mask_takes_the_place_of_the_earlier_one_unless_something_holds_that(
    site: Any,
) -> None:
    user = site.user()
    browser = site.browser()
    job_id, upload_id = segmented(site, browser)

    def files() -> list[str]:
        with site.context.database.read() as session:
            return [one.id for one in uploads_of(session, user.id)[0] if one.id != upload_id]

    assert "takes the place" not in give(browser, job_id, "m.png", png(PAINTED), upload_id).text
    (first,) = files()
    told = give(browser, job_id, "m.png", png(LABELS), upload_id).text
    assert "takes the place of the one that you gave before, which is deleted" in told
    (second,) = files()
    assert second != first
    assert pairs(site) == [(upload_id, second)]
    with site.context.database.read() as session:
        assert len(session.scalars(select(Correction)).all()) == 2, "who gave what, and when"
        events = select(AuditRecord).where(AuditRecord.object == first)
        assert [one.action for one in session.scalars(events)] == ["file delete"]

    manifest = {"pairs": [{"image_id": upload_id, "mask_id": second}]}
    with site.context.database.write() as session:  # as a retraining on a slow clock takes it
        session.add(Snapshot(sha256="5" * 64, manifest=manifest, created=time.time() - 600.0))
    answer = site.program(user, "files:write", "jobs:write").post(
        f"/api/v1/jobs/{job_id}/masks",
        params={"file_name": "n.png"},
        content=png(LABELS),
        headers={"Accept-Language": "ja"},
    )
    assert answer.status_code == 201, answer.text
    assert "ファイルに残ります" in answer.json()["notes"][-1]
    assert set(files()) == {second, answer.json()["id"]}
    made = browser.post("/analyses/structure", {"file": files()[0], "p.voxel_size_nm": "9,9,9"})
    assert made.status_code == 303, made.text
    give(browser, job_id, "o.png", png(LABELS), upload_id)
    assert len(files()) == 3, "a job is of one, a training of another"


def test_only_micrographs_that_are_for_training_and_finished_segmentations_take_masks(
    site: Any,
) -> None:
    site.user(language="ja")
    browser = site.browser()
    job_id, upload_id = segmented(site, browser)
    assert "修正したマスクを提供する" in browser.get(f"/jobs/{job_id}").text
    browser.post(f"/files/{upload_id}/training", {"may_train": ""})
    answer = give(browser, job_id, "m.png", png(PAINTED), upload_id)
    assert answer.status_code == 409
    assert "断面.png は学習用になっていません" in answer.text
    browser.upload(("a.csv", b"x,y,value\n1,2,3\n"))
    other = browser.upload(("a.csv", b"x,y,value\n1,2,3\n")).headers["location"]
    browser.post("/analyses/advise", {"file": other.partition("file=")[2]})
    done = site.finish({"a.csv": b"a\n1\n"})
    assert give(browser, done, "m.png", png(PAINTED)).status_code == 409
    assert "修正したマスク" not in browser.get(f"/jobs/{done}").text
    unsigned = browser.client.post(
        f"/jobs/{job_id}/masks", data={"csrf": "x"}, files=[("files", ("m.png", png(PAINTED)))]
    )
    assert unsigned.status_code == 403
    assert pairs(site) == []
