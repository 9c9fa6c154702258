"""A new password for whoever forgot theirs: asked for by address, set by the link of a mail.

The answer is the same whether the address has an account or not, and so is its time: what there is
to do is done after it.
"""

from __future__ import annotations

import math

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from starlette.background import BackgroundTask

from bl_steer.server.auth.password_resets import open_reset, reset_password
from bl_steer.server.auth.passwords import hashed
from bl_steer.server.auth.tokens import MIN_PASSWORD
from bl_steer.server.errors import Refused
from bl_steer.server.mail.passwords import post_new_password, post_reset
from bl_steer.server.web.authorization import COOKIE
from bl_steer.server.web.context import Context
from bl_steer.server.web.dependencies import AppContext, Form
from bl_steer.server.web.rendering import language_of, render
from bl_steer.server.web.routes import pages_router

__all__ = ["router"]

router = pages_router()


@router.get("/reset")
def ask_page(request: Request) -> Response:
    """Show the form for one's address."""
    return render(request, "reset", sent=False)


@router.post("/reset")
def ask(request: Request, context: AppContext, form: Form) -> Response:
    """Have a mail sent, if the address has an account."""
    if not context.settings.smtp_host:
        return render(request, "reset", sent=False, status=409)
    address = request.client.host if request.client else ""
    if wait := math.ceil(context.resets.wait_s(address)):
        refused = Refused(429, "refused.too_many_tries", retry_after_s=wait, seconds=wait)
        headers = {"Retry-After": str(wait)}
        return render(request, "reset", sent=False, refused=refused, headers=headers)
    page = render(request, "reset", sent=True)
    page.background = BackgroundTask(_post, context, form.get("email", ""), language_of(request))
    return page


@router.get("/reset/{token}")
def reset_page(request: Request, context: AppContext, token: str) -> Response:
    """Show the form for the new password."""
    with context.database.read() as session:
        user = open_reset(session, token)
    return render(request, "new_password", email=user.email, least=MIN_PASSWORD)


@router.post("/reset/{token}")
def reset(request: Request, context: AppContext, form: Form, token: str) -> Response:
    """Set the password, and use the link up."""
    with context.database.read() as session:
        email = open_reset(session, token).email
    try:
        password = hashed(form.get("password", ""))
        with context.database.write() as session:
            user = reset_password(session, token, password)
            post_new_password(
                session, user, language=language_of(request), address=context.settings.address
            )
    except Refused as refused:
        if refused.status == 404:
            raise
        return render(request, "new_password", refused=refused, email=email, least=MIN_PASSWORD)
    answer = RedirectResponse("/sign-in?note=password_changed", 303)
    answer.delete_cookie(COOKIE)
    return answer


def _post(context: Context, email: str, language: str) -> None:
    with context.database.write() as session:
        post_reset(session, email, language=language, address=context.settings.address)
