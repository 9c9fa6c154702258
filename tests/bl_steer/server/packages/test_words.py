"""What does not fit in a package is said in the user's language, and texts must be its author's."""

from __future__ import annotations

import copy
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from bl_steer.cli import main
from bl_steer.server.db.tables import Package
from bl_steer.server.packages import review
from bl_steer.server.packages.checking import check_next
from bl_steer.server.packages.inspection import TEXTS, unwritten
from bl_steer.server.packages.manifest import (
    MANIFEST_FILE,
    ManifestError,
    parse_manifest,
    read_source,
)
from bl_steer.server.packages.template import write_template
from bl_steer.server.sandbox.run import sandbox_problem
from bl_steer.server.web.forms import problem_of

MORE = """
[[parameters]]
name = "kind"
type = "choice"
default = "a"
choices = ["a", "b"]

[weights]
file = "w.skops"
format = "skops"
trusted_types = ["sklearn.tree._tree.Tree"]

[training_data]
description = "Nobody's."
"""
SOURCE_WITH_LIBRARY = """
name = "asks"
version = "1.0.0"
title = { en = "Sums" }
licence = "MIT"
authors = [{ name = "A. Author" }]
dependencies = ["nobody-has-it==1.0"]

[input]
kind = "table"

[[tests]]
name = "three"
inputs = ["tests/three.csv"]
expected = "tests/three.json"
"""
BAD = (None, True, -1, "", "../x", "x" * 5000, [], {}, [{}], ["b", "b"], {"a": "model_x"})
WRONG = (
    {"title": {"ja": "合計"}},
    {"weights": {"file": "w.npz", "format": "npz"}, "training_data": None},
    {"weights": {"file": "w.npz", "format": "npz", "trusted_types": ["a.B"]}},
    {"weights": {"file": "w", "format": "skops", "trusted_types": ["os.system"]}},
    {"parameters": [{"name": "n", "type": "integer", "default": 3, "maximum": 2}]},
    {"parameters": [{"name": "n", "type": "text", "default": "a", "maximum": 2}]},
    {"parameters": [{"name": "model_n", "type": "number", "default": 3}]},
    {"parameters": 2 * [{"name": "n", "type": "number", "default": 3}]},
    {"inputs": [{"kind": "table"}]},
    {"files": {"other.py": "0" * 64}},
)
ENGLISH = re.compile("[a-z]+ [a-z]+ [a-z]+")
JAPANESE = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")


def spoilt(value: Any, top: Any, path: tuple[Any, ...] = ()) -> Iterator[dict[str, Any]]:
    """Yield a manifest with each of its values in turn gone, and each in turn of each bad kind."""
    keys = list(value) if isinstance(value, dict) else range(len(value))
    for key in keys:
        for bad in ("gone", *BAD):
            whole = copy.deepcopy(top)
            place = whole
            for step in path:
                place = place[step]
            if bad == "gone":
                del place[key]
            else:
                place[key] = bad
            yield whole
        if isinstance(value[key], dict | list):
            yield from spoilt(value[key], top, (*path, key))


def manifest_of(archive: Path) -> dict[str, Any]:
    with zipfile.ZipFile(archive) as opened:
        return dict(json.loads(opened.read(MANIFEST_FILE)))


