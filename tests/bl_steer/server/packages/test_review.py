from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from bl_steer.server.db.audit import broken_link
from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import AuditRecord, Package, Release, Review, User
from bl_steer.server.packages import review
from bl_steer.server.packages.approval import Approval, ReviewKey, approved_analysis
from bl_steer.server.packages.catalogue import (
    ReviewError,
    find_package,
    live_package,
    permit_of,
    released_packages,
)
from bl_steer.server.packages.manifest import PackageError
from bl_steer.server.packages.store import PackageStore
from bl_steer.server.packages.testing import TestReport

PASSED = TestReport(({"name": "three", "problems": [], "found": {}, "warnings": []},))
FAILED = TestReport(({"name": "three", "problems": ["wrong"], "found": {}, "warnings": []},))
CODE = """
[weights]
file = "model.pkl"
format = "pickle"

[training_data]
description = "none"
"""


class Office:
    """The deeds of a test, each in a transaction of its own."""

    def __init__(self, database: Database, packages: PackageStore, people: dict[str, User]) -> None:
        self.database, self.packages, self.people = database, packages, people

    def submit(self, archive: Path, by: str = "author") -> str:
        with archive.open("rb") as file, self.database.write() as session:
            return review.submit(session, self.packages.take_in(file), self.people[by]).sha256

    def check(self, sha256: str, report: TestReport = PASSED) -> None:
        with self.database.write() as session:
            review.note_check(session, sha256, report)

    def approve(self, sha256: str, by: str = "one") -> str:
        with self.database.write() as session:
            return review.approve(
                session, sha256, self.people[by], "fine", key=self.packages.key
            ).state

    def release(self, sha256: str, by: str = "one") -> None:
        with self.database.write() as session:
            review.release(session, sha256, self.people[by], public_key=self.packages.key.public)

    def roll_back(self, name: str = "sums") -> str:
        with self.database.write() as session:
            return review.roll_back(
                session, name, self.people["one"], public_key=self.packages.key.public
            ).sha256

    def revoke(self, sha256: str) -> None:
        with self.database.write() as session:
            review.revoke(session, sha256, self.people["one"], "it was wrong")

    def let_go(self, sha256: str) -> None:
        self.check(sha256)
        self.approve(sha256)
        self.release(sha256)

    def released(self, archive: Path) -> str:
        sha256 = self.submit(archive)
        self.let_go(sha256)
        return sha256

    def live(self) -> list[str]:
        with self.database.read() as session:
            return [one.sha256 for one in released_packages(session)]

    def run(self, sha256: str) -> Any:
        with self.database.read() as session:
            folder, permit = self.packages.permitted(session, sha256)
        return approved_analysis(folder, permit)


@pytest.fixture
def office(database: Database, packages: PackageStore, people: dict[str, User]) -> Office:
    return Office(database, packages, people)


def test_a_package_goes_from_its_author_to_all_users(
    office: Office, small: Callable[..., Any]
) -> None:
    archive = small().archive()
    sha256 = office.submit(archive)
    with pytest.raises(ReviewError, match="must be checked to become approved"):
        office.approve(sha256)
    office.check(sha256)
    with pytest.raises(ReviewError, match="must be approved to become released"):
        office.release(sha256)
    assert office.approve(sha256) == "approved"
    with pytest.raises(ReviewError, match="must be released to run"):
        office.run(sha256)
    office.release(sha256)
    assert office.live() == [sha256]
    assert office.run(sha256).name == "sums"
    with office.database.read() as session:
        deeds = [one.action for one in session.scalars(select(AuditRecord))]
        assert broken_link(session) is None
        assert find_package(session, "sums@1.0.0").sha256 == sha256
        assert find_package(session, sha256[:8]).sha256 == sha256
    assert deeds == [f"package {one}" for one in ("submit", "check", "approve", "release")]


