"""Signing in in a browser with a certified provider: npm's oidc-provider, where it is installed.

`test_identity` has a provider of its own that lies in each way; this one is honest and strict.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bl_steer.server.db.tables import User

HERE = Path(__file__).parent
PROVIDER_AT = os.environ.get("OIDC_PROVIDER_FROM", "")
"""Folder where ``npm install oidc-provider`` was run."""
pytestmark = pytest.mark.skipif(
    not (Path(PROVIDER_AT or "/nowhere") / "node_modules" / "oidc-provider").is_dir(),
    reason="OIDC_PROVIDER_FROM names no folder with npm's oidc-provider",
)
SECRET = "s+/ e%cret"
USERS = {
    "ann": {"email": "ann@example.org", "email_verified": True, "name": "Ann"},
    "bob": {"email": "bob@example.org", "email_verified": False, "name": "Bob"},
}
POST = {"token_endpoint_auth_method": "client_secret_post"}


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture
def site(request: Any, site_module: Any, tmp_path: Path) -> Iterator[Any]:
    """Our server, and a provider with settings of the test's choice."""
    asked, port = getattr(request, "param", {}), free_port()
    chosen = {
        "oidc_issuer": f"http://127.0.0.1:{port}",
        "oidc_client_id": "bl_steer",
        "oidc_client_secret": SECRET,
        "oidc_name": "the institute",
    }
    if "clientDefaults" in asked:
        chosen["oidc_client_auth"] = "client_secret_post"
    with site_module.running_site(tmp_path / "oidc", **chosen) as running:
        words = [str(port), f"{running.address}/oidc/callback", json.dumps(USERS)]
        process = subprocess.Popen(
            ["node", str(HERE / "oidc_provider.mjs"), *words, json.dumps(asked)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield running
        finally:
            process.terminate()
            process.communicate(timeout=20)


def sign_in(site: Any, chromium: Any, subject: str, change: Any = None) -> Any:
    """Sign in at the provider; return the page that our server answers with.

    Parameters
    ----------
    change : of the words of this sign-in (state, nonce, verifier) that the browser keeps
    """
    context = chromium.new_context(locale="en-GB")
    page = context.new_page()
    page.goto(f"{site.address}/sign-in")
    page.click("text=Sign in with the institute")
    page.fill("[name=login]", subject)
    if change is not None:
        (kept,) = [one for one in context.cookies() if one["name"] == "bl_steer_oidc"]
        words = kept["value"].split(".")
        kept["value"] = ".".join(change(*words))
        context.add_cookies([kept])
    page.fill("[name=password]", "any")
    with page.expect_navigation():  # the next page has such a button too
        page.click("button[type=submit]")  # who it is
    page.click("button[type=submit]")  # and that we may know it
    page.wait_for_url(f"{site.address}/**")
    return page


@pytest.mark.parametrize(
    "site",
    [{}, {"conformIdTokenClaims": False}, {"clientDefaults": POST}],
    ids=["address is asked for", "address in the token", "secret in the form"],
    indirect=True,
)
def test_a_user_of_a_certified_provider_gets_an_account_until_it_is_closed(
    site: Any, chromium: Any
) -> None:
    page = sign_in(site, chromium, "ann")
    assert page.url == f"{site.address}/"
    page.goto(f"{site.address}/account")
    assert "ann@example.org" in page.inner_text("main")
    assert page.input_value("#name") == "Ann"
    sign_in(site, chromium, "ann")
    with site.context.database.write() as session:
        (user,) = session.query(User).all()
        user.disabled = time.time()
    assert "is wrong" in sign_in(site, chromium, "ann").inner_text("h1")


def test_an_address_that_the_provider_has_not_verified_makes_no_account(
    site: Any, chromium: Any
) -> None:
    page = sign_in(site, chromium, "bob")
    assert "no verified e-mail address" in page.inner_text("h1")
    with site.context.database.read() as session:
        assert session.query(User).all() == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state, nonce, verifier: (state + "x", nonce, verifier), "did not come from"),
        (
            lambda state, nonce, verifier: (state, nonce + "x", verifier),
            "does not fit this sign-in",
        ),
        (
            lambda state, nonce, verifier: (state, nonce, "x" * len(verifier)),
            "does not fit this sign-in",
        ),
    ],
    ids=["state", "nonce", "verifier"],
)
def test_an_answer_to_another_sign_in_signs_nobody_in(
    site: Any, chromium: Any, change: Any, said: str
) -> None:
    page = sign_in(site, chromium, "ann", change)
    assert said in page.inner_text("h1")
    with site.context.database.read() as session:
        assert session.query(User).all() == []
