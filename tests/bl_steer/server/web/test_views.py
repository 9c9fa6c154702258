"""What the viewer asks for: sizes, tiles and values of files and results, of odd shapes too."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bl_steer.server.sandbox.run import sandbox_problem
from tests.bl_steer.server.segmented import GREY, LABELS, npy, png, segmented, tiff, uploaded

pytestmark = pytest.mark.skipif(bool(sandbox_problem()), reason=sandbox_problem() or "-")


def test_a_result_is_looked_at_over_its_image_with_masks_and_other_results_beside_it(
    site: Any,
) -> None:
    site.user(language="ja")
    browser = site.browser()
    upload_id = uploaded(browser, "断面.png", png(GREY), sample="試料 3")
    first, second = (segmented(site, browser, upload_id) for _ in range(2))
    scene = browser.get(f"/jobs/{first}/views/field_000").json()
    assert scene["sizes"] == [[32, 24]]
    assert scene["pixel_nm"] == 10.0
    roles = {layer["role"]: layer for layer in scene["layers"]}
    assert set(roles) == {"image", "labels", "uncertainty"}
    assert [phase["name"] for phase in roles["labels"]["phases"]] == ["matrix", "pore"]
    assert [other["address"] for other in scene["others"]] == [f"/jobs/{second}/views/field_000"]

    tile = browser.get(f"{roles['labels']['address']}/tiles/0/1/0/0?phase=1")
    assert tile.headers["content-type"] == "image/png"
    shown = np.asarray(Image.open(io.BytesIO(tile.content)).convert("RGBA"))
    assert np.array_equal(shown[..., 3] == 255, LABELS == 1)
    grey = browser.get(f"{roles['image']['address']}/values/0/0/0").content
    assert np.array_equal(np.frombuffer(grey, np.uint8).reshape(24, 32), GREY)
    unsure = browser.get(f"{roles['uncertainty']['address']}/values/0/0/0").content
    assert set(np.frombuffer(unsure, np.float32)) == {np.float32(0.25)}

    given = browser.post(f"/jobs/{first}/masks", files=[("files", ("m.png", png(LABELS)))])
    assert given.status_code == 200, given.text
    layers = browser.get(f"/jobs/{first}/views/field_000").json()["layers"]
    (truth,) = (layer for layer in layers if layer["role"] == "truth")
    mask = browser.get(f"{truth['address']}/values/0/0/0").content
    assert np.array_equal(np.frombuffer(mask, np.uint8).reshape(24, 32), LABELS)

    page = browser.get(f"/jobs/{first}").text
    assert f'data-scene="/jobs/{first}/views/field_000"' in page
    browser.post(f"/files/{upload_id}/delete")
    left = browser.get(f"/jobs/{first}/views/field_000").json()["layers"]
    assert [layer["role"] for layer in left] == ["labels", "uncertainty"]


def test_labels_of_another_size_than_their_image_are_left_out(site: Any) -> None:
    site.user()
    browser = site.browser()
    job = segmented(site, browser, uploaded(browser, "a.png", png(GREY)), LABELS[:9])
    layers = browser.get(f"/jobs/{job}/views/field_000").json()["layers"]
    assert [layer["role"] for layer in layers] == ["image", "uncertainty"]


@pytest.mark.parametrize(
    ("name", "content", "status"),
    [
        ("thin.tif", tiff(np.arange(3000, dtype=np.uint16).reshape(3, 1, 1000)), 200),
        ("nan.npy", npy(np.full((4, 5), np.nan)), 200),
        ("four.npy", npy(np.zeros((2, 3, 4, 5))), 422),
        ("table.csv", b"x,y,value\n1,2,3\n", 422),
    ],
)
def test_a_file_of_any_shape_is_shown_or_refused_in_words(
    site: Any, name: str, content: bytes, status: int
) -> None:
    site.user()
    browser = site.browser()
    upload_id = uploaded(browser, name, content)
    assert browser.get(f"/files/{upload_id}/view").status_code == 200
    answer = browser.get(f"/files/{upload_id}/layers")
    assert answer.status_code == status, answer.text
    tile = f"/files/{upload_id}/layers/image/tiles"
    assert browser.get(f"{tile}/0/1/0/0").status_code == status
    for wrong in ("99/1/0/0", "0/1/99/0", "-1/1/0/0", "0/3/0/0"):
        assert browser.get(f"{tile}/{wrong}").status_code in (404, 422)
    if status == 422:
        assert name in answer.json()["message"] or "shape" in answer.json()["message"]
