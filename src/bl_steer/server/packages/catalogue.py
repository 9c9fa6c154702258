"""Which packages there are, which are in use, and what lets one of them run.

Reading only; what changes a package's state is in `bl_steer.server.packages.review`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from bl_steer.server.db.tables import Package, Release, Review, User
from bl_steer.server.languages import TextKey, text
from bl_steer.server.packages.approval import Approval, Permit
from bl_steer.server.packages.manifest import PackageError
from bl_steer.server.packages.parameters import Text
from bl_steer.server.sandbox.dependencies import canonical

__all__ = [
    "ReviewError",
    "approvals_of",
    "asked_for",
    "author_of",
    "check_version",
    "find_package",
    "list_packages",
    "live_package",
    "permit_of",
    "release_before",
    "released_packages",
    "reviews_of",
    "title_of",
    "titles_of",
]


class ReviewError(PackageError):
    """Somebody may not do this to a package, or not now; the message says what would be right.

    Parameters
    ----------
    key : of the text, without ``review.``
    values : that the text names
    """

    def __init__(self, key: str, **values: object) -> None:
        super().__init__(text("en", f"review.{key}", **values), f"review.{key}", **values)


def permit_of(session: Session, sha256: str, *, public_key: str) -> Permit:
    """Return what lets a package run: it was released once, and is not revoked.

    A job keeps the package that it was submitted for, also when another was released meanwhile.

    Raises
    ------
    ReviewError
        When the package may not run.
    """
    package = session.get(Package, sha256)
    if package is None:
        raise ReviewError("unknown", sha256=f"{sha256[:12]}…")
    ever = session.scalar(select(Release.id).where(Release.sha256 == sha256).limit(1))
    if package.state not in ("approved", "released") or ever is None:
        reason = package.report["revoked"] if package.state == "revoked" else "–"
        raise ReviewError(
            "not_released",
            package=f"{package.name} {package.version}",
            state=TextKey(f"state.{package.state}"),
            reason=reason,
        )
    return Permit(
        sha256=sha256, approvals=tuple(approvals_of(session, package)), public_key=public_key
    )


def check_version(session: Session, name: str, version: str, sha256: str = "") -> None:
    """Refuse a version that does not come after all releases of its name, revoked ones too.

    Parameters
    ----------
    sha256 : of a package that may have been released before, and then may be again

    Raises
    ------
    ReviewError
        When a version as high was released.
    """
    query = select(Package.sha256, Package.version).join(Release, Release.sha256 == Package.sha256)
    released = dict(session.execute(query.where(Package.name == name)).tuples().all())
    highest = max(released.values(), key=_numbers, default="")
    if highest and sha256 not in released and _numbers(version) <= _numbers(highest):
        raise ReviewError("version_low", package=f"{name} {version}", highest=highest)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def live_package(session: Session, name: str) -> Package | None:
    """Return the release of a name that is in use; None where there is none."""
    return session.scalar(
        select(Package)
        .join(Release, Release.sha256 == Package.sha256)
        .where(Release.name == name, Release.ended.is_(None), Package.state == "released")
    )


def release_before(session: Session, package: Package) -> Package | None:
    """Return what was released under the name before this one, or last where it never was."""
    history = session.scalars(
        select(Release.sha256).where(Release.name == package.name).order_by(Release.id)
    ).all()
    before = history[: history.index(package.sha256)] if package.sha256 in history else history
    return session.get(Package, before[-1]) if before else None


def released_packages(session: Session) -> list[Package]:
    """Return the releases in use, by name: what users may choose."""
    return list(
        session.scalars(
            select(Package)
            .join(Release, Release.sha256 == Package.sha256)
            .where(Release.ended.is_(None), Package.state == "released")
            .order_by(Package.name)
        )
    )


def asked_for(session: Session, *, drafts: bool = True) -> list[list[str]]:
    """Return each set of libraries that a package asks for which may still run.

    Parameters
    ----------
    drafts : those of packages that went back to their authors, too
    """
    over = ("revoked",) if drafts else ("revoked", "draft")
    rows = session.scalars(select(Package).where(Package.state.not_in(over)))
    sets = {tuple(canonical(package.manifest.get("dependencies", ()))) for package in rows}
    return sorted(list(one) for one in sets if one)


def titles_of(session: Session, language: str) -> dict[str, str]:
    """Return the title of each package that was ever released, by name."""
    rows = session.scalars(
        select(Package)
        .where(Package.sha256.in_(select(Release.sha256)))
        .order_by(Package.created, Package.sha256)
    )
    return {package.name: title_of(package, language) for package in rows}


def title_of(package: Package, language: str) -> str:
    """Return what a package is called for a reader of a language."""
    return Text.model_validate(package.manifest["title"]).in_language(language)


def find_package(session: Session, key: str) -> Package:
    """Return a package by its content hash, the beginning of that, or ``name@version``.

    Raises
    ------
    ReviewError
        When there is none, or more than one.
    """
    name, at, version = key.partition("@")
    hexadecimal = len(key) >= 6 and all(c in "0123456789abcdef" for c in key)
    matches = session.scalars(
        select(Package).where(
            (Package.name == name) & (Package.version == version)
            if at
            else or_(Package.sha256.startswith(key if hexadecimal else "-"), Package.name == key)
        )
    ).all()
    if len(matches) != 1:
        listed = ", ".join(f"{package.name}@{package.version}" for package in matches[:5])
        raise ReviewError("ambiguous", name=repr(key), number=len(matches), found=listed or "–")
    return matches[0]


def list_packages(session: Session, *, state: str | None = None) -> list[Package]:
    """Return all packages, or those in a state, the latest first."""
    query = select(Package).order_by(Package.created.desc(), Package.sha256)
    return list(session.scalars(query if state is None else query.where(Package.state == state)))


def author_of(session: Session, package: Package) -> str:
    """Return the e-mail address of a package's author, or the id of one who is gone."""
    author = session.get(User, package.author_id)
    return author.email if author else package.author_id


def reviews_of(session: Session, package: Package) -> list[dict[str, Any]]:
    """Return who decided what about a package, and why, the first decision first."""
    rows = session.execute(
        select(Review, User.email)
        .join(User, User.id == Review.reviewer_id)
        .where(Review.package_sha256 == package.sha256)
        .order_by(Review.id)
    )
    return [
        {"by": email, "decision": row.decision, "comment": row.comment, "time": row.time}
        for row, email in rows
    ]


def approvals_of(session: Session, package: Package) -> list[Approval]:
    """Return the approvals since the last refusal, as they were signed."""
    reviews = session.scalars(
        select(Review).where(Review.package_sha256 == package.sha256).order_by(Review.id)
    ).all()
    refusals = [review.id for review in reviews if review.decision == "reject"]
    return [
        Approval(
            package=package.sha256,
            name=package.name,
            version=package.version,
            author=package.author_id,
            reviewer=review.reviewer_id,
            time=review.time,
            signature=review.signature,
        )
        for review in reviews
        if review.decision == "approve" and review.id > max(refusals, default=-1)
    ]
