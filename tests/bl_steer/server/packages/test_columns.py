"""A package that takes one table says which columns it must have, wherever its form is met."""

from __future__ import annotations

from typing import Any

import pytest

from bl_steer.server.db.tables import Package, Release
from tests.bl_steer.server.packages.test_several import OLD
from tests.bl_steer.server.segmented import uploaded


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "must have the columns dose &lt;Gy&gt;, mass."),
        ("ja", "表に必要な列：dose &lt;Gy&gt;, mass。"),
    ],
)
def test_the_columns_of_the_one_table_stand_in_the_form_the_list_and_the_api(
    site: Any, language: str, said: str
) -> None:
    user = site.user(language=language)
    table = {**OLD["input"], "columns": ["dose <Gy>", "mass"]}
    manifest = {**OLD, "input": table}
    with site.context.database.write() as session:
        session.add(
            Package(
                sha256="a" * 64,
                name="sums",
                version="1.0.0",
                author_id=user.id,
                state="released",
                manifest=manifest,
            )
        )
        session.flush()
        session.add(Release(name="sums", sha256="a" * 64, by=user.id))
    browser = site.browser()
    file = uploaded(browser, "doses.csv", b"dose,mass\n1,2\n")
    assert said in browser.get(f"/analyses/sums?file={file}").text
    assert said in browser.get(f"/analyses?file={file}").text
    told = site.program(user).get("/api/v1/analyses/sums").json()
    assert told["columns"] == ["dose <Gy>", "mass"]
    assert site.program(user).get("/api/v1/analyses/advise").json()["columns"] == []
