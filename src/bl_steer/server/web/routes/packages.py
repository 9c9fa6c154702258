"""Packages: submitted by their authors, read and decided on by reviewers, released to all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from sqlalchemy import or_, select
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from bl_steer.server.auth.accounts import has_role
from bl_steer.server.db.tables import Package, Release, Review, User
from bl_steer.server.db.training_tables import Retraining
from bl_steer.server.errors import Refused, missing
from bl_steer.server.packages import Manifest, PackageError, review
from bl_steer.server.packages.catalogue import approvals_of
from bl_steer.server.packages.checking import is_under_check
from bl_steer.server.packages.inspection import unwritten
from bl_steer.server.packages.manifest import parse_manifest
from bl_steer.server.packages.revocation import tell_users
from bl_steer.server.told_paths import without_folders
from bl_steer.server.uploads.downloads import file_response
from bl_steer.server.uploads.multipart import Arrival
from bl_steer.server.web.authorization import read_upload_form
from bl_steer.server.web.context import Context
from bl_steer.server.web.dependencies import AppContext, CurrentUser, Form
from bl_steer.server.web.package_files import given_file, preview_of, readme_of, tests_of
from bl_steer.server.web.package_view import (
    Changes,
    changes_of,
    dependencies_of,
    folder_of,
    refusal_of,
    script_of,
)
from bl_steer.server.web.rendering import language_of, render
from bl_steer.server.web.routes import pages_router

__all__ = ["router"]

router = pages_router()
ACTIONS = ("approve", "reject", "release", "roll_back", "revoke")


@router.get("/packages")
def packages_page(request: Request, context: AppContext, user: CurrentUser) -> Response:
    """List the packages: all of them to a reviewer, released ones and their own to others."""
    return _list(request, context, user)


@router.post("/packages")
async def submit(request: Request, context: AppContext, user: CurrentUser) -> Response:
    """Take in a built package from a form."""
    with context.arrival() as arrival:
        await read_upload_form(request, arrival)
        try:
            package = await run_in_threadpool(_submit, context, user, arrival)
        except PackageError as error:
            return await run_in_threadpool(
                _list, request, context, user, refusal_of(error, language_of(request))
            )
    return RedirectResponse(f"/packages/{package.sha256}", 303)


@router.get("/packages/{sha256}")
def package_page(request: Request, context: AppContext, user: CurrentUser, sha256: str) -> Response:
    """Show all that a reviewer must see, and who decided what."""
    return _page(request, context, user, sha256)


@router.get("/packages/{sha256}/archive")
def archive(context: AppContext, user: CurrentUser, sha256: str) -> Response:
    """Return a package as it was submitted, to its author and to reviewers."""
    with context.database.read() as session:
        package = _seen(session, user, sha256, in_full=True)
    name = f"{package.name}-{package.version}.zip"
    return file_response(context.store, package.blob_sha256, name, "application/zip")


@router.get("/packages/{sha256}/given")
def given(context: AppContext, user: CurrentUser, sha256: str, file: str = "") -> Response:
    """Return a file that a test of a package is given, to its author and to reviewers."""
    return given_file(*_contents(context, user, sha256), file)


@router.get("/packages/{sha256}/preview")
def preview(context: AppContext, user: CurrentUser, sha256: str, file: str = "") -> Response:
    """Return a picture of an image that no browser shows, to whoever may have the image."""
    return preview_of(*_contents(context, user, sha256), file, context.planes)


def _contents(context: Context, user: User, sha256: str) -> tuple[Path, Manifest]:
    """Return folder and manifest of a package, for its author and reviewers."""
    with context.database.read() as session:
        package = _seen(session, user, sha256, in_full=True)
        folder = folder_of(session, context.packages, package)
        manifest = parse_manifest(package.manifest, package.name)
    if folder is None:
        raise Refused(410, "refused.gone")
    return folder, manifest


@router.post("/packages/{sha256}")
def decide(
    request: Request,
    context: AppContext,
    user: CurrentUser,
    form: Form,
    sha256: str,
) -> Response:
    """Approve, reject, release, roll back or revoke."""
    action, comment = form.get("deed", ""), form.get("comment", "")
    if action not in ACTIONS:
        raise Refused(422, "refused.body", reason="deed")
    try:
        with context.database.write() as session:
            package = _seen(session, user, sha256)
            _decide(context, session, package, user, action, comment)
    except PackageError as error:
        return _page(
            request, context, user, sha256, refused=refusal_of(error, language_of(request))
        )
    return RedirectResponse(f"/packages/{sha256}", 303)


@router.get("/api/v1/packages")
def list_packages(context: AppContext, user: CurrentUser) -> Response:
    """Return the packages that the key's user may see."""
    with context.database.read() as session:
        return JSONResponse([_package_info(package) for package in _visible(session, user)])


@router.post("/api/v1/packages")
async def submit_package(request: Request, context: AppContext, user: CurrentUser) -> Response:
    """Take in a built package, a zip, as the body of the request."""
    with context.arrival() as arrival:
        await arrival.read_file(request.stream(), "package.zip")
        try:
            package = await run_in_threadpool(_submit, context, user, arrival)
        except PackageError as error:
            raise refusal_of(error, language_of(request)) from error
    return JSONResponse(_package_info(package), 201)


