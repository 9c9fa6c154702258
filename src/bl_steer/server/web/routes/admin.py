"""Pages of the administrator: how the server is, accounts, access log, audit."""

from __future__ import annotations

import time

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from bl_steer.server.auth.accounts import ROLES, add_user, change_user, invite
from bl_steer.server.auth.closing import close_account
from bl_steer.server.auth.password_resets import LINK_HOURS, link_for
from bl_steer.server.auth.passwords import hashed
from bl_steer.server.auth.sessions import sessions_of
from bl_steer.server.auth.tokens import MIN_PASSWORD
from bl_steer.server.db.audit import broken_link
from bl_steer.server.db.tables import (
    AuditRecord,
    Base,
    Blob,
    Job,
    OutgoingMail,
    Package,
    Upload,
    User,
    Worker,
)
from bl_steer.server.errors import Refused, missing
from bl_steer.server.languages import has_text, text
from bl_steer.server.sizes import amount
from bl_steer.server.texts import plain_number
from bl_steer.server.web.access_log import latest_requests, masked
from bl_steer.server.web.context import Context
from bl_steer.server.web.dependencies import AppContext, CurrentUser, Form
from bl_steer.server.web.rendering import language_of, render
from bl_steer.server.web.routes import pages_router

__all__ = ["router"]

router = pages_router()
DAY_S = 86_400.0
PAGE = 100


@router.get("/admin")
def overview(request: Request, context: AppContext) -> Response:
    """Show how the server is."""
    language = language_of(request)
    with context.database.read() as session:
        tiles = _tiles(session, language)
        workers = list(session.scalars(select(Worker).order_by(Worker.seen.desc()).limit(50)))
        failures = list(
            session.scalars(
                select(Job).where(Job.state == "failed").order_by(Job.created.desc()).limit(10)
            )
        )
    newest = max((worker.seen for worker in workers), default=0.0)
    silent = time.time() - newest > context.settings.alarm_after_s
    return render(
        request,
        "admin",
        tiles=tiles,
        workers=workers,
        failures=failures,
        titles=context.titles(language),
        silent=silent,
    )


@router.get("/admin/users")
def users_page(request: Request, context: AppContext) -> Response:
    """List the accounts."""
    return _users(request, context)


@router.post("/admin/users")
def make_user(request: Request, context: AppContext, user: CurrentUser, form: Form) -> Response:
    """Make an account."""
    try:
        password = hashed(form.get("password", ""))
        with context.database.write() as session:
            add_user(
                session,
                form.get("email", ""),
                name=form.get("name", ""),
                password=password,
                role=form.get("role", "user"),
                by=user.email,
            )
    except Refused as refused:
        return _users(request, context, refused=refused)
    return RedirectResponse("/admin/users", 303)


@router.post("/admin/users/{user_id}")
def edit_user(
    request: Request, context: AppContext, user: CurrentUser, form: Form, user_id: str
) -> Response:
    """Change somebody's role, or close and reopen the account."""
    try:
        with context.database.write() as session:
            change_user(
                session,
                user_id,
                by=user,
                role=form.get("role"),
                disabled=bool(form["disabled"]) if "disabled" in form else None,
            )
    except Refused as refused:
        if refused.status == 404:
            raise
        return _users(request, context, refused=refused)
    return RedirectResponse("/admin/users", 303)


@router.get("/admin/users/{user_id}")
def user_page(request: Request, context: AppContext, user_id: str) -> Response:
    """Show an account, and what can be done with it."""
    return _user(request, context, user_id)


@router.post("/admin/users/{user_id}/close")
def close_user(
    request: Request, context: AppContext, user: CurrentUser, form: Form, user_id: str
) -> Response:
    """Close an account; its files and jobs stay, or go to another one."""
    try:
        with context.database.write() as session:
            close_account(session, user_id, by=user, heir=form.get("heir", ""))
    except Refused as refused:
        if refused.status == 404:
            raise
        return _user(request, context, user_id, heir=form.get("heir", ""), refused=refused)
    return RedirectResponse(f"/admin/users/{user_id}", 303)


@router.post("/admin/users/{user_id}/reset")
def make_reset_link(
    request: Request, context: AppContext, user: CurrentUser, user_id: str
) -> Response:
    """Make a link for a new password, and show it this once."""
    with context.database.write() as session:
        account = session.get(User, user_id)
        if account is None:
            raise missing("user")
        token = link_for(session, account.email, by=user.email)
    return _user(request, context, user_id, link=f"{context.settings.address}/reset/{token}")


