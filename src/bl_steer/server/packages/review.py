"""The review: what a package goes through before others may run it, as changes of its row.

draft → submitted → checked → approved → released → revoked. A check that fails, and a reviewer's
refusal, make it a draft again. Every function works in a session of
`bl_steer.server.db.database.Database.write`, commits nothing itself, and leaves a record of the
event. Each takes the user who does it: what role a user must have is checked here, once.
"""

from __future__ import annotations

import time
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from bl_steer.processing.registry import analysis_names
from bl_steer.server.auth.closing import heirs_of
from bl_steer.server.db.audit import record_event
from bl_steer.server.db.tables import Package, Release, Review, User
from bl_steer.server.languages import TextKey
from bl_steer.server.packages.approval import Approval, ReviewKey
from bl_steer.server.packages.catalogue import (
    ReviewError,
    approvals_of,
    check_version,
    live_package,
)
from bl_steer.server.packages.manifest import Manifest
from bl_steer.server.packages.store import Arrived
from bl_steer.server.packages.testing import TestReport
from bl_steer.server.uploads.uploads import register_file

__all__ = [
    "REVIEWERS",
    "STATES",
    "ReviewError",
    "approve",
    "note_check",
    "reject",
    "release",
    "revoke",
    "roll_back",
    "submit",
]

State = Literal["draft", "submitted", "checked", "approved", "released", "revoked"]
STATES: tuple[State, ...] = ("draft", "submitted", "checked", "approved", "released", "revoked")
REVIEWERS = ("reviewer", "admin")
LONGEST_COMMENT = 10_000


def submit(session: Session, arrived: Arrived, author: User, *, ours: bool = False) -> Package:
    """Take in a built package for its check and review.

    Parameters
    ----------
    arrived : as `PackageStore.take_in` returns it, which is called before the session is opened
    ours : its name is the server's own, whoever submits it: that of retrained models

    Raises
    ------
    ReviewError
        When its name or version is taken, or its version does not come after the releases.
    """
    manifest = arrived.manifest
    package = session.get(Package, arrived.sha256, with_for_update=True)
    if package is None:
        _check_name(session, manifest, author, ours=ours)
        check_version(session, manifest.name, manifest.version)
        register_file(session, arrived.blob, arrived.size)
        package = Package(
            sha256=arrived.sha256,
            name=manifest.name,
            version=manifest.version,
            author_id=author.id,
            state="draft",
            manifest=manifest.model_dump(mode="json"),
            blob_sha256=arrived.blob,
        )
        session.add(package)
    elif package.author_id != author.id:
        raise ReviewError("other_author", package=_called(package))
    _move(package, "submitted", allowed=("draft",))
    package.report = {"inspection": arrived.inspection}
    _record(session, author, "package submit", package, file=arrived.blob)
    return package


def note_check(session: Session, sha256: str, report: TestReport) -> Package:
    """Note how a package's tests went: checked, or a draft again."""
    package = _locked(session, sha256)
    _move(package, "checked" if report.passed else "draft", allowed=("submitted",))
    package.report = {**package.report, "check": report.to_dict(), "checked": time.time()}
    problems = [*report.problems, *(p for test in report.tests for p in test["problems"])]
    problems += [f"{name} is still that of a new package" for name in report.unwritten]
    detail = {"passed": report.passed, "problems": problems[:20]}
    record_event(session, "check", "package check", sha256, detail)
    return package


def approve(
    session: Session, sha256: str, reviewer: User, comment: str = "", *, key: ReviewKey
) -> Package:
    """Sign a reviewer's approval; the last one that a package needs makes it approved.

    Raises
    ------
    ReviewError
        When the reviewer is its author, no reviewer, or has approved it already, or the package
        is not checked.
    """
    _check_role(reviewer)
    package = _locked(session, sha256)
    if reviewer.id == package.author_id:
        raise ReviewError("own", package=_called(package), email=reviewer.email)
    _require(package, ("checked",), "approved")
    reviews = approvals_of(session, package)
    if any(review.reviewer == reviewer.id for review in reviews):
        raise ReviewError("twice", package=_called(package), email=reviewer.email)
    approval = Approval(
        package=sha256,
        name=package.name,
        version=package.version,
        author=package.author_id,
        reviewer=reviewer.id,
        time=time.time(),
    ).signed(key)
    _add_review(session, package, reviewer, "approve", comment, approval)
    if len(reviews) + 1 >= _manifest(package).approvals_needed:
        _move(package, "approved", allowed=("checked",))
    _record(session, reviewer, "package approve", package, comment=comment[:500])
    return package


def reject(session: Session, sha256: str, reviewer: User, comment: str) -> Package:
    """Send a package back to its author; approvals that it had do not count any more.

    Raises
    ------
    ReviewError
        When the reviewer is none, gives no reason, or the package is beyond review.
    """
    _check_role(reviewer)
    package = _locked(session, sha256)
    if not comment.strip():
        raise ReviewError("no_reason_to_reject", package=_called(package))
    _move(package, "draft", allowed=("submitted", "checked", "approved"))
    _add_review(session, package, reviewer, "reject", comment, None)
    _record(session, reviewer, "package reject", package, comment=comment[:500])
    return package


