"""Pages that stay open: parts that come later look as the first, and no painted work is lost."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from bl_steer.server.auth.sessions import end_session, sessions_of
from bl_steer.server.db.tables import Correction, Retraining, Snapshot, User
from tests.bl_steer.server.segmented import GREY, png, segmented, uploaded

PASSWORD = "correct horse battery"
LONG_MS = 60_000


def page_of(chromium: Any, site: Any, **context: Any) -> Any:
    page = chromium.new_context(**context).new_page()
    page.set_default_timeout(LONG_MS)
    sign_in(page, site)
    return page


def sign_in(page: Any, site: Any) -> None:
    page.goto(f"{site.address}/sign-in")
    page.fill("#email", "ann@example.org")
    page.fill("#password", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{site.address}/")


def end_sessions(site: Any, user: User) -> None:
    with site.context.database.write() as session:
        for one in sessions_of(session, user.id):
            end_session(session, user, one.token_hash)


def test_what_is_painted_outlives_the_session_and_is_saved_after_signing_in_beside_it(
    site: Any, chromium: Any
) -> None:
    user = site.user()
    browser = site.browser()
    image = uploaded(browser, "film.png", png(GREY))
    job = segmented(site, browser, image)
    page = page_of(chromium, site, locale="en-GB")
    page.goto(f"{site.address}/jobs/{job}/paint/field_000")
    page.wait_for_selector("#save:enabled")
    page.locator(".openseadragon-canvas").first.focus()
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    labels = "Array.from(document.getElementById('paint').painter.mask.labels)"
    painted = page.evaluate(labels)
    end_sessions(site, user)
    page.click("#save")
    page.wait_for_selector("#paint-problem:has-text('You are signed out')")
    assert not page.is_visible("#paint-saved"), "nothing was saved"
    with page.context.expect_page() as opened:
        page.click("#paint-problem a")
    sign_in(opened.value, site)
    assert page.evaluate(labels) == painted
    page.click("#save")
    page.wait_for_selector("#paint-saved:has-text('is kept for training')")
    assert not page.is_visible("#paint-problem")
    with site.context.database.read() as session:
        (kept,) = session.scalars(select(Correction))
        assert (kept.image_id, kept.user_id) == (image, user.id)


def test_times_in_a_part_that_comes_later_are_those_of_the_reader(site: Any, chromium: Any) -> None:
    site.user()
    with site.context.database.write() as session:
        session.add(Snapshot(sha256="b" * 64, manifest={"pairs": []}))
        session.flush()
        session.add(row := Retraining(snapshot_sha256="b" * 64, champion="fibsem"))
        session.flush()
        row_id = row.id
    page = page_of(chromium, site, locale="en-GB", timezone_id="Asia/Tokyo")
    page.goto(f"{site.address}/training")
    page.wait_for_selector("#retrainings .state-queued")
    with site.context.database.write() as session:
        session.get_one(Retraining, row_id).state = "failed"
    page.wait_for_selector("#retrainings .state-failed")
    page.wait_for_selector("#retrainings time:has-text('UTC+9')")
