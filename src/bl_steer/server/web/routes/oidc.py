"""Signing in with an identity provider (OpenID Connect): code flow with PKCE, state and nonce."""

from __future__ import annotations

import hmac
import re
from urllib.parse import parse_qs

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from bl_steer.server.auth.oidc import IdentityProvider, role_of_claims, user_of_claims
from bl_steer.server.auth.tokens import new_token
from bl_steer.server.errors import Refused
from bl_steer.server.web.context import Context
from bl_steer.server.web.dependencies import AppContext
from bl_steer.server.web.routes import pages_router
from bl_steer.server.web.routes.sign_in import welcome

__all__ = ["router"]

router = pages_router()
COOKIE = "bl_steer_oidc"
MINUTES_10 = 600
CODE = re.compile("[a-z_]{1,40}")
"""Of an error, as RFC 6749, section 4.1.2.1, has it."""


@router.get("/oidc/start")
def start(request: Request, context: AppContext) -> Response:
    """Send the browser to the provider."""
    provider, settings = _provider(request, context), context.settings
    state, nonce, verifier = (new_token() for _ in range(3))
    answer = RedirectResponse(provider.address_for(state, nonce, verifier), 303)
    answer.set_cookie(
        COOKIE,
        f"{state}.{nonce}.{verifier}",
        max_age=MINUTES_10,
        path="/oidc",
        httponly=True,
        samesite="lax",
        secure=settings.behind_tls,
    )
    return answer


@router.get("/oidc/callback")
def callback(request: Request, context: AppContext) -> Response:
    """Take the provider's answer on who it is."""
    provider = _provider(request, context)
    answered = {name: values[-1] for name, values in parse_qs(request.url.query).items()}
    state, nonce, verifier = [*request.cookies.get(COOKIE, "").split("."), "", ""][:3]
    if not state or not hmac.compare_digest(answered.get("state", "").encode(), state.encode()):
        raise Refused(403, "refused.forged")
    if "code" not in answered:
        name, code = context.settings.oidc_name, answered.get("error", "")
        if code == "access_denied":
            raise Refused(401, "refused.oidc_denied", name=name)
        reason = code if CODE.fullmatch(code) else "–"
        raise Refused(401, "refused.oidc", name=name, reason=reason)
    claims = provider.claims(answered["code"], nonce=nonce, verifier=verifier)
    with context.database.write() as session:
        role = role_of_claims(claims, context.settings)
        user = user_of_claims(session, claims, role=role)
    page = welcome(request, context, user, "/")
    page.delete_cookie(COOKIE, path="/oidc")
    return page


def _provider(request: Request, context: Context) -> IdentityProvider:
    settings = context.settings
    if not settings.oidc_issuer:
        raise Refused(404, "refused.no_page")
    return IdentityProvider(settings)
