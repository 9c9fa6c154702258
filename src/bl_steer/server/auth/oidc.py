"""What an identity provider says about somebody, checked: OpenID Connect Core 1.0, section 3.1."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus, urlencode

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from sqlalchemy import select
from sqlalchemy.orm import Session

from bl_steer.server.auth.accounts import add_user
from bl_steer.server.db.tables import User
from bl_steer.server.errors import Refused
from bl_steer.server.settings import ServiceSettings

__all__ = ["IdentityProvider", "user_of_claims"]

TIMEOUT_S = 10.0
ALGORITHMS = ["RS256", "RS512", "PS256", "ES256", "EdDSA"]
"""Signatures with the provider's own key only: never none, never a shared secret."""
LEEWAY_S = 60


class IdentityProvider:
    """A provider by its issuer's address, which tells all other addresses.

    Parameters
    ----------
    settings : of the operator: issuer, client, secret
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self.settings = settings
        self.callback = f"{settings.address}/oidc/callback"
        self._described: Mapping[str, Any] | None = None

    def address_for(self, state: str, nonce: str, verifier: str) -> str:
        """Return where the browser is sent, with the words that it must bring back."""
        digest = hashlib.sha256(verifier.encode()).digest()
        asked = {
            "response_type": "code",
            "client_id": self.settings.oidc_client_id,
            "redirect_uri": self.callback,
            "scope": "openid email profile",
            "state": state,
            "nonce": nonce,
            "code_challenge": urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        return f"{self._about('authorization_endpoint')}?{urlencode(asked)}"

    def claims(self, code: str, *, nonce: str, verifier: str) -> Mapping[str, Any]:
        """Exchange the code, and return what the provider says of the user.

        That is its signed token, and where the token leaves the address out, as the standard lets
        it (section 5.4), what the provider's own endpoint answers about the same user.

        Raises
        ------
        Refused
            When the provider does not answer, or the token is not its own, not for us, not for
            this sign-in, or too old.
        """
        tokens = self._exchange(code, verifier)
        published = self._ask("GET", self._about("jwks_uri"))
        wanted = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_S,
            iss={"essential": True, "value": self.settings.oidc_issuer},
            aud={"essential": True, "value": self.settings.oidc_client_id},
            sub={"essential": True},
            exp={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            keys = KeySet.import_key_set(published)  # type: ignore[arg-type]
            token = jwt.decode(str(tokens.get("id_token", "")), keys, algorithms=ALGORITHMS)
            wanted.validate(token.claims)
        except (JoseError, ValueError, KeyError) as error:
            raise self._refused(str(error)) from error
        if "email" in token.claims:
            return dict(token.claims)
        return {**self._asked_about(tokens, str(token.claims["sub"])), **token.claims}

    def _exchange(self, code: str, verifier: str) -> dict[str, Any]:
        settings = self.settings
        asked = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.callback,
            "code_verifier": verifier,
        }
        named = (settings.oidc_client_id, settings.oidc_client_secret)
        where = self._about("token_endpoint")
        if settings.oidc_client_auth == "client_secret_basic":
            user, secret = (quote_plus(one) for one in named)  # RFC 6749, section 2.3.1
            return self._ask("POST", where, data=asked, auth=(user, secret))
        sent = dict(zip(("client_id", "client_secret"), named, strict=True))
        return self._ask("POST", where, data={**asked, **sent})

    def _asked_about(self, tokens: Mapping[str, Any], subject: str) -> dict[str, Any]:
        bearer = {"Authorization": f"Bearer {tokens.get('access_token', '')}"}
        told = self._ask("GET", self._about("userinfo_endpoint"), headers=bearer)
        if told.get("sub") != subject:  # section 5.3.2: else another user's address might be put in
            raise self._refused("its answers are about two users")
        return told

    def _about(self, what: str) -> str:
        if self._described is None:
            issuer = self.settings.oidc_issuer
            described = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
            self._described = self._ask("GET", described)
            if self._described.get("issuer") != issuer:  # OpenID Connect Discovery 1.0, section 4.3
                raise self._refused(f"it calls itself {self._described.get('issuer')}")
        if what not in self._described:
            raise self._refused(f"no {what}")
        return str(self._described[what])

    def _ask(self, method: str, url: str, **sent: Any) -> dict[str, Any]:
        try:
            answer = httpx.request(method, url, timeout=TIMEOUT_S, **sent)
            answer.raise_for_status()
            read: dict[str, Any] = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise self._refused(type(error).__name__) from error
        return read

    def _refused(self, reason: str) -> Refused:
        return Refused(401, "refused.oidc", name=self.settings.oidc_name, reason=reason[:120])


def user_of_claims(session: Session, claims: Mapping[str, Any]) -> User:
    """Return the account of a subject; the first sign-in makes one, or links that of the address.

    An address counts only where the provider has verified it: else anybody could claim another's.
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
            user = add_user(session, email, name=name, oidc_subject=subject)
        user.oidc_subject = subject
    if user.disabled is not None:
        raise Refused(401, "refused.sign_in")
    return user
