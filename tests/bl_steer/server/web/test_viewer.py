"""Upload, segment, look closely, paint a correction and save it in a browser, mouse and touch."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import select

from bl_steer.server.db.tables import Correction, Upload
from bl_steer.server.sandbox.run import sandbox_problem
from tests.bl_steer.server.segmented import png, work

pytestmark = pytest.mark.skipif(bool(sandbox_problem()), reason=sandbox_problem() or "-")

PASSWORD = "correct horse battery"
LONG_MS = 60_000
MIDDLE = """() => {
  const seen = document.querySelector(".pane .openseadragon-canvas canvas");
  const at = [seen.width / 2, seen.height / 2];
  return [...seen.getContext("2d").getImageData(...at, 1, 1).data];
}"""
"""The colour in the middle of the image as it is drawn."""


@dataclass
class Bench:
    """A server with a micrograph that was uploaded and segmented in a browser."""

    site: Any
    job: str
    upload_id: str


def micrograph() -> np.ndarray:
    """Return patches of two grey levels: dark in the left half, bright in the right one."""
    grey = np.full((96, 128), 70.0)
    grey[:, 64:] = 180
    noisy = grey + np.random.default_rng(0).normal(0, 6, grey.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def signed_in(chromium: Any, site: Any, path: str, **context: Any) -> tuple[Any, list[str]]:
    """Return a page, and the errors of its console."""
    errors: list[str] = []
    page = chromium.new_context(**context).new_page()
    page.on("console", lambda one: errors.append(one.text) if one.type == "error" else None)
    page.on("pageerror", lambda one: errors.append(str(one)))
    page.set_default_timeout(LONG_MS)
    page.goto(f"{site.address}/sign-in?next={path}")
    page.fill("#email", "ann@example.org")
    page.fill("#password", PASSWORD)
    page.click("button.main")
    page.wait_for_url(site.address + path)
    return page, errors


@pytest.fixture(scope="module")
def bench(
    chromium: Any, site_module: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("viewer")
    with site_module.running_site(folder / "service") as site:
        site.user()
        page, errors = signed_in(chromium, site, "/", locale="en-GB")
        file = {"name": "film.png", "mimeType": "image/png", "buffer": png(micrograph())}
        page.set_input_files("#files", file)
        page.fill("#sample", "Film 7")
        page.click("button.main")
        page.wait_for_url("**/analyses?file=*")
        page.click("text=Segment micrographs")
        page.fill("[name='p.pixel_size_nm']", "10")
        page.click("button.main")
        page.wait_for_url("**/jobs/*")
        job = work(site, folder / "job")
        page.wait_for_selector(".state-done")
        page.wait_for_selector(".viewer-problem", state="hidden")
        page.wait_for_selector(".scale:visible")
        assert errors == []
        with site.context.database.read() as session:
            upload_id = session.scalars(select(Upload.id)).one()
        yield Bench(site, job, upload_id)


def given_mask(bench: Bench) -> np.ndarray:
    """Return the labels of the mask that was given last."""
    with bench.site.context.database.read() as session:
        latest = select(Correction).order_by(Correction.created.desc()).limit(1)
        correction = session.scalars(latest).one()
        assert correction.image_id == bench.upload_id
        sha256 = session.get_one(Upload, correction.mask_id).sha256
    with bench.site.context.store.open(sha256) as file:
        mask = np.asarray(Image.open(io.BytesIO(file.read())))
    assert (mask[..., :1] == mask[..., :3]).all()
    return np.asarray(mask[..., 0])


def middle_of(page: Any, selector: str) -> tuple[float, float]:
    page.locator(selector).first.scroll_into_view_if_needed()
    box = page.locator(selector).first.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_an_overlay_is_zoomed_faded_and_switched_and_values_stand_under_the_pointer(
    bench: Bench, chromium: Any
) -> None:
    page, errors = signed_in(chromium, bench.site, f"/jobs/{bench.job}", locale="en-GB")
    page.wait_for_selector(".scale:visible")
    x, y = middle_of(page, ".pane .view")
    page.mouse.move(x, y)
    page.wait_for_selector(".readout:has-text('Grey value')")
    told = page.inner_text(".readout")
    assert re.match(r"x 6[34]0 nm, y 4[78]0 nm", told)
    assert any(f"Phase {name}" in told for name in ("oxide", "carbon", "void"))
    assert "Uncertainty" in told

    before = page.inner_text(".scale span")
    for _ in range(4):
        page.mouse.wheel(0, -240)
        page.wait_for_timeout(100)
    page.wait_for_function(
        "before => document.querySelector('.scale span').textContent !== before", arg=before
    )
    page.wait_for_timeout(600)  # the zoom comes to rest
    coloured = page.evaluate(MIDDLE)
    for box in page.locator(".phases input").all():
        box.uncheck()
    page.wait_for_function(f"before => ({MIDDLE})().join() !== before.join()", arg=coloured)
    red, green, blue, _ = page.evaluate(MIDDLE)
    assert red == green == blue, "without its phases the image is grey"
    page.select_option(".beside", "image")
    page.wait_for_function("() => document.querySelectorAll('.scale:not([hidden])').length === 2")
    page.wait_for_timeout(600)
    first, second = page.locator(".scale span").all_inner_texts()
    assert first == second, "both panes show the same place"
    assert errors == []


@pytest.mark.parametrize("width", [1280, 390])
def test_a_correction_is_painted_undone_and_saved_as_a_pair(
    bench: Bench, chromium: Any, width: int
) -> None:
    narrow = width < 500
    context = {"viewport": {"width": width, "height": 844}, "has_touch": narrow}
    locale = "ja-JP" if narrow else "en-GB"
    path = f"/jobs/{bench.job}/paint/field_000"
    page, errors = signed_in(chromium, bench.site, path, locale=locale, **context)
    page.wait_for_selector("#save:enabled")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.click("#clear")
    page.locator("[name=phase][value='2']").check(force=True)
    page.locator("#size").fill("10")
    x, y = middle_of(page, ".pane .view")
    if narrow:
        page.touchscreen.tap(x, y)
    else:
        page.mouse.move(x - 60, y)
        page.mouse.down()
        page.mouse.move(x + 60, y, steps=4)
        page.mouse.up()
    page.click("#undo")
    page.click("#redo")
    page.locator(".pane .openseadragon-canvas").first.focus()
    page.keyboard.press("2")
    page.keyboard.press("[")
    page.keyboard.press("Enter")  # by the keyboard, at the centre
    page.click("#save")
    page.wait_for_selector("#paint-saved:visible")
    mask = given_mask(bench)
    assert mask.shape == (96, 128)
    assert mask[48, 64] == 1, "painted by the keyboard"
    assert (mask == 2).sum() > (10 if narrow else 60)
    assert mask[0, 0] == 255, "what nobody painted is not labelled"
    assert errors == []


def test_the_networks_labels_are_taken_where_one_says_so(bench: Bench, chromium: Any) -> None:
    path = f"/jobs/{bench.job}/paint/field_000"
    page, errors = signed_in(chromium, bench.site, path, locale="en-GB")
    page.wait_for_selector("#save:enabled")
    page.click("#clear")
    page.click("#save")
    page.wait_for_selector("#paint-problem:has-text('Nothing is painted yet')")
    page.click("#suggest")
    page.wait_for_selector("#paint-problem:has-text('Paint a little of two phases')")
    assert not page.is_visible("#paint-saved"), "asked before anything is sent"
    page.keyboard.press("a")
    x, y = middle_of(page, ".pane .view")
    page.mouse.click(x, y)
    page.keyboard.press("f")
    page.keyboard.press("3")
    page.mouse.click(x + 100, y)  # all that is not labelled yet
    page.click("#save")
    page.wait_for_selector("#paint-saved:visible")
    labels = page.evaluate("[...document.getElementById('paint').painter.mask.proposal]")
    proposal = np.array(labels, np.uint8).reshape(96, 128)
    mask = given_mask(bench)
    assert mask[48, 64] == proposal[48, 64]
    assert mask[0, 0] == 2
    assert set(np.unique(mask)) <= {0, 1, 2}
    assert errors == []


def test_a_page_says_that_it_saves_and_offers_another_try_where_nothing_came(
    bench: Bench, chromium: Any
) -> None:
    path = f"/jobs/{bench.job}/paint/field_000"
    held: list[Any] = []
    page, _ = signed_in(chromium, bench.site, f"/jobs/{bench.job}", locale="en-GB")
    scene = f"{bench.site.address}/jobs/{bench.job}/views/field_000"
    page.route(scene, lambda route: route.abort())
    page.goto(bench.site.address + path)
    page.wait_for_selector(".viewer-problem:has-text('The image did not come')")
    page.unroute(scene)
    page.click(".viewer-again button")
    page.wait_for_selector("#save:enabled")
    assert not page.is_visible(".viewer-again")
    page.route("**/masks", lambda route: held.append(route))
    page.click("#all")
    width = "document.getElementById('save').offsetWidth"
    wide = page.evaluate(width)
    page.click("#save")
    page.wait_for_selector("#save:has-text('Saving …')")
    assert page.evaluate(width) == wide, "a second click must not meet the link beside it"
    assert page.is_disabled("#save"), "a second click saves nothing twice"
    for route in held:
        route.continue_()
    page.wait_for_selector("#paint-saved:has-text('is kept for training')")
    assert page.inner_text("#save") == "Save as a pair for training"
    assert len(held) == 1


def test_without_scripts_the_pictures_stay(bench: Bench, chromium: Any) -> None:
    page, _ = signed_in(
        chromium, bench.site, f"/jobs/{bench.job}", locale="en-GB", java_script_enabled=False
    )
    assert page.locator(".figures img").first.evaluate("image => image.naturalWidth") > 100
    assert not page.is_visible(".viewer")
    page.goto(f"{bench.site.address}/files/{bench.upload_id}/view")
    assert page.is_visible("noscript")


def test_whoever_has_a_link_looks_closely_and_changes_nothing_until_it_is_revoked(
    bench: Bench, chromium: Any
) -> None:
    browser = bench.site.browser()
    browser.post(f"/jobs/{bench.job}/shares", {"days": "3"})
    link = re.search(r"/s/[\w-]+", browser.get(f"/jobs/{bench.job}").text)
    assert link is not None
    errors: list[str] = []
    page = chromium.new_context(locale="ja-JP").new_page()
    page.on("console", lambda one: errors.append(one.text) if one.type == "error" else None)
    page.set_default_timeout(LONG_MS)
    page.goto(bench.site.address + link[0])
    page.wait_for_selector(".scale:visible")
    x, y = middle_of(page, ".pane .view")
    page.mouse.move(x, y)
    page.wait_for_selector(".readout:has-text('nm')")
    assert not page.is_visible(".to-paint")
    guest = bench.site.stranger()
    view = f"{link[0]}/views/field_000"
    scene = guest.get(view).json()
    assert (scene["paint"], scene["others"]) == ("", [])
    assert {one["role"] for one in scene["layers"]} == {"image", "labels", "uncertainty"}
    tile = guest.get(f"{view}/labels/tiles/0/1/0/0?phase=0")
    assert (tile.status_code, tile.headers["cache-control"]) == (200, "no-store")
    assert guest.get(f"/jobs/{bench.job}/views/field_000").status_code == 303
    shares = re.findall(r"/shares/([\w-]+)/revoke", browser.get(f"/jobs/{bench.job}").text)
    for share in shares:
        browser.post(f"/shares/{share}/revoke")
    for path in (view, f"{view}/labels/tiles/0/1/0/0", f"{view}/labels/values/0/0/0"):
        assert guest.get(path).status_code == 404
    assert errors == []
