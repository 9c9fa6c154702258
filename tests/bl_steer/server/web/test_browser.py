"""The user's path in a real browser, against a whole server with a real mail server beside it."""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests import fork_server

PASSWORD = "correct horse battery"
SENT_THRICE = """form => {
  let sent = 0;
  addEventListener("submit", event => { sent += !event.defaultPrevented; event.preventDefault(); });
  for (let times = 0; times < 3; times++) form.requestSubmit();
  return sent;
}"""
LONG_MS = 60_000
"""What a loaded machine may need for a step of milliseconds."""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(scope="module")
def mails() -> Iterator[Any]:
    from aiosmtpd.controller import Controller

    class Box:
        def __init__(self) -> None:
            self.read: list[Any] = []

        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
            self.read.append((envelope.rcpt_tos, envelope.content))
            return "250 OK"

    box = Box()
    controller = Controller(box, hostname="127.0.0.1", port=free_port())
    controller.start()
    box.port = controller.port  # type: ignore[attr-defined]
    yield box
    controller.stop()


@pytest.fixture(scope="module")
def server(mails: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A whole server; its address, and the link that it printed for the first account."""
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed (make system)")
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    environment = {
        **os.environ,
        "BL_STEER_SERVICE_FOLDER": str(folder / "service"),
        "BL_STEER_SERVICE_PORT": str(port),
        "BL_STEER_SERVICE_SMTP_HOST": "127.0.0.1",
        "BL_STEER_SERVICE_SMTP_PORT": str(mails.port),
        "BL_STEER_SERVICE_POLL_S": "0.2",
        "BL_STEER_SERVICE_JOB_NICENESS": "0",  # a loaded machine does not let it wait for ever
        "OPHYD_CONTROL_LAYER": "dummy",  # no threads of EPICS in what forks its parts
        "PYTHONUNBUFFERED": "1",
    }
    with open(folder / "log", "w+") as log:
        process = fork_server.Popen(
            [sys.executable, "-m", "bl_steer", "serve"], env=environment, stdout=log, stderr=log
        )
        address = f"http://127.0.0.1:{port}"
        try:
            said = (folder / "log").read_text
            wait_for(lambda: re.search(r"/join/\S+\s", said()) is not None, 120, said)
            link = re.search(r"http\S+/join/\S+", said())
            assert link is not None
            yield address, link[0]
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def sign_in(page: Any, address: str, then: str = "/") -> None:
    page.goto(f"{address}/sign-in?next={then}")
    page.fill("#email", "ann@example.org")
    page.fill("#password", PASSWORD)
    page.click("button.main")
    page.wait_for_url(address + then)


def clicked(page: Any, selector: str, *, until: str) -> bool:
    """Click on what a page shows that reloads itself, which may take the click away.

    Returns whether the click has led to what it should.
    """
    from playwright.sync_api import Error

    with suppress(Error):
        page.click(selector, timeout=1000)
    with suppress(Error):
        page.wait_for_selector(until, timeout=500)
        return True
    return False


def wait_for(test: Any, seconds: float, what: Any) -> None:
    end = time.monotonic() + seconds
    while not test():
        assert time.monotonic() < end, what()
        time.sleep(0.1)


@pytest.fixture(scope="module")
def micrograph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    noise = np.random.default_rng(1).normal(size=(384, 512))
    smooth = np.fft.ifft2(
        np.fft.fft2(noise)
        * np.exp(-(np.hypot(*np.meshgrid(np.fft.fftfreq(512), np.fft.fftfreq(384))) ** 2) * 800)
    ).real
    file = io.BytesIO()
    Image.fromarray(np.uint8(255 * (smooth - smooth.min()) / np.ptp(smooth))).save(file, "png")
    path = tmp_path_factory.mktemp("images") / "試料1_断面.png"
    path.write_bytes(file.getvalue())
    return path


def test_a_new_user_gets_from_the_link_to_a_shared_result_with_scripts_and_without(
    chromium: Any, server: tuple[str, str], mails: Any, micrograph: Path
) -> None:
    address, link = server
    errors: list[str] = []
    page = chromium.new_context(locale="en-GB").new_page()
    page.on("console", lambda one: errors.append(one.text) if one.type == "error" else None)
    page.set_default_timeout(LONG_MS)
    page.goto(link)
    page.fill("#email", "ann@example.org")
    page.fill("#password", PASSWORD)
    page.click("button.main")
    page.wait_for_url(f"{address}/")
    page.set_input_files("#files", str(micrograph))
    page.fill("#sample", "試料1")
    page.click("button.main")
    page.wait_for_url("**/analyses?file=*")
    assert page.locator(".card:not(.unfit)").count() >= 1
    page.click("text=Segment micrographs")
    page.fill("[name='p.pixel_size_nm']", "-10")
    page.click("button.main")
    page.wait_for_selector(".wrong-words")
    assert page.locator(".wrong-words").inner_text() == "Must be more than 0, got -10."
    page.fill("[name='p.pixel_size_nm']", "10")
    page.click("button.main")
    page.wait_for_url("**/jobs/*")
    job = page.url
    page.wait_for_selector(".state-done", timeout=240_000)  # the page finds out by itself
    page.wait_for_load_state()  # with its figures
    figure = page.locator(".figures img").first
    assert figure.evaluate("image => image.naturalWidth") > 100
    assert page.locator(".table td", has_text="oxide").count() >= 1
    assert page.locator("code", has_text=re.compile("^[0-9a-f]{64}$")).count() >= 1
    assert [one for one in errors if "422" not in one] == []  # the form that did not fit

    wait_for(lambda: mails.read, 60, lambda: "no mail came")
    ((recipient,), content) = mails.read[0]
    mail = message_from_bytes(content, policy=policy.default)
    assert recipient == "ann@example.org"
    assert mail["subject"] == "Segment micrographs: the result is there"
    assert "/jobs/" + job.rpartition("/")[2] in mail.get_content()
    assert "試料1_断面.png" in mail.get_content()

    page.click("#share button")
    shared = page.input_value("#share-link")
    guest = chromium.new_context(locale="ja-JP", java_script_enabled=False).new_page()
    guest.goto(shared)
    assert "顕微鏡像の領域分割" in guest.inner_text("h1")
    assert guest.locator(".figures img").count() >= 1
    guest.goto(job)
    assert "/sign-in" in guest.url

    # The same path in Japanese, without scripts and by the history: other settings, cancelled.
    sign_in(guest, address, "/jobs")
    guest.click("text=再実行")
    assert guest.input_value("[name='p.pixel_size_nm']") == "10"
    guest.select_option("[name='p.views']", "8")
    guest.click("button.main")
    guest.wait_for_url("**/jobs/*")
    wait_for(lambda: clicked(guest, "button.danger", until=".state-cancelled"), 60, guest.content)
    guest.goto(f"{address}/")
    guest.set_input_files("#files", str(micrograph))
    guest.click("button.main")
    guest.wait_for_url("**/analyses?file=*")


def test_everything_is_reached_with_the_keyboard_alone(
    site_module: Any, tmp_path: Path, chromium: Any
) -> None:
    with site_module.running_site(tmp_path / "keys") as site:
        site.user()
        page = chromium.new_context(locale="en-GB").new_page()
        page.goto(f"{site.address}/sign-in")
        page.wait_for_selector("#email:focus")  # given at the first painting, after the load
        page.keyboard.type("ann@example.org")
        page.keyboard.press("Tab")
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url(f"{site.address}/")
        reached = []
        for _ in range(40):
            page.keyboard.press("Tab")
            seen = page.evaluate(
                "() => { const e = document.activeElement, s = getComputedStyle(e);"
                " return [e.id || e.textContent.trim(), s.outlineStyle, s.outlineWidth]; }"
            )
            reached.append(seen[0])
            if seen[0] == "Upload" and "files" in reached:
                break
            assert seen[1] != "none" or seen[0] == "", seen
        assert reached[0] == "Skip to the content"
        assert {"Files", "History", "files", "sample", "may_train"} <= set(reached)


@pytest.mark.parametrize("locale", ["en-GB", "ja-JP"])
def test_no_page_is_wider_than_a_narrow_screen(
    site_module: Any, tmp_path: Path, chromium: Any, locale: str
) -> None:
    with site_module.running_site(tmp_path / "narrow") as site:
        user = site.user(role="admin")
        browser = site.browser()
        file = browser.upload(("とても長い名前のファイル" * 5 + ".csv", b"x,y,value\n1,2,3\n"))
        job = browser.post("/analyses/advise", {"file": file.headers["location"][15:]})
        table = ",".join(f"column_{count}" for count in range(30)) + "\n"
        site.finish({"wide.csv": table.encode()}, warnings=("W" * 200,))
        context = chromium.new_context(locale=locale, viewport={"width": 360, "height": 700})
        page = context.new_page()
        sign_in(page, site.address)
        paths = ["/", "/files", "/jobs", "/account", "/api", "/packages", "/admin", "/admin/users"]
        paths += ["/admin/access", "/admin/audit", "/nothing", job.headers["location"]]
        paths += ["/reset", f"/admin/users/{user.id}"]
        paths += [file.headers["location"], "/analyses/structure", "/analyses/superres"]
        for path in paths:
            page.goto(site.address + path)
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= 360, path


def test_a_page_follows_its_job_and_says_when_the_server_does_not_answer(
    site_module: Any, tmp_path: Path, chromium: Any
) -> None:
    with site_module.running_site(tmp_path / "gone") as site:
        site.user()
        browser = site.browser()
        file = browser.upload(("a.csv", b"x,y,value\n1,2,3\n")).headers["location"]
        job = browser.post("/analyses/advise", {"file": file.partition("file=")[2]})
        page = chromium.new_context(locale="en-GB").new_page()
        sign_in(page, site.address)
        page.goto(site.address + job.headers["location"])
        assert page.inner_text("#state") == "waiting"
        site.take()
        page.wait_for_selector("#state.state-running", timeout=LONG_MS)
        assert page.locator("#state").count() == 1
        assert not page.is_visible(".no-answer")
        page.context.set_offline(True)
        page.wait_for_selector(".no-answer:visible", timeout=LONG_MS)
        page.context.set_offline(False)
        page.wait_for_selector(".no-answer", state="hidden", timeout=LONG_MS)


def test_times_name_their_zone_with_scripts_and_without(
    site_module: Any, tmp_path: Path, chromium: Any
) -> None:
    with site_module.running_site(tmp_path / "times", time_zone="Asia/Kolkata") as site:
        site.user()
        site.browser().upload(("a.csv", b"x,y,value\n1,2,3\n"))
        shown = []
        for scripts in (True, False):
            context = chromium.new_context(
                locale="ja-JP", timezone_id="Asia/Tokyo", java_script_enabled=scripts
            )
            page = context.new_page()
            sign_in(page, site.address, "/files")
            shown.append(page.locator("table time").inner_text())
        own, servers = (datetime.strptime(one[:16], "%Y-%m-%d %H:%M") for one in shown)
        assert [one[16:] for one in shown] == [" UTC+9", " IST"]
        assert own - servers == timedelta(hours=3, minutes=30)


@pytest.mark.parametrize("locale", ["en-GB", "ja-JP"])
def test_an_administrators_header_is_one_row_and_low_on_a_narrow_screen_and_hides_nothing(
    site_module: Any, tmp_path: Path, chromium: Any, locale: str
) -> None:
    with site_module.running_site(tmp_path / "header") as site:
        site.user(role="admin", name="A Rather Long Name of a Person")
        size = {"width": 1280, "height": 800}
        page = chromium.new_context(locale=locale, viewport=size).new_page()
        sign_in(page, site.address)
        middles = (
            "found => found.map(one => one.getBoundingClientRect())"
            ".map(box => (box.top + box.bottom) / 2)"
        )
        rows = page.eval_on_selector_all(".top nav a, .corner button", middles)
        assert max(rows) - min(rows) < 10
        page.goto(f"{site.address}/analyses")
        assert page.locator(".steps .done").count() == 0
        page.set_viewport_size({"width": 360, "height": 700})
        rights = "found => found.map(one => one.getBoundingClientRect().right)"
        assert max(page.eval_on_selector_all(".top nav a", rights)) <= 360
        rows = page.eval_on_selector_all(".top nav a", middles)
        height = 10 if locale == "ja-JP" else 40
        assert max(rows) - min(rows) < height, "the menu is one row, two in longer English"
        rows = page.eval_on_selector_all(".brand, .corner button, .corner .me", middles)
        assert max(rows) - min(rows) < 10, "and all else another"


def test_a_second_click_sends_no_form_again(
    site_module: Any, tmp_path: Path, chromium: Any
) -> None:
    """By any form; those that start or make something do so once by their number, too."""
    with site_module.running_site(tmp_path / "twice") as site:
        site.user()
        page = chromium.new_context().new_page()
        sign_in(page, site.address, "/account")
        form = page.locator("form[action='/account/keys']")
        form.locator("input[name=name]").fill("mine")
        assert form.evaluate(SENT_THRICE) == 1
