"""``bl-steer package submit --server``: a real access point on loopback, with a key."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bl_steer.cli import main
from bl_steer.server.db.tables import Package
from bl_steer.server.db.training_tables import Retraining, Snapshot
from bl_steer.server.packages import review
from bl_steer.server.packages.testing import TestReport

PROBLEM = re.compile(r'class="problem"[^>]*>.*?<p>(.*?)</p>', re.DOTALL)


def test_a_folder_is_built_and_submitted_in_the_name_of_the_key(
    site: Any,
    small: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    author = site.user()
    monkeypatch.setenv("BL_STEER_SERVICE_KEY", site.key(author, "packages:write"))
    made = small()
    archive, report = made.archive(), tmp_path / "report.json"
    submit = ["package", "submit", str(made.folder), "--server", site.address]
    assert main([*submit, "--json", str(report)]) == 0
    told = json.loads(report.read_text())
    assert (told["name"], told["version"], told["state"]) == ("sums", "1.0.0", "submitted")
    with site.context.database.read() as session:
        package = session.get_one(Package, told["sha256"])
    assert package.author_id == author.id
    assert site.context.store.has(package.blob_sha256)
    capsys.readouterr()
    # The same content again is refused in the server's words, and so is a file that is no package.
    assert main(["package", "submit", str(archive), "--server", site.address]) == 2
    assert "must be a draft to be submitted, got the state submitted" in capsys.readouterr().err
    archive.write_bytes(b"no zip")
    assert main(["package", "submit", str(archive), "--server", site.address]) == 2
    assert "The package does not fit" in capsys.readouterr().err


def test_the_pages_of_a_package_say_in_japanese_what_is_and_what_may_not_be(
    site: Any, small: Callable[..., Any]
) -> None:
    author = site.user(language="ja")
    site.user("rei@example.org", "reviewer")
    packages, database = site.context.packages, site.context.database
    content = small().archive().read_bytes()
    with database.write() as session:
        sha256 = review.submit(session, packages.take_in(io.BytesIO(content)), author).sha256
    asked = {"Accept-Language": "ja"}
    mine, theirs = site.browser(**asked), site.browser("rei@example.org", **asked)

    def refusal(browser: Any, deed: str, comment: str = "") -> str:
        answer = browser.post(f"/packages/{sha256}", {"deed": deed, "comment": comment})
        assert answer.status_code == 422
        found = PROBLEM.search(answer.text)
        assert found is not None
        return str(found[1])

    assert "ワーカーがサンドボックスでテストする" in theirs.get(f"/packages/{sha256}").text
    assert "検査済みではないため、承認できません（現在：提出済み" in refusal(theirs, "approve")
    assert "sums 1.0.0 を却下するには理由が必要です" in refusal(theirs, "reject")
    assert "ann@example.org の権限：利用者" in refusal(mine, "release")
    test = {"name": "three", "problems": ["got 3, not 4"], "warnings": [], "duration_s": 1.0}
    with database.write() as session:
        review.note_check(session, sha256, TestReport((test,), ()))
    page = mine.get(f"/packages/{sha256}").text
    assert "検査に合格しなかった" in page
    assert "got 3, not 4" in page
    again = mine.post("/packages", files=[("archive", ("sums.zip", content))])
    assert again.status_code == 303
    again = mine.post("/packages", files=[("archive", ("sums.zip", content))])
    assert "提出できる状態（下書き）ではありません（現在：提出済み）" in again.text
    broken = mine.post("/packages", files=[("archive", ("sums.zip", b"no zip"))])
    assert "パッケージが適切ではありません。" in broken.text


def test_a_retrained_package_shows_its_reviewer_what_the_hold_out_says(
    site: Any, small: Callable[..., Any]
) -> None:
    author = site.user()
    arrived = site.context.packages.take_in(io.BytesIO(small().archive().read_bytes()))
    with site.context.database.write() as session:
        package = review.submit(session, arrived, author)
        session.add(Snapshot(sha256="5" * 64, manifest={"pairs": []}))
        session.flush()
        session.add(
            Retraining(
                snapshot_sha256="5" * 64,
                champion="fibsem",
                state="done",
                package_sha256=package.sha256,
                report={
                    "hold_out": ["a.png"],
                    "phases": ["pore"],
                    "comparison": {
                        "champion": [0.7, 0.6, 0.8],
                        "candidate": [0.75, 0.65, 0.85],
                        "difference": [0.05, 0.01, 0.09],
                        "champion_iou": [None],
                        "candidate_iou": [0.7654],
                        "verdict": "better",
                    },
                },
            )
        )
    for language, verdict in (("ja", "候補モデルのほうが優れています。"), ("en", "is better.")):
        page = site.browser(**{"Accept-Language": language}).get(f"/packages/{package.sha256}").text
        assert verdict in page
        assert "0.0500" in page
        assert "0.7654" in page


def test_a_key_without_leave_and_no_key_are_named(
    site: Any,
    small: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = str(small().accept())
    monkeypatch.delenv("BL_STEER_SERVICE_KEY", raising=False)
    submit = ["package", "submit", folder, "--server", site.address]
    assert main(submit) == 2
    assert "a key must be given" in capsys.readouterr().err
    assert main([*submit, "--key", site.key(site.user(), "jobs:read")]) == 2
    assert "it needs packages:write" in capsys.readouterr().err
    assert main(["package", "submit", folder]) == 2