def test_nobody_approves_what_is_their_own(office: Office, small: Callable[..., Any]) -> None:
    sha256 = office.submit(small().archive())
    office.check(sha256)
    with pytest.raises(ReviewError, match="somebody else than its author"):
        office.approve(sha256, by="author")
    with pytest.raises(ReviewError, match="must be a reviewer"):
        office.approve(sha256, by="user")


def test_a_pickle_is_approved_by_two_different_people(
    office: Office, small: Callable[..., Any]
) -> None:
    import pickle

    package = small(more=CODE, files={"model.pkl": pickle.dumps({"weight": 2.0})})
    sha256 = office.submit(package.archive())
    office.check(sha256)
    assert office.approve(sha256, by="one") == "checked"
    with pytest.raises(ReviewError, match="different reviewers"):
        office.approve(sha256, by="one")
    with pytest.raises(ReviewError, match="has 1 of 2 approvals; another reviewer must approve"):
        office.release(sha256)
    assert office.approve(sha256, by="two") == "approved"
    office.release(sha256)
    assert office.run(sha256).manifest.approvals_needed == 2


def test_a_failed_check_and_a_refusal_give_the_draft_back(
    office: Office, small: Callable[..., Any]
) -> None:
    archive = small().archive()
    sha256 = office.submit(archive)
    office.check(sha256, FAILED)
    with pytest.raises(ReviewError, match="checked"):
        office.approve(sha256)
    assert office.submit(archive) == sha256
    office.check(sha256)
    office.approve(sha256)
    with office.database.write() as session:
        with pytest.raises(ReviewError, match="must have a reason"):
            review.reject(session, sha256, office.people["two"], " ")
        review.reject(session, sha256, office.people["two"], "no README")
    with pytest.raises(ReviewError, match="must be approved"):
        office.release(sha256)
    office.submit(archive)
    office.check(sha256)
    with office.database.read() as session, pytest.raises(ReviewError, match="released"):
        permit_of(session, sha256, public_key="")
    # The approval before the refusal does not count any more.
    assert office.approve(sha256, by="one") == "approved"


def test_one_release_of_a_name_is_live_and_rollback_returns_to_the_one_before(
    office: Office, small: Callable[..., Any]
) -> None:
    first = office.released(small(version="1.0.0").archive())
    with pytest.raises(ReviewError, match="earlier release to go back to"):
        office.roll_back()
    second = office.released(small(version="1.1.0").archive())
    third = office.released(small(version="1.2.0").archive())
    other = office.released(small(name="others").archive())
    assert office.live() == [other, third]
    assert office.roll_back() == second
    assert office.live() == [other, second]
    assert office.run(third).version == "1.2.0", "a job keeps the package it was submitted for"
    office.revoke(second)
    assert office.live() == [other]
    for gone in (second,):
        with pytest.raises(ReviewError, match="it was wrong"):
            office.run(gone)
    office.revoke(third)
    assert office.roll_back() == first
    with office.database.read() as session:
        live = live_package(session, "sums")
        assert live is not None
        assert live.version == "1.0.0"
    with pytest.raises(IntegrityError), office.database.write() as session:
        session.add(Release(name="sums", sha256=third, by="one"))


def test_a_version_stays_what_it_is_and_a_name_with_its_authors(
    office: Office, small: Callable[..., Any]
) -> None:
    office.submit(small().archive())
    with pytest.raises(ReviewError, match="raise the version"):
        office.submit(small(script=small().script + "\n# other\n").archive())
    with pytest.raises(ReviewError, match="must stay with its authors"):
        office.submit(small(version="2.0.0").archive(), by="user")
    with pytest.raises(ReviewError, match="an analysis of bl_steer"):
        office.submit(small(name="segment").archive())


