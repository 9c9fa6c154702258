"""One's own account: name, language, password, keys; and the page for programmers."""

from __future__ import annotations

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from bl_steer.server.auth.api_keys import SCOPES, keys_of, make_key, revoke_key, revoke_keys
from bl_steer.server.auth.passwords import change_password, hashed, prove_password
from bl_steer.server.auth.permissions import ACCESS
from bl_steer.server.auth.sessions import (
    browser_name,
    end_other_sessions,
    end_session,
    sessions_of,
)
from bl_steer.server.auth.tokens import MIN_PASSWORD, hash_token
from bl_steer.server.db.tables import User
from bl_steer.server.errors import Refused
from bl_steer.server.languages import LANGUAGES
from bl_steer.server.mail.passwords import post_new_password
from bl_steer.server.texts import plain_text
from bl_steer.server.web.authorization import COOKIE
from bl_steer.server.web.context import Context
from bl_steer.server.web.dependencies import AppContext, CurrentUser, Form
from bl_steer.server.web.rendering import LANGUAGE_COOKIE, language_of, render
from bl_steer.server.web.routes import pages_router
from bl_steer.server.web.routes.jobs import read_days

__all__ = ["router"]

router = pages_router()


@router.get("/account")
def account_page(request: Request, context: AppContext, user: CurrentUser) -> Response:
    """Show the account."""
    return _page(request, context, user)


@router.post("/account")
def save(context: AppContext, user: CurrentUser, form: Form) -> Response:
    """Keep name and language."""
    language = form.get("language", "")
    with context.database.write() as session:
        account = session.get_one(User, user.id)
        account.name = plain_text(form.get("name", ""))[:200]
        account.language = language if language in LANGUAGES else ""
    answer = RedirectResponse("/account", 303)
    answer.delete_cookie(LANGUAGE_COOKIE)
    return answer


@router.post("/account/password")
def save_password(request: Request, context: AppContext, user: CurrentUser, form: Form) -> Response:
    """Set another password; all sessions end."""
    try:
        with context.database.read() as session:
            proven = prove_password(session, user.id, form.get("old", "")[:1000])
        new = hashed(form.get("new", ""))
        with context.database.write() as session:
            change_password(session, user.id, proven, new)
            post_new_password(
                session, user, language=language_of(request), address=context.settings.address
            )
    except Refused as refused:
        return _page(request, context, user, refused=refused)
    answer = RedirectResponse("/sign-in?note=password_changed", 303)
    answer.delete_cookie(COOKIE)
    return answer


@router.post("/account/keys")
def add_key(request: Request, context: AppContext, user: CurrentUser, form: Form) -> Response:
    """Make a key, and show it this once."""
    scopes = [name.partition(":")[2] for name in form if name.startswith("scope:")]
    try:
        days = read_days(form["days"]) if form.get("days", "").strip() else None
        with context.database.write() as session:
            key = make_key(session, user, form.get("name", ""), scopes, days=days)
    except Refused as refused:
        return _page(request, context, user, refused=refused)
    return _page(request, context, user, key=key)


@router.post("/account/keys/end")
def end_keys(context: AppContext, user: CurrentUser) -> Response:
    """End all keys."""
    with context.database.write() as session:
        revoke_keys(session, user)
    return RedirectResponse("/account#keys", 303)


@router.post("/account/keys/{key_id}/revoke")
def end_key(context: AppContext, user: CurrentUser, key_id: str) -> Response:
    """End a key."""
    with context.database.write() as session:
        revoke_key(session, user, key_id)
    return RedirectResponse("/account#keys", 303)


@router.post("/account/sessions/end")
def end_others(request: Request, context: AppContext, user: CurrentUser) -> Response:
    """Sign out everywhere else."""
    with context.database.write() as session:
        end_other_sessions(session, user, request.cookies.get(COOKIE, ""))
    return RedirectResponse("/account#sessions", 303)


@router.post("/account/sessions/{session_id}/end")
def end_one(context: AppContext, user: CurrentUser, session_id: str) -> Response:
    """Sign out one browser; one's own leads to the sign-in by that."""
    with context.database.write() as session:
        end_session(session, user, session_id)
    return RedirectResponse("/account#sessions", 303)


@router.get("/api")
def programmers_page(request: Request, context: AppContext) -> Response:
    """Show how a program does what the pages do."""
    routes = [(*row.split(" ", 1), rule.scope) for row, rule in ACCESS.items() if "/api/v1/" in row]
    return render(request, "api", routes=routes, address=context.settings.address)


def _page(
    request: Request, context: Context, user: User, *, key: str = "", refused: Refused | None = None
) -> Response:
    with context.database.read() as session:
        keys = keys_of(session, user.id)
        signed_in = sessions_of(session, user.id)
    names = {one.token_hash: browser_name(one.agent) for one in signed_in}
    return render(
        request,
        "account",
        refused=refused,
        key=key,
        keys=keys,
        scopes=SCOPES,
        least=MIN_PASSWORD,
        signed_in=signed_in,
        browsers=names,
        this_one=hash_token(request.cookies.get(COOKIE, "")),
    )
