"""A package's page shows its reviewer the README and what the tests are given, and runs nothing."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bl_steer.server.packages import review
from bl_steer.server.packages.archive import build_archive
from bl_steer.server.packages.template import write_template
from bl_steer.server.sandbox.run import sandbox_problem
from tests.bl_steer.server.segmented import tiff

README = "# Sums <img src=x onerror=alert(1)>\n<script>alert(2)</script>\n\u202eevil\n"


def submitted(site: Any, archive: Path, author: Any) -> str:
    with archive.open("rb") as file:
        arrived = site.context.packages.take_in(file)
    with site.context.database.write() as session:
        package = review.submit(session, arrived, author)
        package.state = "released"
        return str(package.sha256)


@pytest.fixture
def people(site: Any) -> dict[str, Any]:
    author = site.user("ann@example.org")
    site.user("rei@example.org", "reviewer")
    site.user("use@example.org")
    return {"author": author}


def test_a_reviewer_reads_readme_inputs_and_expected_output_as_text(
    site: Any, small: Callable[..., Any], people: dict[str, Any]
) -> None:
    made = small(files={"README.md": README.encode() + b"end " * 10_000})
    made.script += "# <b>bold</b>\n"
    sha256 = submitted(site, made.archive(), people["author"])
    for language, heading in (("en", "What the tests are given"), ("ja", "テストの入力")):
        page = site.browser("rei@example.org").get(
            f"/packages/{sha256}", headers={"Accept-Language": language}
        )
        assert heading in page.text
    text = page.text
    assert "&lt;script&gt;alert(2)" in text
    assert "<script>alert(2)" not in text
    assert "<img src=x" not in text
    assert "\\u202eevil" in text
    readme = text.partition('id="readme"')[2].partition("</section>")[0]
    assert readme.count("end ") < 5_000, "no more than a reader reads"
    assert "…" in readme
    given = text.partition('id="tests"')[2].partition("</section>")[0]
    assert "x,y\n1,0\n2,0\n4,0" in given
    assert "tests/three.csv" in given
    assert "&#34;factor&#34;: 3.0" in given
    assert "tests/three.json" in given
    assert 'id="readme"' in site.browser().get(f"/packages/{sha256}").text
    users = site.browser("use@example.org").get(f"/packages/{sha256}")
    assert users.status_code == 200
    assert 'id="readme"' not in users.text
    assert 'id="tests"' not in users.text


def test_a_reviewer_sees_an_image_that_a_test_is_given_and_no_other_file(
    site: Any, tmp_path: Path, people: dict[str, Any]
) -> None:
    write_template(tmp_path / "mine", author="A. Author")
    (tmp_path / "mine" / "tests" / "two-halves.expected.json").write_text("{}")
    build_archive(tmp_path / "mine", tmp_path / "mine.zip")
    sha256 = submitted(site, tmp_path / "mine.zip", people["author"])
    browser = site.browser("rei@example.org")
    page = browser.get(f"/packages/{sha256}").text
    address = f"/packages/{sha256}/given?file=tests/two-halves.png"
    assert f'<img class="given" loading="lazy" src="{address}"' in page
    image = browser.get(address)
    assert image.headers["content-type"] == "image/png"
    assert image.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert image.content == (tmp_path / "mine" / "tests" / "two-halves.png").read_bytes()
    for other in ("script.py", "../../keys/review.key", "tests", "", "/etc/passwd"):
        assert browser.get(f"/packages/{sha256}/given?file={other}").status_code == 404
    assert site.browser("use@example.org").get(address).status_code == 404
    assert site.stranger().get(address).status_code in (303, 401, 404)


def test_an_input_that_is_no_png_is_saved_and_not_shown(
    site: Any, small: Callable[..., Any], people: dict[str, Any]
) -> None:
    """Whatever its name says: only a sound PNG comes with the type of an image."""
    made = small(files={"tests/evil.png": b"<svg onload=alert(1)>", "tests/a.html": b"<b>"})
    made.write()
    source = (made.folder / "package.toml").read_text("utf-8")
    made.source = source.replace(
        '["tests/three.csv"]', '["tests/three.csv", "tests/evil.png", "tests/a.html"]'
    )
    sha256 = submitted(site, made.archive(accepted=False), people["author"])
    browser = site.browser()
    page = browser.get(f"/packages/{sha256}").text
    assert '<img class="given"' not in page
    for name in ("tests/evil.png", "tests/a.html"):
        answer = browser.get(f"/packages/{sha256}/given?file={name}")
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"].startswith("attachment")


@pytest.mark.skipif(bool(sandbox_problem()), reason=sandbox_problem() or "-")
def test_a_reviewer_sees_tiff_decoded_in_the_sandbox_and_jpeg_as_it_is(
    site: Any, small: Callable[..., Any], people: dict[str, Any]
) -> None:
    grey = np.tile(np.linspace(0, 40_000, 1100).astype(np.uint16), (700, 1))
    picture = io.BytesIO()
    Image.fromarray((grey // 200).astype(np.uint8)).save(picture, "jpeg")
    inputs = {
        "tests/wide.tif": tiff(grey),
        "tests/film.JPG": picture.getvalue(),
        "tests/no.tif": b"II*\0 no more",
        "tests/no.jpg": b"<svg onload=alert(1)>",
    }
    made = small(files=inputs)
    made.write()
    source = (made.folder / "package.toml").read_text("utf-8")
    named = ", ".join(f'"{name}"' for name in ("tests/three.csv", *inputs))
    made.source = source.replace('["tests/three.csv"]', f"[{named}]")
    sha256 = submitted(site, made.archive(accepted=False), people["author"])
    browser = site.browser("rei@example.org")
    page = browser.get(f"/packages/{sha256}").text
    preview = f"/packages/{sha256}/preview?file="
    assert f'src="{preview}tests/wide.tif"' in page
    assert f'src="/packages/{sha256}/given?file=tests/film.JPG"' in page
    assert 'given?file=tests/no.jpg" download' in page
    shown = browser.get(f"{preview}tests/wide.tif")
    assert shown.headers["content-type"] == "image/png"
    seen = np.asarray(Image.open(io.BytesIO(shown.content)))
    assert seen.shape == (175, 275)
    assert seen[0, 0] < 10
    assert seen[0, -1] > 245
    assert (
        browser.get(f"/packages/{sha256}/given?file=tests/film.JPG").headers["content-type"]
        == "image/jpeg"
    )
    assert browser.get(f"{preview}tests/no.tif").status_code == 422
    for other in ("script.py", "tests/three.csv", "tests/no.jpg", "../../keys/review.key", ""):
        assert browser.get(f"{preview}{other}").status_code == 404
    assert site.browser("use@example.org").get(f"{preview}tests/wide.tif").status_code == 404
