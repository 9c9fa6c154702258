"""Fingers find what is to be touched: no control of a page is lower or narrower than 24 px."""

from __future__ import annotations

from typing import Any

import pytest

from tests.bl_steer.server.segmented import GREY, png, segmented, uploaded

SMALL = """() => {
  const small = [], controls = "a, button, select, summary, input:not([type=hidden]), .choice span";
  for (const one of document.querySelectorAll(controls)) {
    const { width, height } = one.getBoundingClientRect(), style = getComputedStyle(one);
    if (width < 2 || style.visibility === "hidden" || style.opacity === "0") continue;
    if (style.display === "inline" && one.closest("p, li")) continue;  // in running text
    const label = one.closest("label");
    if (label && label.getBoundingClientRect().height >= 24) continue;
    if (width < 24 || height < 24) small.push(`${one.outerHTML.slice(0, 80)} ${width} × ${height}`);
  }
  return small;
}"""


@pytest.mark.parametrize("locale", ["en-GB", "ja-JP"])
def test_nothing_to_be_touched_is_smaller_than_24_px(site: Any, chromium: Any, locale: str) -> None:
    user = site.user(role="admin")
    browser = site.browser()
    image = uploaded(browser, "a.png", png(GREY), sample="Film 1")
    job = segmented(site, browser, image)
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    page = chromium.new_context(locale=locale, **phone).new_page()
    page.goto(f"{site.address}/sign-in")
    page.fill("#email", "ann@example.org")
    page.fill("#password", "correct horse battery")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{site.address}/")
    paths = ["/", "/files", f"/files/{image}/view", "/jobs", "/training", "/groups", "/packages"]
    paths += ["/account", "/api", "/admin", "/admin/users", f"/admin/users/{user.id}"]
    paths += ["/admin/access", "/admin/audit", f"/analyses?file={image}", f"/jobs/{job}"]
    paths += [f"/analyses/segment?file={image}", f"/jobs/{job}/paint/field_000", "/nothing"]
    found = {}
    for path in paths:
        page.goto(site.address + path)
        found[path] = page.evaluate(SMALL)
        if (width := page.evaluate("document.documentElement.scrollWidth")) > 390:
            found[path].append(f"{width} px wide")
    assert {path: small for path, small in found.items() if small} == {}
