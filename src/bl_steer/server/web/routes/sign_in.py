"""Signing in and out, joining by invitation, and the language."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from starlette.background import BackgroundTask

from bl_steer.server.auth.accounts import (
    add_user,
    check_email,
    join,
    open_invitation,
    sign_in,
    sign_out,
    start_session,
)
from bl_steer.server.auth.passwords import hashed
from bl_steer.server.auth.tokens import MIN_PASSWORD
from bl_steer.server.db.tables import User
from bl_steer.server.errors import Refused
from bl_steer.server.languages import LANGUAGES, text
from bl_steer.server.mail.passwords import post_registration
from bl_steer.server.web.authorization import COOKIE
from bl_steer.server.web.context import Context
from bl_steer.server.web.dependencies import AppContext, CurrentVisitor, Form
from bl_steer.server.web.rendering import LANGUAGE_COOKIE, language_of, local_path, render
from bl_steer.server.web.routes import pages_router

__all__ = ["router", "welcome"]

router = pages_router()
YEAR_S = 365 * 86_400
NO_FORM: Mapping[str, str] = MappingProxyType({})
NOTES = ("signed_out", "password_changed", "registered")


def welcome(request: Request, context: Context, user: User, where: str) -> Response:
    """Begin a browser session and go on to a page."""
    with context.database.write_beside() as session:
        token = start_session(
            session,
            user,
            days=context.settings.session_days,
            address=request.client.host if request.client else "",
            agent=request.headers.get("user-agent", ""),
        )
    answer = RedirectResponse(local_path(where), 303)
    answer.set_cookie(
        COOKIE,
        token,
        max_age=round(context.settings.session_days * 86_400),
        httponly=True,
        samesite="lax",
        secure=context.settings.behind_tls,
    )
    return answer


@router.get("/sign-in")
def sign_in_page(
    request: Request, visitor: CurrentVisitor, next: str = "/", note: str = ""
) -> Response:
    """Show the form; who is signed in goes on."""
    if visitor.user is not None:
        return RedirectResponse(local_path(next), 303)
    return _sign_in_page(request, next, note=note)


@router.post("/sign-in")
def do_sign_in(request: Request, context: AppContext, form: Form) -> Response:
    """Take address and password."""
    email, where = form.get("email", ""), form.get("next", "/")
    address = request.client.host if request.client else ""
    if wait := math.ceil(context.wrong_passwords.wait_s(email, address)):
        refused = Refused(429, "refused.too_many_tries", retry_after_s=wait, seconds=wait)
        return _sign_in_page(request, where, email=email, refused=refused)
    try:
        with context.database.read() as session:
            user = sign_in(session, email, form.get("password", ""))
    except Refused as refused:
        context.wrong_passwords.add(email, address)
        return _sign_in_page(request, where, email=email, refused=refused)
    return welcome(request, context, user, where)


@router.post("/sign-out")
def do_sign_out(request: Request, context: AppContext) -> Response:
    """End the session."""
    with context.database.write() as session:
        sign_out(session, request.cookies.get(COOKIE, ""))
    answer = RedirectResponse("/sign-in?note=signed_out", 303)
    answer.headers["Clear-Site-Data"] = '"cache"'  # forms that Back would show
    answer.delete_cookie(COOKIE)
    return answer


@router.get("/register")
def register_page(request: Request, context: AppContext) -> Response:
    """Show the form for an account of one's own, where the operator allows that."""
    _check_open(context)
    if context.settings.smtp_host:
        return render(request, "register", sent=False, email="")
    return _join_page(request)


@router.post("/register")
def register(request: Request, context: AppContext, form: Form) -> Response:
    """Mail a link that makes an account, or make it at once on a server without mail.

    The answer is the same whether the address has an account or not.
    """
    _check_open(context)
    if context.settings.smtp_host:
        return _mail_link(request, context, form.get("email", ""))
    email = form.get("email", "")
    try:
        check_email(email)
        password = hashed(form.get("password", ""))  # of a known address, too: it takes as long
        with context.database.write() as session:
            add_user(session, email, name=form.get("name", ""), password=password)
    except Refused as refused:
        if refused.key != "refused.email_taken":
            return _join_page(request, form, refused=refused)
    return RedirectResponse("/sign-in?note=registered", 303)


@router.get("/join/{token}")
def join_page(request: Request, context: AppContext, token: str) -> Response:
    """Show the form that an invitation opens."""
    with context.database.read() as session:
        invitation = open_invitation(session, token)
    return _join_page(request, email=invitation.email, role=invitation.role)


@router.post("/join/{token}")
def do_join(request: Request, context: AppContext, form: Form, token: str) -> Response:
    """Make the account, and use the invitation up."""
    with context.database.read() as session:
        invitation = open_invitation(session, token)
    try:
        password = hashed(form.get("password", ""))
        with context.database.write() as session:
            user = join(
                session,
                token,
                email=form.get("email", ""),
                name=form.get("name", ""),
                password=password,
            )
    except Refused as refused:
        return _join_page(
            request, form, email=invitation.email, role=invitation.role, refused=refused
        )
    return welcome(request, context, user, "/")


@router.post("/language")
def choose_language(context: AppContext, form: Form, visitor: CurrentVisitor) -> Response:
    """Remember the language, in the account of who has one and in a cookie."""
    language = form.get("language", "")
    answer = RedirectResponse(local_path(form.get("back", "/")), 303)
    if language in LANGUAGES:
        answer.set_cookie(
            LANGUAGE_COOKIE,
            language,
            max_age=YEAR_S,
            samesite="lax",
            secure=context.settings.behind_tls,
        )
        if visitor.user is not None:
            with context.database.write() as session:
                session.merge(visitor.user).language = language
    return answer


def _mail_link(request: Request, context: Context, email: str) -> Response:
    address = request.client.host if request.client else ""
    try:
        email = check_email(email)
        if wait := math.ceil(context.resets.wait_s(address)):
            raise Refused(429, "refused.too_many_tries", retry_after_s=wait, seconds=wait)
    except Refused as refused:
        headers = _retry(refused)
        return render(
            request, "register", refused=refused, headers=headers, sent=False, email=email[:254]
        )

    def post() -> None:
        with context.database.write() as session:
            post_registration(
                session, email, language=language_of(request), address=context.settings.address
            )

    page = render(request, "register", sent=True)
    page.background = BackgroundTask(post)  # after the answer, whose time so tells nothing
    return page


def _check_open(context: Context) -> None:
    if not context.settings.registration:
        raise Refused(404, "refused.registration")


def _sign_in_page(
    request: Request, where: str, *, email: str = "", note: str = "", refused: Refused | None = None
) -> Response:
    language = language_of(request)
    return render(
        request,
        "sign_in",
        refused=refused,
        headers=_retry(refused),
        note=text(language, f"sign_in.{note}") if note in NOTES else "",
        email=email[:254],
        next=local_path(where),
    )


def _join_page(
    request: Request,
    form: Mapping[str, str] = NO_FORM,
    *,
    email: str = "",
    role: str = "",
    refused: Refused | None = None,
) -> Response:
    return render(
        request,
        "join",
        refused=refused,
        email=email or form.get("email", "")[:254],
        name=form.get("name", "")[:200],
        fixed=bool(email),
        role=role,
        least=MIN_PASSWORD,
    )


def _retry(refused: Refused | None) -> dict[str, str]:
    wait = refused.retry_after_s if refused else None
    return {} if wait is None else {"Retry-After": str(wait)}
