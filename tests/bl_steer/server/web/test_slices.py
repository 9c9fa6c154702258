"""Slices of a stack: chosen, painted, and kept as pairs of one image and one mask."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from sqlalchemy import select

from bl_steer import files
from bl_steer.server.db.tables import Correction, Upload
from bl_steer.server.jobs.leases import Output, Produced
from bl_steer.server.jobs.queue import finish
from bl_steer.server.retraining.pairs import training_pairs
from bl_steer.server.sandbox.run import sandbox_problem
from tests.bl_steer.server.segmented import LABELS, PHASES, npy, png, tiff, uploaded
from tests.bl_steer.server.web.test_viewer import signed_in

pytestmark = pytest.mark.skipif(bool(sandbox_problem()), reason=sandbox_problem() or "-")

STACK = np.random.default_rng(3).integers(0, 250, (3, 24, 32)).astype(np.uint8)


def done(site: Any, browser: Any, analysis: str, upload_id: str, **arrays: Any) -> str:
    """Finish an analysis of a stack with these arrays as a worker does; return the job's id."""
    fields = {"p.pixel_size_nm": "10", "p.pitch_nm": "10", "file": upload_id}
    made = browser.post(f"/analyses/{analysis}", fields)
    assert made.status_code == 303, made.text
    lease = site.take()
    outputs = []
    for name, array in arrays.items():
        sha256, size = site.context.store.put(iter([tiff(array)]))
        outputs.append(Output(f"{name}.tif", "array", sha256, size, "image/tiff"))
    numbered = [name.removesuffix("_labels") for name in arrays if name.startswith("field")]
    provenance = {
        "phases": PHASES,
        "origins": {name: [0, page] for page, name in enumerate(numbered)},
        "mean_uncertainty": {name: 0.2 + page / 10 for page, name in enumerate(numbered)},
    }
    with site.context.database.write() as session:
        produced = Produced("d" * 64, (), provenance, outputs)
        assert finish(session, lease, produced, address=site.address)
    return str(lease.job_id)


def stored(site: Any, upload_id: str) -> bytes:
    with site.context.database.read() as session:
        sha256 = session.get_one(Upload, upload_id).sha256
    with site.context.store.open(sha256) as file:
        return bytes(file.read())


def test_a_slice_is_chosen_with_the_slider_painted_and_saved_as_a_pair(
    site: Any, chromium: Any, tmp_path: Path
) -> None:
    site.user()
    browser = site.browser()
    upload_id = uploaded(browser, "wedge.npy", npy(STACK), sample="Film 7")
    labels = np.stack([LABELS] * 3)
    job = done(site, browser, "reconstruct", upload_id, slices=STACK, labels=labels)
    page, errors = signed_in(chromium, site, f"/jobs/{job}", locale="en-GB")
    page.wait_for_selector(".scale:visible")
    page.locator(".slice").fill("2")
    page.click(".to-paint")
    page.wait_for_url("**/paint/slices?plane=2")
    page.wait_for_selector("#save:enabled")
    assert "slice 3" in page.inner_text(".about")
    assert not page.is_visible(".slice")
    page.locator(".openseadragon-canvas").first.focus()
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    page.click("#save")
    page.wait_for_selector("#paint-saved:visible")
    assert errors == []
    with site.context.database.read() as session:
        (pair,) = training_pairs(session)
        assert pair.image_name == "wedge_slice_0003.tif"
        assert pair.sample.endswith("/Film 7")
    path = tmp_path / "slice.tif"
    path.write_bytes(stored(site, pair.image_id))
    read = files.read_micrographs(path)
    assert np.array_equal(read.fields[0], STACK[2])
    assert read.pixel_size_nm == 10
    mask = np.asarray(Image.open(io.BytesIO(stored(site, pair.mask_id))))[..., 0]
    assert mask[12, 16] == 1
    assert (mask[:4] == LABELS[:4]).all()
    assert "wedge_slice_0003.tif" in browser.get("/training").text


def test_each_page_of_a_file_waits_to_be_painted_and_is_cut_out_once(site: Any) -> None:
    site.user()
    browser = site.browser()
    content = io.BytesIO()
    tifffile.imwrite(content, STACK[:2], photometric="minisblack")
    upload_id = uploaded(browser, "two.tif", content.getvalue(), sample="Film 8")
    arrays = {f"field_00{page}_labels": LABELS for page in range(2)}
    job = done(site, browser, "segment", upload_id, **arrays)
    queue = browser.get("/training").text
    first, second = (queue.index(f"/jobs/{job}/paint/field_00{page}") for page in (1, 0))
    assert first < second, "the less sure one comes first"
    painted = LABELS.copy()
    painted[0] = 1
    for _ in range(2):
        sent = browser.post(
            f"/jobs/{job}/masks",
            {"view": "field_001"},
            files=[("files", ("m.png", png(painted)))],
        )
        assert sent.status_code == 200, sent.text
    with site.context.database.read() as session:
        images = set(session.scalars(select(Correction.image_id)))
        (image,) = (session.get_one(Upload, key) for key in images)
    assert (image.file_name, image.cut_of) == ("two_slice_0002.tif", f"{upload_id}#1")
    queue = browser.get("/training").text.partition("Your pairs")[0]
    assert f"/jobs/{job}/paint/field_000" in queue
    assert f"/jobs/{job}/paint/field_001" not in queue
    scene = browser.get(f"/jobs/{job}/views/field_001").json()
    given = [one["address"] for one in scene["layers"] if one["role"] == "truth"]
    assert len(given) == 1, "the later mask takes the place of the earlier one"
    (beside,) = given
    values = np.frombuffer(browser.get(f"{beside}/values/0/0/0").content, np.uint8)
    assert np.array_equal(values.reshape(painted.shape), painted)
