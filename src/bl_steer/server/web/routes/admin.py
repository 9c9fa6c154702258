"""Pages of the administrator: how the server is, accounts, access log, audit."""

from __future__ import annotations

import time

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from bl_steer.server.auth.accounts import ROLES, add_user, change_user, check_password, invite
from bl_steer.server.auth.tokens import MIN_PASSWORD
from bl_steer.server.db.audit import broken_link
from bl_steer.server.db.tables import AuditRecord, Blob, Job, OutgoingMail, User, Worker
from bl_steer.server.errors import Refused
from bl_steer.server.languages import has_text, text
from bl_steer.server.sizes import amount
from bl_steer.server.web.access_log import latest_requests
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
        with context.database.write() as session:
            add_user(
                session,
                form.get("email", ""),
                name=form.get("name", ""),
                password=check_password(form.get("password", "")),
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
    return render(request, "admin_access", records=records, emails=emails, older=older)


@router.get("/admin/audit")
def audit(request: Request, context: AppContext, before: str = "") -> Response:
    """Show the audit trail, and whether its chain is unbroken."""
    query = select(AuditRecord).order_by(AuditRecord.id.desc()).limit(PAGE)
    if (first := _number(before)) is not None:
        query = query.where(AuditRecord.id < first)
    with context.database.read() as session:
        records = list(session.scalars(query))
        broken = broken_link(session)
    older = records[-1].id if len(records) == PAGE else None
    language = language_of(request)
    events = {record.action: _event_title(record.action, language) for record in records}
    return render(
        request, "admin_audit", records=records, events=events, broken=broken, older=older
    )


def _event_title(action: str, language: str) -> str:
    key = f"audit.{action}"
    return text(language, key) if has_text(key) else action


def _number(typed: str) -> int | None:
    return int(typed) if typed.isascii() and typed.isdigit() and len(typed) < 19 else None


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


def _tiles(session: Session, language: str) -> list[tuple[str, str, bool]]:
    """Return label, number and whether it is bad, for each."""
    since = time.time() - DAY_S

    def count(table: type[Job | User | OutgoingMail], *where: object) -> int:
        return session.scalar(select(func.count()).select_from(table).where(*where)) or 0  # type: ignore[arg-type]

    stored = session.scalar(select(func.sum(Blob.size))) or 0
    failed = count(Job, Job.state == "failed", Job.finished > since)
    given_up = count(OutgoingMail, OutgoingMail.state == "failed")
    numbers = {
        "queued": (str(count(Job, Job.state == "queued")), False),
        "running": (str(count(Job, Job.state == "running")), False),
        "done": (str(count(Job, Job.state == "done", Job.finished > since)), False),
        "failed": (str(failed), failed > 0),
        "mails": (str(count(OutgoingMail, OutgoingMail.state.in_(["waiting", "sending"]))), False),
        "mails_failed": (str(given_up), given_up > 0),
        "users": (str(count(User, User.disabled.is_(None))), False),
        "stored": (amount(float(stored)), False),
    }
    return [(text(language, f"admin.tile_{key}"), *shown) for key, shown in numbers.items()]
