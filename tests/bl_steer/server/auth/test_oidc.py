"""Signing in with an identity provider: a real one on loopback, honest and not."""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey
from sqlalchemy import select

from bl_steer.server.auth.accounts import find_user
from bl_steer.server.db.tables import AuditRecord

SECRET = "s+/ e%cret of 24 letters"


class Provider:
    """Issues tokens for whatever nonce it was asked for, with the claims that a test wants."""

    def __init__(self) -> None:
        self.key = ECKey.generate_key("P-256", {"kid": "1"})
        self.signer: ECKey | OctKey = self.key
        self.algorithm = "ES256"
        self.moved_to = ""
        self.claims: dict[str, Any] = {}
        self.left_out: tuple[str, ...] = ()
        self.asked: dict[str, str] = {}
        self.sent: dict[str, str] = {}
        self.authorization = ""
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                known = {
                    "/keys": {"keys": [provider.key.as_dict(private=False)]},
                    "/user": provider.user,
                }
                self._answer(known.get(self.path, provider.described))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                provider.sent = {name: value[0] for name, value in parse_qs(body).items()}
                provider.authorization = self.headers.get("Authorization", "")
                if provider.moved_to and self.path == "/token":
                    self.send_response(307)
                    self.send_header("Location", provider.moved_to)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self._answer({"id_token": provider.token(), "access_token": "t"})

            def _answer(self, values: Any) -> None:
                content = json.dumps(values).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.described = {
            "issuer": self.address,
            "authorization_endpoint": f"{self.address}/authorise",
            "token_endpoint": f"{self.address}/token",
            "jwks_uri": f"{self.address}/keys",
            "userinfo_endpoint": f"{self.address}/user",
        }
        self.user: dict[str, Any] = {}
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def token(self) -> str:
        claims = {
            "iss": self.address,
            "aud": "bl_steer",
            "sub": "42",
            "iat": int(time.time()),
            "exp": int(time.time()) + 300,
            "nonce": self.asked.get("nonce"),
            "email": "ann@example.org",
            "email_verified": True,
            "name": "Ann",
            **self.claims,
        }
        for name in self.left_out:
            del claims[name]
        header = {"alg": self.algorithm, "kid": "1"}
        return jwt.encode(header, claims, self.signer, algorithms=[self.algorithm])


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def site(site_module: Any, tmp_path: Path, provider: Provider) -> Iterator[Any]:
    chosen = {"oidc_issuer": provider.address, "oidc_client_id": "bl_steer"}
    chosen["oidc_client_secret"] = SECRET
    with site_module.running_site(tmp_path / "oidc", **chosen) as running:
        yield running


def sign_in(site: Any, provider: Provider, **changed: str) -> Any:
    client = site.stranger()
    sent = urlsplit(client.get("/oidc/start").headers["location"])
    provider.asked = {name: value[0] for name, value in parse_qs(sent.query).items()}
    answer = {"state": provider.asked["state"], "code": "c", **changed}
    return client.get("/oidc/callback", params=answer), client


def test_a_verified_address_gets_an_account_and_keeps_it(site: Any, provider: Provider) -> None:
    answer, client = sign_in(site, provider)
    assert answer.status_code == 303
    assert "ann@example.org" in client.get("/account").text
    assert provider.sent["code_verifier"]
    assert provider.asked["code_challenge_method"] == "S256"
    provider.claims = {"email": "renamed@example.org"}
    _, again = sign_in(site, provider)
    assert "ann@example.org" in again.get("/account").text


@pytest.mark.parametrize("beside", [False, True], ids=["in the token", "beside the token"])
def test_the_role_follows_the_groups_at_each_sign_in(
    site: Any, provider: Provider, beside: bool
) -> None:
    told = {"oidc_admin_groups": "ops, beamline", "oidc_reviewer_groups": "review"}
    site.context.settings = site.context.settings.model_copy(update=told)
    site.user("root@example.org", "admin")
    for groups, role in ((["staff", "beamline"], "admin"), (["review"], "reviewer"), ([], "user")):
        if beside:
            provider.user = {"sub": "42", "groups": groups}
        else:
            provider.claims = {"groups": groups}
        answer, _ = sign_in(site, provider)
        assert answer.status_code == 303
        assert role_of(site) == role
    with site.context.database.read() as session:
        actions = [one.action for one in session.scalars(select(AuditRecord))]
    assert actions.count("user role") == 2


def test_without_groups_the_role_stays_and_the_last_administrator_stays_one(
    site: Any, provider: Provider
) -> None:
    site.user(role="admin")
    for told in ({}, {"oidc_admin_groups": "ops"}):
        site.context.settings = site.context.settings.model_copy(update=told)
        sign_in(site, provider)
        assert role_of(site) == "admin"


