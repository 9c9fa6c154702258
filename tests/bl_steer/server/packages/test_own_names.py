"""What fails in a package names its own files, and no folder of the server."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from bl_steer.server.db.tables import OutgoingMail, Package
from bl_steer.server.jobs.worker import Worker
from bl_steer.server.packages import review
from bl_steer.server.packages.checking import check_package
from bl_steer.server.sandbox.run import sandbox_problem

READS = "import pathlib\nHERE = pathlib.Path(__file__).parent\n"
SCRIPTS = {
    "it ends its process": "import os\ndef run(inputs, params, model):\n    os._exit(0)\n",
    "it ends before": "import os, sys\nsys.stderr.write(__file__)\nos._exit(0)\n",
    "its process dies": "import os\ndef run(inputs, params, model):\n    os.abort()\n",
    "it lacks a file": READS
    + "def run(inputs, params, model):\n    (HERE / 'data' / 'lookup.csv').read_text()\n",
    "it refuses a file": READS
    + "def run(inputs, params, model):\n    raise ValueError(f'no {HERE}/data/lookup.csv')\n",
    "it warns of a file": READS
    + "def run(inputs, params, model):\n"
    + "    return {'tables': {'t': {'a': [1]}}, 'warnings': [f'no {HERE}/data/lookup.csv']}\n",
}


@pytest.fixture(params=["kept apart", "trusted"])
def trusted(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether packages run without a sandbox, since there is none."""
    if request.param == "trusted":
        monkeypatch.setenv("PATH", "/nowhere")
    elif problem := sandbox_problem():
        pytest.skip(problem)
    return bool(request.param == "trusted")


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_no_page_answer_or_mail_of_what_fails_names_a_folder_of_the_server(
    site_module: Any, small: Callable[..., Any], tmp_path: Path, trusted: bool, script: str
) -> None:
    with site_module.running_site(tmp_path / "service", trust_packages=trusted) as site:
        context = site.context
        people = [site.user(f"{name}@x.org", "reviewer") for name in ("ann", "ben")]
        with small(script=script).archive(accepted=False).open("rb") as file:
            arrived = context.packages.take_in(file)
        with context.database.write() as session:
            sha256 = review.submit(session, arrived, people[0]).sha256
        check_package(context.database, context.packages, sha256, trusted=trusted)
        browser, program = site.browser("ann@x.org"), site.program(people[0])
        seen = [browser.get(f"/packages/{sha256}").text]
        seen += [program.get(f"/api/v1/packages/{sha256}").text]
        with context.database.write() as session:
            session.get_one(Package, sha256).state = "checked"
            session.flush()
            review.approve(session, sha256, people[1], key=context.packages.key)
            review.release(session, sha256, people[1], public_key=context.packages.key.public)
        sent = browser.post("/files", files=[("files", ("three.csv", b"x,y\n1,0\n2,0\n"))])
        upload_id = sent.headers["location"].partition("file=")[2]
        page = browser.post("/analyses/sums", {"file": upload_id, "wants_mail": "on"})
        worker = Worker(context.settings, name="w")
        assert worker.step()
        worker.database.close()
        seen += [browser.get(page.headers["location"]).text]
        seen += [program.get(f"/api/v1{page.headers['location']}").text]
        with context.database.read() as session:
            seen += [str(vars(mail)) for mail in session.scalars(select(OutgoingMail))]
    folders = [tmp_path, Path("/job"), sys.prefix, Path(review.__file__).parents[3]]
    for text in seen:
        assert not [folder for folder in folders if f"{folder}/" in text], text
    if "lookup" in script:
        assert all("data/lookup.csv" in text for text in seen[:4])
    if "_exit" in script:
        assert "ended its process by itself" in json.loads(seen[3])["message"]
