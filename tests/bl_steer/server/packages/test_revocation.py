from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from bl_steer.server.db.tables import OutgoingMail, Package, User
from bl_steer.server.jobs.queue import submit
from bl_steer.server.packages import review
from bl_steer.server.packages.archive import build_archive
from bl_steer.server.packages.template import write_template
from bl_steer.server.packages.testing import TestReport
from tests.bl_steer.server.segmented import GREY, png

TITLES = {"en": "Bright share", "ja": "明るい部分の割合"}
PASSED = TestReport(({"name": "one", "problems": [], "found": {}, "warnings": []},))


def released(site: Any, folder: Path, author: User, reviewer: User) -> Any:
    """Release the template's package; return it."""
    write_template(folder / "mine", author="A. Author")
    source = folder / "mine" / "package.toml"
    titles = ", ".join(f'{language} = "{title}"' for language, title in TITLES.items())
    plain = 'en = "Mine"'
    assert plain in source.read_text()
    source.write_text(source.read_text().replace(plain, titles))
    (folder / "mine" / "tests" / "two-halves.expected.json").write_text("{}")
    build_archive(folder / "mine", folder / "mine.zip")
    office = site.context
    with (folder / "mine.zip").open("rb") as file, office.database.write() as session:
        package = review.submit(session, office.packages.take_in(file), author)
        review.note_check(session, package.sha256, PASSED)
        key = office.packages.key
        review.approve(session, package.sha256, reviewer, "fine", key=key)
        return review.release(session, package.sha256, reviewer, public_key=key.public)


@pytest.fixture
def revoked(site: Any, tmp_path: Path) -> tuple[Any, dict[str, str]]:
    """A site with a package that two users have results of, and that was revoked; their jobs."""
    people = {name: site.user(f"{name}@example.org", language=name) for name in ("en", "ja")}
    author, reviewer = site.user("a@example.org"), site.user("r@example.org", role="reviewer")
    package = released(site, tmp_path, author, reviewer)
    jobs = {}
    for name in ("en", "ja", "ja"):
        upload = site.browser(f"{name}@example.org").upload(("a.csv", b"x,y\n1,2\n"))
        with site.context.database.write() as session:
            jobs[name] = submit(
                session,
                user_id=people[name].id,
                analysis=package.name,
                package_sha256=package.sha256,
                params={},
                upload_ids=[upload.headers["location"].partition("file=")[2]],
                language=name,
            ).id
        site.finish({"t.csv": b"a\n1\n"})
    deed = {"deed": "revoke", "comment": "wrong <unit>"}
    answer = site.browser("r@example.org").post(f"/packages/{package.sha256}", deed)
    assert answer.status_code == 303, answer.text
    return site, jobs


def test_each_user_of_a_revoked_package_gets_one_mail_in_their_language(
    revoked: tuple[Any, dict[str, str]],
) -> None:
    site, jobs = revoked
    with site.context.database.read() as session:
        revocations = select(OutgoingMail).where(OutgoingMail.job_id.is_(None))
        found = session.scalars(revocations).all()
    mails = {one.recipient: one for one in found}
    assert len(found) == 2
    english, japanese = mails["en@example.org"], mails["ja@example.org"]
    assert english.subject == f"{TITLES['en']} 0.1.0 was revoked: please check your results"
    assert japanese.subject.startswith(f"{TITLES['ja']} 0.1.0 が取り消されました")
    assert "wrong <unit>" in english.body
    assert f"{site.address}/jobs/{jobs['en']}" in english.body
    assert japanese.body.count(f"{site.address}/jobs/") == 2


def test_the_mail_of_a_result_names_its_package_by_the_title_in_the_readers_language(
    revoked: tuple[Any, dict[str, str]],
) -> None:
    site, jobs = revoked
    for language, title in TITLES.items():
        of_job = select(OutgoingMail).where(OutgoingMail.job_id == jobs[language])
        with site.context.database.read() as session:
            assert title in session.scalars(of_job).one().subject


def test_an_old_result_of_a_revoked_package_says_so_and_why_to_its_owner_and_by_link(
    revoked: tuple[Any, dict[str, str]],
) -> None:
    site, jobs = revoked
    browser = site.browser("en@example.org")
    browser.post(f"/jobs/{jobs['en']}/shares", {"days": "2"})
    page = browser.get(f"/jobs/{jobs['en']}").text
    link = re.search(r'value="(http[^"]*/s/[^"]*)"', page)
    assert link is not None
    for shown in (page, site.stranger().get(link[1]).text):
        assert "was revoked" in shown
        assert "wrong &lt;unit&gt;" in shown


def test_running_a_revoked_package_again_explains_why_it_cannot(
    revoked: tuple[Any, dict[str, str]],
) -> None:
    site, jobs = revoked
    answer = site.browser("en@example.org").get(f"/analyses/mine?again={jobs['en']}")
    assert answer.status_code == 410
    assert "mine was revoked and cannot be run again" in answer.text
    assert "wrong &lt;unit&gt;" in answer.text
    assert site.browser("ja@example.org").get("/analyses/mine").status_code == 404


def test_what_cannot_run_again_is_not_offered_again_and_the_history_says_why(
    revoked: tuple[Any, dict[str, str]],
) -> None:
    site, jobs = revoked
    browser = site.browser("en@example.org")
    upload = browser.upload(("b.csv", b"x,y,value\n1,2,3\n")).headers["location"]
    file = upload.partition("file=")[2]
    still = browser.post("/analyses/advise", {"file": file}).headers["location"]
    with site.context.database.write() as session:
        owner = site.job(jobs["en"]).user_id
        gone = submit(session, user_id=owner, analysis="gone", params={}, upload_ids=[file]).id
    site.finish({"t.csv": b"a\n1\n"})
    site.finish({"t.csv": b"a\n1\n"})
    for path in ("/", "/jobs"):
        page = browser.get(path).text
        assert re.findall(r"\?again=([\w-]+)", page) == [still.rpartition("/")[2]]
        assert "cannot be run again. The reason: wrong &lt;unit&gt;" in page
        assert page.count("no longer offered") == 1
    for job in (jobs["en"], gone):
        page = browser.get(f"/jobs/{job}").text
        assert "?again=" not in page
        assert "no longer offered, so it cannot be run again" in page
    assert "?again=" in browser.get(still).text
    page = site.browser("ja@example.org").get("/jobs").text
    assert "取り消されたため、再実行できません。理由：wrong" in page


def test_a_manifest_that_an_earlier_version_took_keeps_no_page_away(
    site: Any, tmp_path: Path
) -> None:
    author, reviewer = site.user("a@example.org"), site.user("r@example.org", role="reviewer")
    package = released(site, tmp_path, author, reviewer)
    browser = site.browser("a@example.org")
    upload = browser.upload(("a.png", png(GREY))).headers["location"].partition("file=")[2]
    job = browser.post("/analyses/mine", {"file": upload}).headers["location"]
    site.finish({"t.csv": b"a\n1\n"})
    with site.context.database.write() as session:
        row = session.get_one(Package, package.sha256)
        row.manifest = {**row.manifest, "licence": ""}
    for path in ("/", "/jobs", "/packages", job, f"/analyses?file={upload}"):
        assert browser.get(path).status_code == 200, path
    assert browser.get("/analyses/mine").status_code == 404
    page = browser.get(f"/packages/{package.sha256}", headers={"Accept-Language": "ja"})
    assert page.status_code == 422
    assert "licence: 1 文字以上" in page.text
