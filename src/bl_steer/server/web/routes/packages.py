"""Packages: submitted by their authors, read and decided on by reviewers, released to all."""

from __future__ import annotations

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
from bl_steer.server.packages import PackageError, review
from bl_steer.server.packages.catalogue import approvals_of
from bl_steer.server.packages.checking import is_under_check
from bl_steer.server.packages.manifest import parse_manifest
from bl_steer.server.packages.revocation import tell_users
from bl_steer.server.uploads.downloads import file_response
from bl_steer.server.uploads.multipart import Arrival
from bl_steer.server.web.authorization import read_upload_form
from bl_steer.server.web.context import Context
from bl_steer.server.web.dependencies import AppContext, CurrentUser, Form
from bl_steer.server.web.package_view import Changes, changes_of, dependencies_of, script_of
from bl_steer.server.web.rendering import render
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
            return await run_in_threadpool(_list, request, context, user, _refused(error))
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
        return _page(request, context, user, sha256, refused=_refused(error))
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
            raise _refused(error) from error
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
    with arrival.files[0].path.open("rb") as file, context.database.write() as session:
        return review.submit(session, file, author, packages=context.packages)


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


def _refused(error: PackageError) -> Refused:
    """Return why not: the rule of the review, or what does not fit in the package."""
    if isinstance(error, review.ReviewError):
        return Refused(422, f"review.{error.key}", **error.values)
    return Refused(422, "refused.package", reason=str(error))


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
        manifest = parse_manifest(package.manifest, package.name)
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
        script = script_of(session, store, package, manifest) if is_insider else ""
        changes, trouble = _changes(context, session, package) if is_insider else (None, "")
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
        script=script,
        changes=changes,
        no_changes=trouble,
        dependencies=dependencies_of(store, manifest),
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


def _changes(context: Context, session: Session, package: Package) -> tuple[Changes | None, str]:
    """Return what a package changes, or why that cannot be said."""
    try:
        return changes_of(session, context.packages, package), ""
    except (PackageError, OSError) as error:
        return None, str(error)


def _emails(session: Session, ids: set[str]) -> dict[str, str]:
    rows = session.execute(select(User.id, User.email).where(User.id.in_(ids)))
    return dict(rows.tuples().all())


def _package_info(package: Package) -> dict[str, Any]:
    names = ("sha256", "name", "version", "state", "created")
    return {name: getattr(package, name) for name in names}
