"""Signing in with an identity provider: OpenID Connect Core 1.0, section 3.1, by Authlib's client.

Authlib makes the request with state, nonce and PKCE, exchanges the code and checks the signed
token. Here is what it leaves to its user: that the issuer calls itself so, that both answers are
about the same user, which signatures count, and how an error is told. State, nonce and verifier
wait in a cookie of the browser (`bl_steer.server.web.routes.oidc`), so that the server keeps no
session of strangers. The client is that of requests, since Authlib gives up the one of httpx.
"""

from __future__ import annotations

import logging
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote_plus

from authlib.common.errors import AuthlibBaseError
from authlib.integrations.base_client import (
    BaseApp,
    FrameworkIntegration,
    OAuth2Mixin,
    OpenIDMixin,
)
from authlib.integrations.requests_client import OAuth2Session
from joserfc.errors import JoseError
from requests import RequestException
from sqlalchemy import select
from sqlalchemy.orm import Session

from bl_steer.server.auth.accounts import add_user, number_of_admins
from bl_steer.server.db.audit import record_event
from bl_steer.server.db.tables import User
from bl_steer.server.errors import Refused
from bl_steer.server.settings import ServerSettings

__all__ = ["IdentityProvider", "role_of_claims", "user_of_claims"]

TIMEOUT_S = 10.0
ALGORITHMS = ["RS256", "RS512", "PS256", "ES256", "EdDSA"]
"""Signatures with the provider's own key only: never none, never a shared secret."""
LEEWAY_S = 60

logger = logging.getLogger(__name__)


class _Client(OAuth2Mixin, OpenIDMixin, BaseApp):
    client_cls = OAuth2Session


class IdentityProvider:
    """A provider by its issuer's address, which tells all other addresses.

    Parameters
    ----------
    settings : of the operator: issuer, client, secret
    """

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.callback = f"{settings.address}/oidc/callback"
        issuer = settings.oidc_issuer.rstrip("/")
        self._client = _Client(
            FrameworkIntegration("oidc"),
            client_id=settings.oidc_client_id,
            client_secret=settings.oidc_client_secret,
            server_metadata_url=f"{issuer}/.well-known/openid-configuration",
            client_auth_methods=[("client_secret_basic", _quoted_basic)],
            client_kwargs={
                "scope": settings.oidc_scope,
                "code_challenge_method": "S256",
                "token_endpoint_auth_method": settings.oidc_client_auth,
                "default_timeout": TIMEOUT_S,
                "max_redirects": 0,  # code and secret go nowhere else
            },
        )

    def address_for(self, state: str, nonce: str, verifier: str) -> str:
        """Return where the browser is sent, with the state that it must bring back."""
        with self._refusing():
            self._discover()
            request = self._client.create_authorization_url(
                self.callback, state=state, nonce=nonce, code_verifier=verifier
            )
            return str(request["url"])

    def claims(self, code: str, *, nonce: str, verifier: str) -> Mapping[str, Any]:
        """Exchange the code, and return what the provider says of the user.

        That is its signed token, and where the token leaves out the address, as the standard lets
        it (section 5.4), or the groups that give roles, what the provider's own endpoint answers
        about the same user.

        Raises
        ------
        Refused
            When the provider does not answer, or the token is not its own, not for us, not for
            this sign-in, or too old.
        """
        expected = {
            "iss": {"essential": True, "value": self.settings.oidc_issuer},
            "aud": {"essential": True, "value": self.settings.oidc_client_id},
            "sub": {"essential": True},
        }
        with self._refusing():
            self._discover()
            tokens = self._client.fetch_access_token(
                self.callback, code=code, code_verifier=verifier
            )
            claims = self._client.parse_id_token(
                tokens, nonce, claims_options=expected, leeway=LEEWAY_S
            )
            if claims is None:
                raise self._refused("no id_token")
            if "email" in claims and (
                self.settings.oidc_groups_claim in claims or not _has_groups(self.settings)
            ):
                return dict(claims)
            about = self._client.userinfo(token=tokens)
            # Section 5.3.2: else another user's address might be put in.
            if about.get("sub") != claims["sub"]:
                raise self._refused("its answers are about two users")
            return {**about, **claims}

    def _discover(self) -> None:
        """Read the provider's description, as OpenID Connect Discovery 1.0 has it, and check it."""
        described = self._client.load_server_metadata()
        # Section 4.3: a description under one address that names another issuer is not to be used.
        if described.get("issuer") != self.settings.oidc_issuer:
            raise self._refused(f"it calls itself {described.get('issuer')}")
        described["id_token_signing_alg_values_supported"] = ALGORITHMS

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        """Turn whatever goes wrong with the provider into a refusal of the sign-in."""
        try:
            yield
        except RequestException as error:
            name, detail = self.settings.oidc_name, type(error).__name__
            logger.warning("the identity provider does not answer: %s", error)
            raise Refused(401, "refused.oidc_away", name=name, detail=detail) from error
        except (AuthlibBaseError, JoseError, ValueError, KeyError, RuntimeError) as error:
            raise self._refused(str(error)) from error

    def _refused(self, reason: str) -> Refused:
        logger.warning("an answer of the identity provider is not taken: %s", reason[:400])
        return Refused(401, "refused.oidc_answer", name=self.settings.oidc_name)


def _quoted_basic(
    client: Any, method: str, url: str, headers: dict[str, str], body: str
) -> tuple[str, dict[str, str], str]:
    """Name the client quoted, as RFC 6749, section 2.3.1, has it; Authlib's own does not quote."""
    name = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}"
    headers["Authorization"] = f"Basic {b64encode(name.encode()).decode()}"
    return url, headers, body


def role_of_claims(claims: Mapping[str, Any], settings: ServerSettings) -> str | None:
    """Return the role that a user's groups give; None where the operator leaves it to accounts."""
    if not _has_groups(settings):
        return None
    told = claims.get(settings.oidc_groups_claim, [])
    groups = {told} if isinstance(told, str) else set(map(str, told if told else []))
    if groups & _names(settings.oidc_admin_groups):
        return "admin"
    return "reviewer" if groups & _names(settings.oidc_reviewer_groups) else "user"


def _has_groups(settings: ServerSettings) -> bool:
    return bool(_names(settings.oidc_admin_groups) | _names(settings.oidc_reviewer_groups))


def _names(listed: str) -> set[str]:
    return {name.strip() for name in listed.split(",") if name.strip()}


def user_of_claims(session: Session, claims: Mapping[str, Any], *, role: str | None = None) -> User:
    """Return the account of a subject; the first sign-in makes one, or links that of the address.

    An address counts only where the provider has verified it: else anybody could claim another's.

    Parameters
    ----------
    role : that the account is to have from now on, see `role_of_claims`; the last administrator
        stays one
    """
    subject = f"{claims['iss']}#{claims['sub']}"[:255]
    user = session.scalar(select(User).where(User.oidc_subject == subject))
    if user is None:
        email = str(claims.get("email", "")).strip().lower()
        if not email or claims.get("email_verified") is not True:
            raise Refused(403, "refused.oidc_email")
        user = session.scalar(select(User).where(User.email == email))
        if user is None:
            name = str(claims.get("name", ""))
            user = add_user(session, email, name=name, oidc_subject=subject, role=role or "user")
        user.oidc_subject = subject
    if user.disabled is not None:
        raise Refused(401, "refused.sign_in")
    if role not in (None, user.role) and not (
        user.role == "admin" and number_of_admins(session) <= 1
    ):
        detail = {"was": user.role, "is": role}
        record_event(session, "OpenID provider", "user role", user.email, detail)
        user.role = str(role)
    return user
