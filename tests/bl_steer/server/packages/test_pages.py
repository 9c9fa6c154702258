"""Every page of a package is there: for each weights, state, role, language and database."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from sqlalchemy import select

from bl_steer.files.atomic import alone_in
from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import Package
from bl_steer.server.languages import text
from bl_steer.server.packages import review
from bl_steer.server.packages.manifest import Format
from bl_steer.server.web.routes.packages import ACTIONS

WEIGHTS = """
[weights]
file = "weights.{format}"
format = "{format}"
method = "predict"
"""
NAMED = """
[[weights]]
name = "{format}"
file = "weights.{format}"
format = "{format}"
"""
TRAINING = """
[training_data]
description = "Nobody's."
"""
STATES = ("draft", "submitted", "checked", "approved", "released", "revoked")
LANGUAGES = ("en", "ja")
FORMATS = get_args(Format)
TESTED = {
    language: (text(language, "packages.tested_now"), text(language, "packages.now_submitted"))
    for language in LANGUAGES
}
INPUTS = """\
[[inputs]]
name = "image"
kind = "micrographs"

[[inputs]]
name = "doses"
kind = "table"
columns = ["x"]
"""


def variants(small: Callable[..., Any]) -> dict[str, Path]:
    """Return archives: without weights, of each format, of all formats, of several inputs."""
    files = {f"weights.{form}": b"\x80\x04N." for form in FORMATS}
    one = {form: [form] for form in FORMATS}
    made = {}
    for key, forms in {"none": [], **one, "all": FORMATS, "inputs": FORMATS[:2]}.items():
        about = (NAMED if len(forms) > 1 else WEIGHTS) if forms else ""
        more = "".join(about.format(format=form) for form in forms) + (TRAINING if forms else "")
        own = {f"weights.{form}": files[f"weights.{form}"] for form in forms}
        package = small(name=f"sums-{key}", more=more, files=own)
        package.write()
        if key == "inputs":
            path = package.folder / "package.toml"
            text = path.read_text("utf-8").replace(
                '[input]\nkind = "table"\ncolumns = ["x"]\n', INPUTS
            )
            files_of_test = '{ image = ["tests/three.csv"], doses = ["tests/three.csv"] }'
            text = text.replace('["tests/three.csv"]\nparams', f"{files_of_test}\nparams")
            package.source = text
        made[key] = package.archive(accepted=False)
    return made


def refusals(site: Any, visitors: dict[str, Any], sha256: str) -> None:
    """Try each decision in each state: allowed or refused with its reason, never an error."""
    for state, deed in itertools.product(STATES, ACTIONS):
        for (role, browser), language in zip(visitors.items(), 2 * LANGUAGES, strict=True):
            with site.context.database.write() as session:
                session.get_one(Package, sha256).state = state
            form = {"deed": deed, "comment": ""}
            headers = {"Accept-Language": language}
            answer = browser.post(f"/packages/{sha256}", form, headers=headers)
            assert answer.status_code in (200, 303, 404, 422), (state, deed, role, language)
            assert answer.status_code != 404 or role == "user"


def pages_while_tested(site: Any, author: Any, made: dict[str, str]) -> None:
    """The one whose turn it is says that it is tested, the others that they wait."""
    with site.context.database.write() as session:
        for sha256 in made.values():
            session.get_one(Package, sha256).state = "submitted"
        first, *others = session.scalars(select(Package).order_by(Package.created, Package.sha256))
    with alone_in(site.context.packages.folder):
        for language, (now, later) in TESTED.items():
            headers = {"Accept-Language": language}
            said = author.get(f"/packages/{first.sha256}", headers=headers).text
            assert now in said
            assert later not in said
            said = author.get(f"/packages/{others[0].sha256}", headers=headers).text
            assert later in said
            assert now not in said
    assert TESTED["en"][1] in author.get(f"/packages/{first.sha256}").text


def test_the_page_of_a_package_is_there_for_everybody_who_may_see_it(
    site_module: Any, database: Database, small: Callable[..., Any], tmp_path: Path
) -> None:
    url = database.engine.url.render_as_string(hide_password=False)
    with site_module.running_site(tmp_path / "service", database_url=url) as site:
        author = site.user()
        visitors = {"author": site.browser()}
        for role in ("reviewer", "admin", "user"):
            site.user(f"{role}@example.org", role)
            visitors[role] = site.browser(f"{role}@example.org")
        store = site.context.packages
        with site.context.database.write() as session:
            made = {}
            for key, path in variants(small).items():
                arrived = store.take_in(io.BytesIO(path.read_bytes()))
                made[key] = review.submit(session, arrived, author).sha256
        for state in STATES:
            with site.context.database.write() as session:
                for sha256 in made.values():
                    session.get_one(Package, sha256).state = state
            for (role, browser), language in itertools.product(visitors.items(), LANGUAGES):
                headers = {"Accept-Language": language}
                if state == "released":
                    assert browser.get("/packages", headers=headers).status_code == 200
                for key, sha256 in made.items():
                    answer = browser.get(f"/packages/{sha256}", headers=headers)
                    expected = 200 if role != "user" or state == "released" else 404
                    assert answer.status_code == expected, (key, state, role, language)
                    if key == "all" and expected == 200:
                        shown = [f"<code>weights.{form}</code>" in answer.text for form in FORMATS]
                        assert all(shown), "each file of weights is named"
        pages_while_tested(site, visitors["author"], made)
        refusals(site, visitors, made["all"])