def test_a_release_comes_after_all_others_and_only_a_rollback_goes_back(
    office: Office, small: Callable[..., Any]
) -> None:
    first = office.released(small(version="1.9.0").archive())
    late = office.submit(small(version="1.10.0").archive())
    for version in ("1.8.0", "1.2.5", "01.09.0"):
        with pytest.raises(ReviewError, match=r"a higher version than 1\.9\.0"):
            office.submit(small(version=version).archive())
    second = office.released(small(version="1.11.0").archive())
    with pytest.raises(ReviewError, match=r"a higher version than 1\.11\.0"):
        office.let_go(late)
    assert office.roll_back() == first
    assert office.live() == [first]
    office.release(second)
    assert office.live() == [second]


def test_a_swapped_signature_never_runs(office: Office, small: Callable[..., Any]) -> None:
    first = office.released(small(version="1.0.0").archive())
    second = office.released(small(version="1.1.0").archive())
    with office.database.write() as session:
        signatures = dict(session.execute(select(Review.package_sha256, Review.signature)).all())
        session.execute(
            update(Review)
            .where(Review.package_sha256 == second)
            .values(signature=signatures[first])
        )
    assert office.run(first).version == "1.0.0"
    with pytest.raises(PackageError, match="got 0 valid approvals"):
        office.run(second)


def test_who_can_write_to_the_database_alone_forges_no_approval(
    office: Office, small: Callable[..., Any]
) -> None:
    sha256 = office.submit(small().archive())
    forged = Approval(
        package=sha256, name="sums", version="1.0.0", author="author", reviewer="one", time=1.0
    ).signed(ReviewKey(b"\1" * 32))
    with office.database.write() as session:
        session.get_one(Package, sha256).state = "released"
        session.add(Release(name="sums", sha256=sha256, by="one"))
        session.add(
            Review(
                package_sha256=sha256,
                reviewer_id="one",
                decision="approve",
                signature=forged.signature,
                time=1.0,
            )
        )
    with pytest.raises(PackageError, match="got 0 valid approvals"):
        office.run(sha256)


def test_a_forged_approval_by_the_author_never_runs(
    office: Office, small: Callable[..., Any]
) -> None:
    sha256 = office.released(small().archive())
    own = Approval(
        package=sha256, name="sums", version="1.0.0", author="author", reviewer="author", time=1.0
    ).signed(office.packages.key)
    with office.database.write() as session:
        session.execute(
            update(Review).values(reviewer_id="author", time=1.0, signature=own.signature)
        )
    with pytest.raises(PackageError, match="got 0 valid approvals"):
        office.run(sha256)


@pytest.mark.parametrize("change", ["byte", "added"])
def test_what_was_changed_after_its_release_never_runs(
    office: Office, small: Callable[..., Any], change: str, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    sha256 = office.released(small().archive())
    analysis = office.run(sha256)
    folder = office.packages.folder / sha256
    folder.chmod(0o755)
    script = folder / "script.py"
    script.chmod(0o644)
    if change == "byte":
        script.write_text(f"open({str(canary)!r}, 'w')\n" + script.read_text())
    else:
        (folder / "numpy.py").write_text(f"open({str(canary)!r}, 'w')\n")
    with pytest.raises(PackageError, match=r"was changed|was added"):
        office.run(sha256)
    inputs = analysis.inputs_from_files([folder / "tests" / "three.csv"])
    with pytest.raises(PackageError, match=r"was changed|was added"):
        analysis.run(inputs, analysis.Params())
    assert not canary.exists()


def test_a_package_is_unpacked_anew_where_it_is_missing(
    office: Office, small: Callable[..., Any]
) -> None:
    sha256 = office.released(small().archive())
    (office.packages.folder / sha256).rename(office.packages.folder / "gone")
    assert office.run(sha256).version == "1.0.0"


def test_the_key_of_the_reviews_is_for_its_owner_alone(packages: PackageStore) -> None:
    public = packages.key.public
    assert packages.key.public == public
    (path,) = packages.folder.with_name("keys").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    with pytest.raises(PermissionError, match="readable by its owner alone"):
        _ = packages.key