def with_manifest(archive: Path, manifest: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(file, "w") as target:
        for name in source.namelist():
            known = source.read(name)
            target.writestr(name, json.dumps(manifest) if name == MANIFEST_FILE else known)
    return file.getvalue()


def test_whatever_is_wrong_in_a_manifest_is_said_in_japanese(small: Callable[..., Any]) -> None:
    archive = small(more=MORE, files={"w.skops": b"-"}).archive(accepted=False)
    sound = parse_manifest(manifest_of(archive), "m").model_dump(mode="json")
    refused = 0
    for values in (*spoilt(sound, sound), *({**sound, **wrong} for wrong in WRONG)):
        try:
            parse_manifest(values, "m")
        except ManifestError as error:
            refused += 1
            for place, problem in error.problems:
                said = problem_of(problem, "ja")
                plain = said.replace(str(problem["input"])[:50], "")
                assert JAPANESE.search(plain), (place, problem["type"], said)
                assert not ENGLISH.search(plain), (place, problem["type"], said)
    assert refused > 300


def test_the_page_and_the_api_name_the_entry_in_the_users_language(
    site: Any, small: Callable[..., Any]
) -> None:
    archive = small().archive(accepted=False)
    manifest = manifest_of(archive)
    manifest["title"] = {"ja": "合計"}
    content = with_manifest(archive, manifest)
    user = site.user(language="ja")
    page = site.browser().post("/packages", files=[("archive", ("sums.zip", content))])
    assert page.status_code == 422
    assert "英語の表題（title.en）を書いてください" in page.text
    manifest["licence"] = ""
    sent = site.program(user).post("/api/v1/packages", content=with_manifest(archive, manifest))
    told = sent.json()
    assert told["error"] == "refused.manifest"
    assert "licence: 1 文字以上" in told["message"]


def zipped(**members: Any) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in members.items():
            target.writestr(name, content)
    return file.getvalue()


def test_archives_that_are_no_packages_are_refused_in_the_users_language(
    site: Any, small: Callable[..., Any]
) -> None:
    site.user(language="ja")
    browser = site.browser()
    archive = small().archive(accepted=False)
    sound = manifest_of(archive)
    asking = small(name="asks", source=SOURCE_WITH_LIBRARY).archive(accepted=False)
    broken = {
        "no zip": b"no zip",
        "cut off": archive.read_bytes()[:-30],
        "nothing inside": zipped(**{"script.py": b"1"}),
        "no JSON": zipped(**{MANIFEST_FILE: b"{"}),
        "no files": with_manifest(archive, {**sound, "files": {}}),
        "changed": with_manifest(archive, {**sound, "files": {**sound["files"], "a.py": "0" * 64}}),
        "elsewhere": zipped(**{"../x": b"1"}),
        "twice": zipped(**{"a": b"1", "A": b"1"}),
        "bomb": zipped(**{"a": b"0" * 10**8}),
        "folder": zipped(**{"a/b": b"1", "a": b"1"}),
        "library": asking.read_bytes(),
    }
    for kind, content in broken.items():
        answer = browser.post("/packages", files=[("archive", ("p.zip", content))])
        assert answer.status_code == 422, kind
        said = re.search(r'<div class="problem".*?<p>(.*?)</p>', answer.text, re.DOTALL)
        assert said is not None, kind
        assert JAPANESE.search(said[1].partition("詳細：")[2]), (kind, said[1])
        assert not ENGLISH.search(said[1].replace("bl-steer package build", "")), (kind, said[1])


def test_texts_of_a_new_package_and_those_to_come_are_found(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    write_template(folder, author="your name", weights="skops")
    entries = ["description.en", "description.ja", "authors", "training_data.description"]
    assert unwritten(read_source(folder)) == entries
    about = folder / "package.toml"
    text = about.read_text("utf-8").replace("your name", "A. Author")
    text = text.replace("Share of each", "Grains of each").replace("Made up by", "Drawn by")
    about.write_text(text.replace("より明るい", "TODO"), "utf-8")
    assert unwritten(read_source(folder)) == ["description.ja"]
    about.write_text(text.replace("より明るい", "より大きい"), "utf-8")
    assert unwritten(read_source(folder)) == []


@pytest.mark.skipif(bool(sandbox_problem()), reason=sandbox_problem() or "-")
def test_a_package_that_says_what_a_new_one_says_goes_back_to_its_author(
    site: Any, small: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    packages, database, author = site.context.packages, site.context.database, site.user()
    more = f'\n[description]\nen = "{TEXTS["description.en"]}"\nja = "TBD"\n'
    with small(more=more).archive().open("rb") as file, database.write() as session:
        review.submit(session, packages.take_in(file), author)
    browser = site.browser()
    with database.read() as session:
        (waiting,) = session.scalars(select(Package.sha256))
    assert "description.en, description.ja" in browser.get(f"/packages/{waiting}").text
    sha256 = check_next(database, packages) or ""
    with database.read() as session:
        package = session.get_one(Package, sha256)
    assert package.state == "draft", "nobody can approve it"
    english = browser.get(f"/packages/{sha256}").text
    assert "or says that it is to come: description.en, description.ja." in english
    assert "Its tests did not give the expected output" not in english
    japanese = browser.get(f"/packages/{sha256}", headers={"Accept-Language": "ja"}).text
    assert "ひな形のまま（または未記入）です：description.en, description.ja" in japanese
    where = ["--user", author.email, "--folder", str(packages.settings.folder)]
    assert main(["review", "show", sha256, *where]) == 0
    assert "description.en is still that of a new package" in capsys.readouterr().out
    with database.write() as session:
        package = session.get_one(Package, sha256)
        check = {**package.report["check"], "problems": ["its time ran out"]}
        package.report = {**package.report, "check": check}
    assert main(["review", "show", sha256, *where]) == 0
    assert capsys.readouterr().out.count("its time ran out") == 1