def role_of(site: Any) -> str:
    with site.context.database.read() as session:
        user = find_user(session, "ann@example.org")
        assert user is not None
        return user.role


def test_an_address_beside_the_token_counts_only_for_the_same_subject(
    site: Any, provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    provider.left_out = ("email", "email_verified")
    provider.user = {"sub": "43", "email": "ann@example.org", "email_verified": True}
    answer, _ = sign_in(site, provider)
    assert answer.status_code == 401
    assert "does not fit this sign-in" in answer.text
    assert "about two users" in caplog.text
    provider.user["sub"] = "42"
    answer, client = sign_in(site, provider)
    assert answer.status_code == 303
    assert "ann@example.org" in client.get("/account").text


def test_a_provider_that_calls_itself_otherwise_is_named(
    site: Any, provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    provider.described["issuer"] = "https://other.example"
    answer = site.stranger().get("/oidc/start")
    assert answer.status_code == 401
    assert "does not fit this sign-in" in answer.text
    assert "it calls itself https://other.example" in caplog.text


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example"},
        {"aud": "another"},
        {"exp": 1},
        {"nonce": "replayed"},
        {"sub": None},
        {"azp": "another"},
        {"aud": ["bl_steer", "another"]},
        {"at_hash": "of another access token"},
        {"email_verified": False},
        {"email_verified": "true"},
        {"email": ""},
    ],
    ids=str,
)
def test_a_token_that_is_not_ours_signs_nobody_in(
    site: Any, provider: Provider, claims: dict[str, Any]
) -> None:
    provider.claims = claims
    answer, client = sign_in(site, provider)
    assert answer.status_code in (401, 403)
    assert client.get("/account").status_code == 303


def test_a_token_of_another_key_signs_nobody_in(site: Any, provider: Provider) -> None:
    provider.signer = ECKey.generate_key("P-256", {"kid": "1"})
    answer, _ = sign_in(site, provider)
    assert answer.status_code == 401


def test_a_token_signed_with_the_shared_secret_signs_nobody_in(
    site: Any, provider: Provider
) -> None:
    provider.signer, provider.algorithm = OctKey.import_key(SECRET), "HS256"
    provider.described["id_token_signing_alg_values_supported"] = ["HS256"]
    answer, _ = sign_in(site, provider)
    assert answer.status_code == 401


def test_the_secret_is_quoted_and_follows_no_redirect(site: Any, provider: Provider) -> None:
    answer, _ = sign_in(site, provider)
    assert answer.status_code == 303
    name = base64.b64decode(provider.authorization.removeprefix("Basic ")).decode()
    assert name == "bl_steer:s%2B%2F+e%25cret+of+24+letters"
    provider.moved_to = f"{provider.address}/elsewhere"
    answer, _ = sign_in(site, provider)
    assert answer.status_code == 401
    assert "TooManyRedirects" in answer.text


def test_a_provider_that_is_away_is_told(site: Any, provider: Provider) -> None:
    provider.server.shutdown()
    provider.server.server_close()
    answer = site.stranger().get("/oidc/start")
    assert answer.status_code == 401
    assert "ConnectionError" in answer.text


@pytest.mark.parametrize("why", ["denied", "code", "sentence", "token", "away"])
def test_why_a_sign_in_did_not_work_is_told_in_the_readers_language(
    site: Any, provider: Provider, why: str
) -> None:
    client = site.stranger(**{"Accept-Language": "ja"})
    sent = urlsplit(client.get("/oidc/start").headers["location"])
    provider.asked = {name: value[0] for name, value in parse_qs(sent.query).items()}
    answer = {"state": provider.asked["state"]}
    if why in ("token", "away"):
        answer["code"] = "c"
        provider.claims = {"nonce": "replayed"}
    else:
        errors = {"denied": "access_denied", "code": "server_error", "sentence": "no such <b>user"}
        answer["error"] = errors[why]
    if why == "away":
        provider.server.shutdown()
        provider.server.server_close()
    page = client.get("/oidc/callback", params=answer)
    assert page.status_code == 401
    told = page.text.partition("<main")[2].partition("</main>")[0]
    plain = re.sub(r"<[^>]*>", " ", told)
    expected = {
        "denied": "中断",
        "code": "server_error",
        "token": "合いません",
        "away": "応答がありません",
    }
    assert expected.get(why, "失敗しました") in plain
    assert not re.search("[a-z]{2,} [a-z]{2,} [a-z]", plain), plain


def test_a_forged_state_signs_nobody_in(site: Any, provider: Provider) -> None:
    answer, _ = sign_in(site, provider, state="forged")
    assert answer.status_code == 403
