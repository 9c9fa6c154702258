"""What a quota lets in, and what it says of the rest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

TABLE = b"x,y,value\n1,2,3\n"


@pytest.fixture(scope="module")
def site(site_module: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("quota")
    with site_module.running_site(folder, max_upload_mib=2, quota_mib=6) as running:
        yield running


def test_files_that_fill_the_quota_are_the_last(site: Any) -> None:
    program = site.program(site.user("full@example.org"))
    content = b"1,2,3\n" * 250_000
    statuses = [
        program.post(f"/api/v1/files?file_name={count}.csv", content=content).status_code
        for count in range(6)
    ]
    assert statuses == [201] * 4 + [413] * 2


@pytest.mark.parametrize("chunked", [False, True])
def test_a_program_hears_which_file_its_quota_has_no_room_for(site: Any, chunked: bool) -> None:
    program = site.program(site.user(f"quota{chunked}@example.org"))
    content = b"1,2,3\n" * 250_000
    for count in range(4):
        program.post(f"/api/v1/files?file_name={count}.csv", content=content)
    body: Any = iter([content]) if chunked else content
    answer = program.post("/api/v1/files?file_name=last.csv", content=body)
    assert answer.status_code == 413
    assert answer.json()["message"] == (
        "last.csv does not fit: your files may take 6 MiB in all. Delete some first."
    )
    assert not list(site.context.arrivals.iterdir())


@pytest.mark.parametrize(
    ("language", "said"),
    [("en", "big.csv does not fit: your files may take 6 MiB"), ("ja", "big.csv は入りません")],
)
def test_files_that_fit_are_kept_beside_one_that_the_quota_has_no_room_for(
    site: Any, language: str, said: str
) -> None:
    user = site.user(f"{language}@quota.org", language=language)
    program, browser = site.program(user), site.browser(user.email)
    content = b"1,2,3\n" * 250_000
    for count in range(4):
        program.post(f"/api/v1/files?file_name={count}.csv", content=content)
    answer = browser.upload(("a.csv", TABLE), ("big.csv", content), ("b.csv", TABLE))
    assert answer.status_code == 413
    assert said in answer.text
    names = [one["file_name"] for one in program.get("/api/v1/files").json()]
    assert names == ["b.csv", "a.csv", "3.csv", "2.csv", "1.csv", "0.csv"]
