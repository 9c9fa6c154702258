"""What a package changes against the release before it: entries, lines, weights, libraries."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bl_steer.server.db.tables import Package
from bl_steer.server.packages import review
from bl_steer.server.packages.commands import LocalServer, shown
from bl_steer.server.packages.store import PackageStore
from bl_steer.server.web.package_view import MOST_LINES, _compared, visible

WEIGHTS = """
[weights]
file = "model.npz"
format = "npz"

[training_data]
description = "{text}"
"""
FIRST = 'def run(inputs, params, model):\n    """<script>alert(1)</script>"""\n    return {}\n'


def array(*values: float) -> bytes:
    file = io.BytesIO()
    np.savez(file, a=np.array(values))
    return file.getvalue()


def submitted(site: Any, archive: Path, *, state: str = "checked", by: str = "author") -> str:
    with site.context.database.write() as session:
        author = session.merge(site.people[by])
        file = io.BytesIO(archive.read_bytes())
        package = review.submit(session, site.context.packages.take_in(file), author)
        package.state = state
        return str(package.sha256)


def release(site: Any, sha256: str) -> None:
    key = site.context.packages.key
    with site.context.database.write() as session:
        one = session.merge(site.people["one"])
        review.approve(session, sha256, one, key=key)
        review.release(session, sha256, one, public_key=key.public)


@pytest.fixture
def shop(site_module: Any, tmp_path: Path) -> Iterator[Any]:
    """A site with an author and a reviewer, where packages may ask for numpy."""
    with site_module.running_site(tmp_path / "service", package_dependencies="numpy") as site:
        yield with_people(site)


def with_people(site: Any) -> Any:
    site.people = {name: site.user(f"{name}@x.org", "reviewer") for name in ("author", "one")}
    site.people["user"] = site.user("user@x.org")
    return site


def test_a_page_shows_what_is_new_since_the_last_release_to_author_and_reviewer_alone(
    shop: Any, small: Callable[..., Any]
) -> None:
    first = small(
        script=FIRST, more=WEIGHTS.format(text="some"), files={"model.npz": array(1.0)}
    ).archive(accepted=False)
    again = small(
        script=FIRST.replace("{}", '{"tables": {}}  # \u202e<b>'),
        version="1.1.0",
        more=WEIGHTS.format(text="<i>more</i>").replace("npz", "npz", 1),
        files={"model.npz": array(1.0, 2.0), "notes.md": b"& more\n"},
    ).archive(accepted=False)
    old = submitted(shop, first)
    page = shop.browser("one@x.org").get(f"/packages/{old}").text
    assert 'id="changes"' not in page, "nothing was released before"
    release(shop, old)
    new = submitted(shop, again)
    for who in ("author", "one"):
        page = shop.browser(f"{who}@x.org").get(f"/packages/{new}").text
        assert "Changes since release 1.0.0" in page
        assert "<td>1.0.0</td><td>1.1.0</td>" in page
        assert "<td>some</td><td>&lt;i&gt;more&lt;/i&gt;</td>" in page
        assert "<del>-    return {}</del>\n<ins>+    return {&#34;tables" in page
        assert r"# \u202e&lt;b&gt;</ins>" in page
        assert "<ins>+&amp; more</ins>" in page
        row = page.partition("<td>model.npz <strong>")[2].partition("</tr>")[0]
        assert row.count("<code") == 2
        assert "<script>alert" not in page
    japanese = shop.browser("one@x.org").get(f"/packages/{new}", headers={"accept-language": "ja"})
    assert "リリース 1.0.0 からの変更点" in japanese.text
    release(shop, new)
    page = shop.browser("author@x.org").get(f"/packages/{old}").text
    assert 'id="changes"' not in page, "the first release has none before it"
    assert "Changes since release 1.0.0" in shop.browser("one@x.org").get(f"/packages/{new}").text
    assert 'id="changes"' not in shop.browser("user@x.org").get(f"/packages/{new}").text


def test_reviewers_read_that_another_account_submits_the_next_version(
    shop: Any, small: Callable[..., Any]
) -> None:
    release(shop, submitted(shop, small().archive(accepted=False)))
    same = submitted(shop, small(version="1.1.0").archive(accepted=False))
    other = submitted(shop, small(version="1.2.0").archive(accepted=False), by="one")
    browser = shop.browser("one@x.org")
    told = "Another account submits it: one@x.org. Release 1.0.0 was submitted by author@x.org."
    assert told not in browser.get(f"/packages/{same}").text
    assert told in browser.get(f"/packages/{other}").text
    store = shop.context.packages
    local = LocalServer(shop.context.database, store, store.settings, "one@x.org")
    report = shown(local, other)
    assert (report["author"], report["release_before"]) == (
        "one@x.org",
        {"version": "1.0.0", "author": "author@x.org"},
    )


def test_libraries_and_inputs_are_compared_by_their_names(
    shop: Any, small: Callable[..., Any]
) -> None:
    old = submitted(shop, small().archive(accepted=False))
    release(shop, old)
    later = small(version="1.1.0")
    later.write()
    text = (later.folder / "package.toml").read_text("utf-8")
    later.source = f'dependencies = ["numpy=={version("numpy")}"]\n{text}'
    new = submitted(shop, later.archive(accepted=False))
    browser = shop.browser("one@x.org")
    page = browser.get(f"/packages/{new}").text
    number = version("numpy")
    assert f"<code>dependencies.numpy</code></td><td>–</td><td>{number}</td>" in page
    assert f"<code>numpy=={number}</code>" in page
    assert "on this server&#39;s list" not in page
    stricter = shop.context.settings.model_copy(update={"package_dependencies": ""})
    shop.context.packages = PackageStore(stricter)
    page = browser.get(f"/packages/{new}").text
    assert f"must be on this server&#39;s list, got numpy=={number}" in page


def test_a_release_whose_files_are_gone_is_said_and_breaks_no_page(
    shop: Any, small: Callable[..., Any]
) -> None:
    old = submitted(shop, small().archive(accepted=False))
    release(shop, old)
    new = submitted(shop, small(version="1.1.0", script=FIRST).archive(accepted=False))
    folder = shop.context.packages.folder / old
    folder.rename(folder.with_name("gone"))
    with shop.context.database.write() as session:
        session.get_one(Package, old).blob_sha256 = "0" * 64
    answer = shop.browser("one@x.org").get(f"/packages/{new}")
    assert answer.status_code == 200
    assert "What it changes cannot be shown" in answer.text


def test_a_comparison_that_would_last_is_given_up_for_all_lines() -> None:
    lines = [f"{number % 40}" for number in range(MOST_LINES * 20)]
    found, left = _compared(lines, lines[::-1], 1_000_000)
    assert (len(found), left) == (2 * len(lines), 1_000_000)


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a\r\nb", "a\nb"), ("\u200b", "\\u200b"), ("日本語\t", "日本語\t"), ("\x1b[0m", "\\x1b[0m")],
)
def test_characters_that_nobody_sees_are_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown
