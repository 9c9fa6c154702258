"""Every page of a package is there: for each format of weights, state, role and language."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, get_args

import pytest

from bl_steer.server.db.tables import Package
from bl_steer.server.packages import review
from bl_steer.server.packages.manifest import Format

WEIGHTS = """
[weights]
file = "weights.{format}"
format = "{format}"
method = "predict"

[training_data]
description = "Nobody's."
"""
STATES = ("draft", "submitted", "checked", "approved", "released", "revoked")
LANGUAGES = ("en", "ja")


@pytest.mark.parametrize("form", [None, *get_args(Format)])
def test_the_page_of_a_package_is_there_for_everybody_who_may_see_it(
    site: Any, small: Callable[..., Any], form: str | None
) -> None:
    made = small()
    if form is not None:
        made = small(more=WEIGHTS.format(format=form), files={f"weights.{form}": b"\x80\x04N."})
    archive = made.archive(accepted=False)
    author = site.user()
    visitors = {"author": site.browser()}
    for role in ("reviewer", "admin", "user"):
        site.user(f"{role}@example.org", role)
        visitors[role] = site.browser(f"{role}@example.org")
    with site.context.database.write() as session:
        sha256 = review.submit(
            session, io.BytesIO(archive.read_bytes()), author, packages=site.context.packages
        ).sha256
    for state in STATES:
        with site.context.database.write() as session:
            session.get_one(Package, sha256).state = state
        for role, browser in visitors.items():
            for language in LANGUAGES:
                answer = browser.get(f"/packages/{sha256}", headers={"Accept-Language": language})
                allowed = (200,) if role != "user" or state == "released" else (200, 403, 404)
                assert answer.status_code in allowed, (state, role, language)
            assert browser.get("/packages").status_code == 200