def release(session: Session, sha256: str, by: User, *, public_key: str) -> Package:
    """Give an approved package to all users, in the place of the release of its name.

    Raises
    ------
    ReviewError
        When the user may not, or the package is not approved.
    """
    _check_role(by)
    package = _locked(session, sha256, with_name=True)
    given, needed = len(approvals_of(session, package)), _manifest(package).approvals_needed
    if package.state == "checked" and given:
        called = _called(package)
        raise ReviewError("more_approvals", package=called, needed=needed, given=given)
    _require(package, ("approved",), "released")
    check_version(session, package.name, package.version, sha256)
    _check_approvals(session, package, public_key)
    _go_live(session, package, by)
    _record(session, by, "package release", package)
    return package


def roll_back(session: Session, name: str, by: User, *, public_key: str) -> Package:
    """Release again what was released under a name before the latest release; return that.

    Raises
    ------
    ReviewError
        When the user may not, or there is nothing to go back to.
    """
    _check_role(by)
    session.scalars(
        select(Package).where(Package.name == name).order_by(Package.sha256).with_for_update()
    ).all()
    live = live_package(session, name)
    history = session.scalars(
        select(Release).where(Release.name == name).order_by(Release.id.desc())
    ).all()
    latest = history[0].sha256 if history else ""
    for past in history:
        package = session.get(Package, past.sha256)
        if package is not None and package.sha256 != latest and package.state == "approved":
            _check_approvals(session, package, public_key)
            _go_live(session, package, by)
            _record(session, by, "package roll back", package, instead_of=latest)
            return package
    raise ReviewError("nothing_before", name=name, version=live.version if live else "–")


def revoke(session: Session, sha256: str, by: User, reason: str) -> Package:
    """Let a package never run again.

    Raises
    ------
    ReviewError
        When the user is neither reviewer nor its author, or gives no reason.
    """
    package = _locked(session, sha256, with_name=True)
    if by.id != package.author_id:
        _check_role(by)
    if not reason.strip():
        raise ReviewError("no_reason_to_revoke", package=_called(package))
    _move(package, "revoked", allowed=STATES[:-1])
    _end_release(session, package.name)
    package.report = {**package.report, "revoked": reason[:LONGEST_COMMENT]}
    _record(session, by, "package revoke", package, reason=reason[:500])
    return package


def _check_name(session: Session, manifest: Manifest, author: User, *, ours: bool) -> None:
    name, version = manifest.name, manifest.version
    if name in analysis_names():
        raise ReviewError("name_of_ours", name=name)
    others = session.scalars(select(Package).where(Package.name == name)).all()
    if any(other.version == version and other.state != "draft" for other in others):
        raise ReviewError("version_taken", package=f"{name} {version}")
    owners = {other.author_id for other in others if other.state != "draft"}
    owners |= heirs_of(session, owners)
    if owners and author.id not in owners and author.role not in REVIEWERS and not ours:
        raise ReviewError("name_taken", name=name, email=author.email)


def _check_role(user: User) -> None:
    if user.role not in REVIEWERS or user.disabled is not None:
        raise ReviewError("no_reviewer", email=user.email, role=TextKey(f"role.{user.role}"))


def _check_approvals(session: Session, package: Package, public_key: str) -> None:
    valid = {
        approval.reviewer
        for approval in approvals_of(session, package)
        if approval.is_valid(public_key)
    }
    needed = _manifest(package).approvals_needed
    if len(valid) < needed:
        raise ReviewError(
            "too_few_approvals", package=_called(package), needed=needed, valid=len(valid)
        )


def _add_review(
    session: Session,
    package: Package,
    reviewer: User,
    decision: str,
    comment: str,
    approval: Approval | None,
) -> None:
    session.add(
        Review(
            package_sha256=package.sha256,
            reviewer_id=reviewer.id,
            decision=decision,
            comment=comment[:LONGEST_COMMENT],
            signature=approval.signature if approval else "",
            time=approval.time if approval else time.time(),
        )
    )
    session.flush()


def _go_live(session: Session, package: Package, by: User) -> None:
    _end_release(session, package.name)
    _move(package, "released", allowed=("approved",))
    session.add(Release(name=package.name, sha256=package.sha256, by=by.id))
    session.flush()


def _end_release(session: Session, name: str) -> None:
    """End the live release of a name; its package stays approved unless it is revoked."""
    for other in session.scalars(
        select(Release).where(Release.name == name, Release.ended.is_(None)).with_for_update()
    ):
        other.ended = time.time()
        package = session.get(Package, other.sha256)
        if package is not None and package.state == "released":
            package.state = "approved"
    session.flush()


def _locked(session: Session, sha256: str, *, with_name: bool = False) -> Package:
    """Return a package that nobody else changes before this transaction ends.

    Parameters
    ----------
    with_name : and no other package of its name
    """
    package = session.get(Package, sha256)
    if package is None:
        raise ReviewError("unknown", sha256=f"{sha256[:12]}…")
    condition = Package.name == package.name if with_name else Package.sha256 == sha256
    session.scalars(
        select(Package)
        .where(condition)
        .order_by(Package.sha256)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    return package


def _move(package: Package, state: State, *, allowed: tuple[State, ...]) -> None:
    _require(package, allowed, state)
    package.state = state


def _require(package: Package, allowed: tuple[State, ...], state: State) -> None:
    if package.state not in allowed:
        raise ReviewError(
            f"not_to_{state}",
            package=_called(package),
            state=TextKey(f"state.{package.state}"),
        )


def _manifest(package: Package) -> Manifest:
    return Manifest.model_validate(package.manifest)


def _called(package: Package) -> str:
    return f"{package.name} {package.version}"


def _record(session: Session, by: User, event: str, package: Package, **detail: Any) -> None:
    about = {"name": package.name, "version": package.version, "state": package.state}
    record_event(session, by.email, event, package.sha256, {**about, **detail})