@router.get("/api/v1/packages/{sha256}")
def show_package(context: AppContext, user: CurrentUser, sha256: str) -> Response:
    """Return a package's state, manifest and report."""
    with context.database.read() as session:
        package = _seen(session, user, sha256)
    return JSONResponse(
        {**_package_info(package), "manifest": package.manifest, "report": package.report}
    )


def _submit(context: Context, author: User, arrival: Arrival) -> Package:
    if not arrival.files:
        raise Refused(422, "refused.no_file_given")
    with arrival.files[0].path.open("rb") as file:
        arrived = context.packages.take_in(file)
    with context.database.write() as session:
        return review.submit(session, arrived, author)


def _decide(
    context: Context, session: Session, package: Package, by: User, action: str, comment: str
) -> None:
    key = context.packages.key
    if action == "approve":
        review.approve(session, package.sha256, by, comment, key=key)
    elif action == "reject":
        review.reject(session, package.sha256, by, comment)
    elif action == "release":
        review.release(session, package.sha256, by, public_key=key.public)
    elif action == "roll_back":
        review.roll_back(session, package.name, by, public_key=key.public)
    else:
        review.revoke(session, package.sha256, by, comment)
        tell_users(session, package, comment, address=context.settings.address)


def _visible(session: Session, user: User) -> list[Package]:
    query = select(Package).order_by(Package.created.desc()).limit(500)
    if not has_role(user, "reviewer"):
        mine = Package.author_id == user.id
        query = query.where(or_(mine, Package.state == "released"))
    return list(session.scalars(query))


def _seen(session: Session, user: User, sha256: str, *, in_full: bool = False) -> Package:
    """Return a package that the user may see; `Refused` where there is none.

    Parameters
    ----------
    in_full : with script and weights, which users need not see
    """
    package = session.get(Package, sha256)
    if package is not None:
        is_author = package.author_id == user.id
        public = package.state == "released" and not in_full
        if is_author or public or has_role(user, "reviewer"):
            return package
    raise missing("package")


def _list(
    request: Request, context: Context, user: User, refused: Refused | None = None
) -> Response:
    with context.database.read() as session:
        packages = _visible(session, user)
        authors = _emails(session, {package.author_id for package in packages})
    return render(request, "packages", refused=refused, packages=packages, authors=authors)


def _page(
    request: Request,
    context: Context,
    user: User,
    sha256: str,
    *,
    refused: Refused | None = None,
) -> Response:
    with context.database.read() as session:
        package = _seen(session, user, sha256)
        try:
            manifest = parse_manifest(package.manifest, package.name)
        except PackageError as error:  # taken by an earlier version
            raise refusal_of(error, language_of(request)) from error
        reviews = list(
            session.scalars(
                select(Review).where(Review.package_sha256 == sha256).order_by(Review.id)
            )
        )
        emails = _emails(
            session, {package.author_id, *(verdict.reviewer_id for verdict in reviews)}
        )
        approvals = approvals_of(session, package)
        retrained = session.scalar(select(Retraining).where(Retraining.package_sha256 == sha256))
        releases = session.scalars(select(Release).where(Release.name == package.name)).all()
        is_insider = package.author_id == user.id or has_role(user, "reviewer")
        store = context.packages
        folder = folder_of(session, store, package) if is_insider else None
        language = language_of(request)
        changes, trouble = (
            _changes(context, session, package, language) if is_insider else (None, "")
        )
    return render(
        request,
        "package",
        tested_now=is_under_check(context.database, context.packages, sha256),
        refused=refused,
        package=package,
        manifest=manifest,
        reviews=reviews,
        approvals=len(approvals),
        retrained=retrained.report if retrained and is_insider else None,
        emails=emails,
        is_insider=is_insider,
        unwritten=unwritten(manifest),
        script=script_of(folder, manifest) if folder else "",
        readme=readme_of(folder, manifest) if folder else None,
        tests=tests_of(folder, manifest) if folder else [],
        changes=changes,
        no_changes=trouble,
        dependencies=dependencies_of(store, manifest, language),
        actions=_actions(
            package, user, has_earlier=len({release.sha256 for release in releases}) > 1
        ),
    )


def _actions(package: Package, user: User, *, has_earlier: bool) -> list[str]:
    """Return what this user may do to a package now; the review itself checks again."""
    author, reviewer = package.author_id == user.id, has_role(user, "reviewer")
    allowed = {
        "approve": reviewer and not author and package.state == "checked",
        "reject": reviewer and package.state in ("submitted", "checked", "approved"),
        "release": reviewer and package.state == "approved",
        "roll_back": reviewer and package.state == "released" and has_earlier,
        "revoke": (reviewer or author) and package.state != "revoked",
    }
    return [action for action in ACTIONS if allowed[action]]


def _changes(
    context: Context, session: Session, package: Package, language: str
) -> tuple[Changes | None, str]:
    """Return what a package changes, or why that cannot be said."""
    try:
        return changes_of(session, context.packages, package), ""
    except PackageError as error:
        return None, refusal_of(error, language).in_language(language)
    except OSError as error:
        return None, without_folders(str(error), ours=context.settings.folders)


def _emails(session: Session, ids: set[str]) -> dict[str, str]:
    rows = session.execute(select(User.id, User.email).where(User.id.in_(ids)))
    return dict(rows.tuples().all())


def _package_info(package: Package) -> dict[str, Any]:
    names = ("sha256", "name", "version", "state", "created")
    return {name: getattr(package, name) for name in names}