@router.post("/admin/invitations")
def make_invitation(
    request: Request, context: AppContext, user: CurrentUser, form: Form
) -> Response:
    """Make an invitation, and show its link this once."""
    try:
        with context.database.write() as session:
            token = invite(
                session,
                by=user.email,
                email=form.get("email", ""),
                role=form.get("role", "user"),
            )
    except Refused as refused:
        return _users(request, context, refused=refused)
    return _users(request, context, link=f"{context.settings.address}/join/{token}")


@router.get("/admin/access")
def access(request: Request, context: AppContext, before: str = "") -> Response:
    """Show the access log."""
    with context.database.read() as session:
        records = latest_requests(session, before=_number(before), limit=PAGE)
        user_ids = {record.user_id for record in records if record.user_id}
        emails = dict(
            session.execute(select(User.id, User.email).where(User.id.in_(user_ids))).tuples().all()
        )
    older = records[-1].id if len(records) == PAGE else None
    return render(
        request, "admin_access", records=records, emails=emails, older=older, masked=masked
    )


@router.get("/admin/audit")
def audit(request: Request, context: AppContext, before: str = "", whole: str = "") -> Response:
    """Show the audit trail, and whether its chain is unbroken: here, or all of it if asked to."""
    query = select(AuditRecord).order_by(AuditRecord.id.desc()).limit(PAGE)
    if (first := _number(before)) is not None:
        query = query.where(AuditRecord.id < first)
    with context.database.read() as session:
        records = list(session.scalars(query))
        is_whole = bool(whole) or (first is None and len(records) < PAGE)
        shown = (records[-1].id, records[0].id) if records and not is_whole else (0, None)
        broken = broken_link(session, first=shown[0], last=shown[1])
    older = records[-1].id if len(records) == PAGE else None
    language = language_of(request)
    events = {record.action: _event_title(record.action, language) for record in records}
    return render(
        request,
        "admin_audit",
        records=records,
        events=events,
        broken=broken,
        whole=is_whole,
        older=older,
    )


def _event_title(action: str, language: str) -> str:
    key = f"audit.{action}"
    return text(language, key) if has_text(key) else action


def _number(typed: str) -> int | None:
    plain = plain_number(typed)
    return int(plain) if plain.isascii() and plain.isdigit() and len(plain) < 19 else None


def _users(
    request: Request, context: Context, *, link: str = "", refused: Refused | None = None
) -> Response:
    with context.database.read() as session:
        users = list(session.scalars(select(User).order_by(User.created)))
    return render(
        request,
        "admin_users",
        refused=refused,
        users=users,
        roles=ROLES,
        link=link,
        least=MIN_PASSWORD,
    )


def _user(
    request: Request,
    context: Context,
    user_id: str,
    *,
    link: str = "",
    heir: str = "",
    refused: Refused | None = None,
) -> Response:
    with context.database.read() as session:
        account = session.get(User, user_id)
        if account is None:
            raise missing("user")
        counted = {
            "files": _count(session, Upload, Upload.user_id == user_id, Upload.deleted.is_(None)),
            "jobs": _count(session, Job, Job.user_id == user_id),
            "packages": _count(session, Package, Package.author_id == user_id),
            "sessions": len(sessions_of(session, user_id)),
        }
        to = session.get(User, account.heir_id) if account.heir_id else None
    return render(
        request,
        "admin_user",
        refused=refused,
        account=account,
        counted=counted,
        successor=to.email if to else "",
        roles=ROLES,
        link=link,
        hours=f"{LINK_HOURS:g}",
        heir=heir[:254],
    )


def _count(session: Session, table: type[Base], *where: ColumnElement[bool]) -> int:
    return session.scalar(select(func.count()).select_from(table).where(*where)) or 0


def _tiles(session: Session, language: str) -> list[tuple[str, str, bool]]:
    """Return label, number and whether it is bad, for each."""
    since = time.time() - DAY_S
    stored = session.scalar(select(func.sum(Blob.size))) or 0
    failed = _count(session, Job, Job.state == "failed", Job.finished > since)
    mails = _count(session, OutgoingMail, OutgoingMail.state.in_(["waiting", "sending"]))
    given_up = _count(session, OutgoingMail, OutgoingMail.state == "failed")
    numbers = {
        "queued": (str(_count(session, Job, Job.state == "queued")), False),
        "running": (str(_count(session, Job, Job.state == "running")), False),
        "done": (str(_count(session, Job, Job.state == "done", Job.finished > since)), False),
        "failed": (str(failed), failed > 0),
        "mails": (str(mails), False),
        "mails_failed": (str(given_up), given_up > 0),
        "users": (str(_count(session, User, User.disabled.is_(None))), False),
        "stored": (amount(float(stored)), False),
    }
    labels = {
        key: f"admin.tile_{key}" + (".one" if shown == "1" else "")
        for key, (shown, _) in numbers.items()
    }
    return [(text(language, labels[key]), *shown) for key, shown in numbers.items()]
