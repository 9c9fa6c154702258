"""What browsers are told to guard, by the rules of OWASP and Mozilla's Observatory."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

PATHS = ("/sign-in", "/none", "/health", "/static/style.css", "/api/v1/me", "/breaks", "/account")


def directives(policy: str) -> dict[str, list[str]]:
    parts = [part.split() for part in policy.split(";")]
    return {name: values for name, *values in parts}


@pytest.mark.parametrize("behind_tls", [False, True])
def test_every_answer_guards_its_page(site_module: Any, tmp_path: Path, behind_tls: bool) -> None:
    with site_module.running_site(tmp_path / "site", behind_tls=behind_tls) as site:

        @site.app.get("/breaks")
        def breaks() -> None:
            raise AttributeError("a fault of a route")

        site.user()
        client = site.stranger()
        for path in PATHS:
            headers = client.get(path).headers
            policy = directives(headers["content-security-policy"])
            assert policy["default-src"] == ["'none'"], path
            assert policy["frame-ancestors"] == policy["base-uri"] == ["'none'"]
            for name, sources in policy.items():
                unsafe = [one for one in sources if one.startswith("'unsafe") or one == "*"]
                assert not unsafe or name == "style-src", (path, name)
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"
            assert headers["referrer-policy"] == "same-origin"
            assert headers["cross-origin-opener-policy"] == "same-origin"
            assert headers["cross-origin-resource-policy"] == "same-origin"
            assert "server" not in headers
            age = re.match(r"max-age=(\d+)", headers.get("strict-transport-security", ""))
            assert (age is not None and int(age[1]) > 15_768_000) == behind_tls
        form = {"email": "ann@example.org", "password": site_module.PASSWORD}
        cookie = client.post("/sign-in", data=form).headers["set-cookie"].lower()
        assert {"httponly", "samesite=lax"} <= set(cookie.split("; "))
        assert ("secure" in cookie.split("; ")) == behind_tls
