from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import pytest
from sqlalchemy.exc import DataError
from starlette.requests import ClientDisconnect, Request

from bl_steer.server.auth.rate_limits import WrongPasswords
from bl_steer.server.auth.tokens import new_token
from bl_steer.server.db.tables import AccessRecord
from bl_steer.server.web import app as web_app
from bl_steer.server.web.access_log import latest_requests, masked

XSS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'onmouseover='alert(1)",
    "{{ 7 * 7 }}",
    "</textarea><svg/onload=alert(1)>",
    "javascript:alert(1)",
    "\u202e<b>txt",
]
TRAVERSAL = [
    "../../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e/%2e%2e/service.db",
    "....//....//etc/passwd",
    "..\\..\\windows\\win.ini",
    "/etc/passwd",
    "%00",
    "style.css%00.png",
    "\u2025/\u2025/etc/passwd",
]
INJECTION = ["a\r\nSet-Cookie: x=1", "a%0d%0aX-Evil: 1", "a\nX-Evil: 1", "a\u560d\u560aX-Evil: 1"]


@pytest.fixture(scope="module")
def site(site_module: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with site_module.running_site(tmp_path_factory.mktemp("server")) as running:
        running.user()
        yield running


@pytest.fixture(scope="module")
def browser(site: Any) -> Any:
    return site.browser()


def test_a_form_without_the_sessions_word_is_refused(browser: Any) -> None:
    for token in ("", "wrong", browser.csrf_token[:-1], "試"):
        answer = browser.client.post("/account", data={"csrf": token, "name": "Eve"})
        assert answer.status_code == 403
        assert "did not come from a page of yours" in answer.text
    assert browser.post("/account", {"name": "Ann"}).status_code == 303


def test_a_file_without_the_sessions_word_is_refused_before_it_is_kept(
    site: Any, browser: Any
) -> None:
    file = [("files", ("a.csv", b"1,2\n"))]
    assert browser.client.post("/files", files=file).status_code == 403
    late = [("files", ("a.csv", b"1,2\n")), ("csrf", (None, browser.csrf_token))]
    assert browser.client.post("/files", files=late).status_code == 403
    assert not list(site.context.arrivals.iterdir())


def test_a_form_of_another_site_is_refused(browser: Any) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert browser.post("/account", {"name": "x"}, headers=headers).status_code == 403
    assert browser.post("/account", {"name": "x"}, headers={"Origin": "null"}).status_code == 403


def test_a_browsers_session_needs_the_word_for_the_api_too(browser: Any) -> None:
    wanted = {"analysis": "advise", "files": []}
    assert browser.client.post("/api/v1/jobs", json=wanted).status_code == 403
    headers = {"X-CSRF-Token": browser.csrf_token}
    assert browser.client.post("/api/v1/jobs", json=wanted, headers=headers).status_code == 422


def test_a_sign_in_from_another_site_is_refused(site: Any) -> None:
    answer = site.stranger(Origin="https://evil.example").post("/sign-in", data={"email": "a@b.c"})
    assert answer.status_code == 403


def test_the_session_cookie_is_not_for_scripts_and_not_for_other_sites(site: Any) -> None:
    answer = site.stranger().post(
        "/sign-in", data={"email": "ann@example.org", "password": "correct horse battery"}
    )
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie


@pytest.mark.parametrize("where", ["//evil.example", "https://evil.example", "/\\evil.example"])
def test_nobody_is_led_away_after_signing_in(site: Any, where: str) -> None:
    data = {"email": "ann@example.org", "password": "correct horse battery", "next": where}
    assert site.stranger().post("/sign-in", data=data).headers["location"] == "/"


@pytest.mark.parametrize("text", XSS)
def test_what_users_write_is_shown_as_text(site: Any, browser: Any, text: str) -> None:
    browser.post("/account", {"name": text})
    upload = browser.upload((f"{text}.csv", b"x,y,value\n1,2,3\n"), sample=text)
    location = upload.headers["location"]
    pages = [browser.get(path).text for path in ("/", "/files", location, "/account", "/jobs")]
    pages += [
        browser.get(path, params={"state": text, "analysis": text, "before": text}).text
        for path in ("/jobs", "/files")
    ]
    pages.append(site.stranger().get("/sign-in", params={"next": text, "note": text}).text)
    job = browser.post("/analyses/advise", {"file": location.partition("file=")[2]})
    job_path = job.headers["location"]
    site.finish({"t.csv": f"{text},b\n{text},2\n".encode()}, warnings=(text,))
    pages.append(browser.get(job_path).text)
    browser.post(f"{job_path}/shares", {"days": "2"})
    share = browser.get(job_path).text
    link = re.search(r'value="(http[^"]*/s/[^"]*)"', share)
    assert link is not None
    pages.append(site.stranger().get(link[1]).text)
    for page in pages:
        assert not re.search(r"<(script|img|svg|b)[ />][^>]*(alert|txt|x onerror)", page)
        assert "<script>alert" not in page
        assert "onmouseover='" not in page.replace("&#39;", "'") or "&#39;onmouseover" in page
        assert ">49<" not in page
        assert 'href="javascript:' not in page


def test_pages_run_no_foreign_and_no_inline_scripts(site: Any) -> None:
    site.user("plain@example.org")
    browser = site.browser("plain@example.org")
    for path in ("/", "/files", "/analyses", "/jobs", "/account", "/api"):
        answer = browser.get(path)
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert not re.search(r"<script(?![^>]*src=)", answer.text)
        assert not re.search(r"""(src|href|action)=["']?(https?:)?//""", answer.text)
        assert not re.search(r"<[^>]+ (style|on\w+)=", answer.text)


@pytest.mark.parametrize("path", TRAVERSAL)
def test_no_path_leads_out_of_where_files_are(browser: Any, path: str) -> None:
    for where in ("/static/", "/files/", "/jobs/x/outputs/", "/s/x/outputs/", "/packages/"):
        answer = browser.get(where + path.replace("\\", "%5c"))
        assert answer.status_code in (400, 404, 405)
        assert "root:" not in answer.text


@pytest.mark.parametrize("name", TRAVERSAL + INJECTION)
def test_a_files_name_is_a_name_and_nothing_else(browser: Any, name: str) -> None:
    body = (
        f'--b\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n{browser.csrf_token}\r\n--b\r\n'
    ).encode()
    body += b'Content-Disposition: form-data; name="files"; filename="'
    body += (name.replace("\r\n", "%0d%0a").replace("\n", "%0a") + ".csv").encode()
    body += b'"\r\n\r\nx,y,value\n1,2,3\n\r\n--b--\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = browser.client.post("/files", content=body, headers=headers)
    assert answer.status_code == 303, answer.text
    kept = browser.get("/api/v1/files").json()[0]["file_name"]
    assert not set("/\\\r\n\0") & set(kept)
    upload_id = answer.headers["location"].partition("file=")[2]
    sent = browser.get(f"/files/{upload_id}")
    assert sent.status_code == 200
    assert "x-evil" not in sent.headers
    assert sent.headers["content-disposition"].startswith("attachment; filename=")


@pytest.mark.parametrize("text", INJECTION)
def test_nothing_that_is_sent_becomes_a_header(site: Any, browser: Any, text: str) -> None:
    data = {"email": "ann@example.org", "password": "correct horse battery", "next": f"/{text}"}
    answers = [
        site.stranger().post("/sign-in", data=data),
        browser.post("/language", {"language": text, "back": f"/{text}"}),
        site.stranger().get("/sign-in", params={"next": f"/{text}"}),
    ]
    for answer in answers:
        assert answer.status_code < 500
        assert "x-evil" not in answer.headers
        assert "x=1" not in answer.headers.get("set-cookie", "")


def test_wrong_passwords_are_slowed_down_and_right_ones_wait_too(site: Any) -> None:
    site.user("slow@example.org")
    client = site.stranger()
    wrong = {"email": "slow@example.org", "password": "x"}
    statuses: list[int] = []
    while 429 not in statuses and len(statuses) < 60:  # a slow machine gets some more tries
        statuses.append(client.post("/sign-in", data=wrong).status_code)
    assert set(statuses[:10]) == {401}
    assert statuses[-1] == 429
    data = {"email": "slow@example.org", "password": "correct horse battery"}
    answer = client.post("/sign-in", data=data)
    assert answer.status_code == 429
    wait = int(answer.headers["retry-after"])
    assert wait >= 1
    assert f"Try again in {wait} s." in answer.text
    site.user("other@example.org")  # at the same address, as all behind one proxy are
    answer = client.post("/sign-in", data={**data, "email": "other@example.org"})
    assert answer.status_code == 303


def test_wrong_passwords_over_many_accounts_or_addresses_meet_a_higher_limit() -> None:
    wrong = WrongPasswords(per_minute=2, most_per_minute=4)
    for count in range(4):
        assert not wrong.wait_s(f"{count}@example.org", "10.0.0.1")
        wrong.add(f"{count}@example.org", "10.0.0.1")
    assert 0 < wrong.wait_s("new@example.org", "10.0.0.1") <= 15.0
    assert not wrong.wait_s("new@example.org", "10.0.0.2")
    for count in range(4):
        wrong.add("Ann@example.org", f"10.0.1.{count}")
    assert 0 < wrong.wait_s(" ann@EXAMPLE.org", "10.0.1.9") <= 15.0
    assert not wrong.wait_s("bob@example.org", "10.0.1.9")


def test_a_share_link_ends_when_it_is_revoked_and_shows_that_job_only(
    site: Any, browser: Any
) -> None:
    upload = browser.upload(("a.csv", b"x,y,value\n1,2,3\n")).headers["location"]
    jobs = []
    for _ in range(2):
        made = browser.post("/analyses/advise", {"file": upload.partition("file=")[2]})
        jobs.append(made.headers["location"])
        site.finish({f"t{len(jobs)}.csv": b"a\n1\n"})
    browser.post(f"{jobs[0]}/shares", {"days": "2"})
    page = browser.get(jobs[0]).text
    link = re.findall(r'value="(http[^"]*/s/[^"]*)"', page)[0]
    guest = site.stranger()
    assert guest.get(link).status_code == 200
    assert guest.get(f"{link}/outputs/t1.csv").text == "a\n1\n"
    assert guest.get(f"{link}/outputs/t2.csv").status_code == 404
    assert guest.get(jobs[0]).status_code == 303
    share = re.findall(r'action="(/shares/[^"]*/revoke)"', browser.get(jobs[0]).text)[0]
    assert browser.post(share).status_code == 303
    assert [guest.get(link + end).status_code for end in ("", "/outputs/t1.csv", "/all.zip")] == [
        404
    ] * 3


def test_secrets_of_paths_stay_out_of_the_access_log(site: Any) -> None:
    site.stranger().get("/s/a-secret-token")
    site.stranger().get("/join/a-secret-token?x=a-secret-token")
    site.context.log.flush()

    with site.context.database.read() as session:
        paths = [one.path for one in latest_requests(session, limit=1000)]
    assert "/s/{token}" in paths
    assert not [path for path in paths if "a-secret-token" in path]


@pytest.mark.parametrize("word", ["s", "reset", "join"])
@pytest.mark.parametrize(
    "form",
    [
        "/{0}/{1}/",
        "/{0}/{1}/nix",
        "//{0}/{1}",
        "/{0}//{1}",
        "/{0}%2F{1}",
        "/{0}%252f{1}",
        "/%{2:x}{3}/{1}",
        "/./{0}/{1}",
        "/nix/{0}/{1}",
        "\\{0}\\{1}",
        "/{0};v=1/{1}",
        "/{0}:{1}",
        "/／{0}/{1}",
        "/ {0} / {1}",
        "/_{0}/{1}",
    ],
)
def test_a_mistyped_link_is_masked_in_every_spelling(form: str, word: str) -> None:
    for spelt in (word, word.upper(), word.title()):
        path = form.format(spelt, "Ab1-Cd2_Ef3", ord(spelt[0]), spelt[1:])
        for known in (path, unquote(path)):
            assert "Ef3" not in masked(known), known
            assert "Ab1" not in masked(known), known
    for token in (new_token(), f"{new_token()[:-9]}-{word}_end", f"{word}-{new_token()}"):
        assert masked(f"/link{token}x") == "/…"
        assert masked(f"/shared/{token[:-1]}") == "/shared/…"


def test_paths_without_secrets_are_told_as_they_are() -> None:
    whole = (
        "/jobs/11111111-2222-3333-4444-555555555555/outputs/s-1.tif",
        "/s/{token}/tables/{name}",
        "/wp-login.php",
        "/jobs/1/",
        "/Tests/1",
    )
    assert [masked(path) for path in whole] == list(whole)


def test_mistyped_links_stay_out_of_the_access_log_its_page_and_the_log_file(
    site: Any, caplog: pytest.LogCaptureFixture
) -> None:
    client = site.stranger()
    for word in ("s", "reset", "join"):
        for path in ("{}/Hush1/", "{}/Hush1/nix", "/{}/Hush1", "{}%2FHush1"):
            client.get(f"{site.address}/{path.format(word)}")
            client.delete(f"{site.address}/{path.format(word.upper())}")
    early = AccessRecord(time=1.0, method="GET", path="/s/Hush1/", status=404, address="", ms=1.0)
    site.context.log.flush()
    with site.context.database.read() as session:
        paths = [one.path for one in latest_requests(session, limit=1000)]
    assert not [path for path in paths if "Hush1" in path]
    assert "Hush1" not in caplog.text

    site.context.log.add(early)  # as it was recorded by earlier versions
    site.context.log.flush()
    site.user("root@example.org", "admin")
    page = site.browser("root@example.org").get("/admin/access")
    assert "/s/…" in page.text
    assert "Hush1" not in page.text


def test_what_goes_wrong_on_a_mistyped_link_is_logged_without_its_secret(
    site: Any, caplog: pytest.LogCaptureFixture
) -> None:
    scope = {"type": "http", "method": "GET", "path": "/S/Hush1/", "query_string": b""}
    request = Request({**scope, "headers": [], "app": site.app, "state": {}})
    for handler, error in (
        (web_app._gone, ClientDisconnect()),
        (web_app._unstorable, DataError("", {}, ValueError("beyond"))),
        (web_app._unexpected, RuntimeError("odd")),
    ):
        caplog.clear()
        asyncio.run(handler(request, error))
        assert "/S/…" in caplog.text, handler
        assert "Hush1" not in caplog.text, handler


def test_head_is_answered_as_get_without_the_body(site: Any) -> None:
    with site.stranger() as client:
        for path in ("/sign-in", "/nowhere"):
            head, get = client.head(path), client.get(path)
            assert (head.status_code, head.content) == (get.status_code, b""), path
            assert head.headers["content-type"] == get.headers["content-type"]
            assert int(head.headers["content-length"]) > 0
