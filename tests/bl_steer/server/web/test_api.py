from __future__ import annotations

import json
import os
import re
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from bl_steer.cli import main
from bl_steer.server.auth.permissions import ACCESS
from bl_steer.server.client import Client, JobFailed, ServerError
from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import Upload
from bl_steer.server.web.catalogue import builtin_entries

TABLE = b"x,y,value\n1,2,3\n"
CASES = int(os.environ.get("BL_STEER_FUZZ_CASES", "40"))


@pytest.fixture(scope="module")
def site(site_module: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with site_module.running_site(tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "測定点.csv"
    path.write_bytes(TABLE)
    return path


@contextmanager
def worker(site: Any, files: dict[str, bytes]) -> Iterator[None]:
    """Finish all jobs, each as soon as it is there."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(0.05):
            with suppress(LookupError):
                site.finish(files)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_program_uploads_submits_waits_and_downloads(site: Any, table: Path) -> None:
    key = site.key(site.user("program@example.org"))
    seen: list[tuple[int, int]] = []
    files = {"next.csv": b"x,y\n5,6\n", "map.png": b"png"}
    with worker(site, files), Client(site.address, key) as server:
        assert "advise" in [one["name"] for one in server.analyses()]
        job = server.submit("advise", [server.upload(table, sample="試料1")], {"n_points": 3})
        done = server.wait(job, timeout_s=60, progress=lambda *steps: seen.append(steps))
        paths = server.download(done, table.parent / "found")
        link = server.share(done, days=2)
    assert {path.name: path.read_bytes() for path in paths} == files
    assert (done["state"], done["digest"]) == ("done", "d" * 64)
    assert seen
    assert httpx.get(link, timeout=120).status_code == 200


def test_a_mail_is_refused_with_the_remedy_where_the_server_sends_none(
    site: Any, table: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key = site.key(site.user("mail@example.org"))
    monkeypatch.setenv("BL_STEER_SERVICE_KEY", key)
    words = ["submit", str(table), "--analysis", "advise", "--server", site.address, "--mail"]
    assert main(words) == 2
    assert "sends no mail; leave the mail out, or ask" in capsys.readouterr().err
    with Client(site.address, key) as server:
        upload = server.upload(table)
        with pytest.raises(ServerError, match="BL_STEER_SERVICE_SMTP_HOST"):
            server.submit("advise", [upload], mail=True)
        sending = site.context.settings.model_copy(update={"smtp_host": "mail.example.org"})
        monkeypatch.setattr(site.context, "settings", sending)
        assert server.cancel(server.submit("advise", [upload], mail=True))["state"] == "cancelled"


def test_an_analysis_describes_its_parameters_without_those_that_are_not_for_users(
    site: Any,
) -> None:
    client = site.program(site.user("params@example.org"))
    known = {entry.name: entry for entry in builtin_entries()}
    for analysis in client.get("/api/v1/analyses").json():
        entry = known[analysis["name"]]
        described = analysis["params"]["properties"]
        assert described.keys() == entry.params.model_fields.keys() - entry.hidden
        keys = {key for schema in described.values() for key in schema}
        assert not keys & {"option", "metavar"}, "these are for the command line alone"


def test_what_the_server_refuses_is_told_in_its_words(site: Any, table: Path) -> None:
    key = site.key(site.user("wrong@example.org"))
    with Client(site.address, key) as server, Client(site.address, key, language="ja") as japanese:
        upload = server.upload(table)
        with pytest.raises(ServerError, match="Must be at least 1, got 0"):
            server.submit("advise", [upload], {"n_points": 0})
        with pytest.raises(ServerError, match="1 以上"):
            japanese.submit("advise", [upload], {"n_points": 0})
        with pytest.raises(ServerError, match=r"does not take .*\.csv"):
            server.submit("segment", [upload])
        with pytest.raises(ServerError, match="no such file"):
            server.submit("advise", ["none"])
        with pytest.raises(ServerError, match="Is not a parameter") as said:
            server.submit("superres", [upload], {"model": "/etc"})
        assert "model" not in str(said.value).partition("there are")[2]
        with pytest.raises(ServerError, match=r"n_point: .* there are goal, n_points"):
            server.submit("advise", [upload], {"n_point": 3})
        with pytest.raises(ServerError, match=r"n_point: .*指定できるのは goal, n_points"):
            japanese.submit("advise", [upload], {"n_point": 3})
        names = "advise, components, film, reconstruct, segment, structure, superres"
        with pytest.raises(ServerError, match=f"no analysis advice; there are {names}"):
            server.submit("advice", [upload])
        with pytest.raises(ServerError, match=f"解析 advice .*{names}"):
            japanese.submit("advice", [upload])
        job = server.submit("advise", [upload])
        assert server.cancel(job)["state"] == "cancelled"
        with pytest.raises(JobFailed, match="cancelled"):
            server.wait(job)
    with Client(site.address, "bls_wrong") as server, pytest.raises(ServerError, match="unknown"):
        server.analyses()
    with pytest.raises(ValueError, match="a key must be given"):
        Client(site.address)


def test_a_submission_that_is_repeated_makes_one_job(site: Any, table: Path) -> None:
    program = site.program(site.user("twice@example.org"))
    sent = program.post("/api/v1/files?file_name=a.csv", content=TABLE).json()
    wanted = {"analysis": "advise", "files": [sent["id"]], "submission_key": "once"}
    ids = {program.post("/api/v1/jobs", json=wanted).json()["id"] for _ in range(3)}
    assert len(ids) == 1
    assert len(program.get("/api/v1/jobs").json()) == 1


def test_submissions_at_once_make_a_job_for_each_key(
    site_module: Any, tmp_path: Path, database: Database
) -> None:
    url = database.engine.url.render_as_string(hide_password=False)
    with site_module.running_site(tmp_path / "busy", database_url=url) as site:
        program = site.program(site.user())
        sent = program.post("/api/v1/files?file_name=a.csv", content=TABLE).json()

        def submit(key: str) -> tuple[str, str]:
            wanted = {"analysis": "advise", "files": [sent["id"]], "submission_key": key}
            answer = program.post("/api/v1/jobs", json=wanted)
            assert answer.status_code == 201, answer.text
            return key, answer.json()["id"]

        with ThreadPoolExecutor(10) as pool:
            made = set(pool.map(submit, ["a"] * 10 + ["b", "c", "d"] * 6))
        assert len(made) == 4
        listed = {one["id"] for one in program.get("/api/v1/jobs").json()}
    assert listed == {job_id for _, job_id in made}


def test_too_many_jobs_of_one_user_wait(site_module: Any, tmp_path: Path) -> None:
    with site_module.running_site(tmp_path / "few", quota_jobs=2) as site:
        program = site.program(site.user())
        sent = program.post("/api/v1/files?file_name=a.csv", content=TABLE).json()
        wanted = {"analysis": "advise", "files": [sent["id"]]}
        statuses = [program.post("/api/v1/jobs", json=wanted).status_code for _ in range(3)]
        assert statuses == [201, 201, 429]


def test_pages_of_lists_hold_everything_once(site: Any) -> None:
    program = site.program(site.user("pages@example.org"))
    sent = program.post("/api/v1/files?file_name=a.csv", content=TABLE).json()
    wanted = {"analysis": "advise", "files": [sent["id"]]}
    made = [program.post("/api/v1/jobs", json=wanted).json()["id"] for _ in range(7)]
    found: list[str] = []
    before: dict[str, Any] = {}
    while page := program.get("/api/v1/jobs", params={"limit": 3, **before}).json():
        found += [one["id"] for one in page]
        before = {"before": page[-1]["created"]}
    assert found == made[::-1]


def test_bl_steer_submit_saves_the_result(
    site: Any, table: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BL_STEER_SERVICE_KEY", site.key(site.user("prompt@example.org")))
    out, report = table.parent / "out", table.parent / "job.json"
    command = ["submit", str(table), "--analysis", "advise", "--n-points", "3"]
    command += ["--server", site.address, "--out", str(out), "--json", str(report)]
    with worker(site, {"next.csv": b"x,y\n5,6\n"}):
        assert main(command) == 0
    assert (out / "next.csv").read_bytes() == b"x,y\n5,6\n"
    assert json.loads(report.read_text())["state"] == "done"
    assert "d" * 64 in capsys.readouterr().out
    with worker(site, {"next.csv": b"x,y\n5,6\n"}):
        assert main([*command, "--may-train"]) == 0
    with site.context.database.read() as session:
        offered = session.scalars(select(Upload.may_train).order_by(Upload.created)).all()
    assert offered[-2:] == [False, True]
    assert main(["submit", "none.csv", "--analysis", "advise"]) == 2
    assert "files must exist to be sent" in capsys.readouterr().err


def test_the_description_names_every_route_of_the_api(site: Any) -> None:
    described = site.stranger().get("/api/v1/openapi.json").json()
    told = {
        f"{method.upper()} {path}"
        for path, methods in described["paths"].items()
        for method in methods
    }
    ours = {row for row in ACCESS if "/api/v1/" in row and "openapi" not in row}
    assert told == {row for row in ours if "/packages" not in row}
    assert described["components"]["securitySchemes"]["key"]["scheme"] == "bearer"


def test_health_readiness_and_metrics(site: Any, table: Path) -> None:
    with Client(site.address, site.key(site.user("metrics@example.org"))) as server:
        server.cancel(server.submit("advise", [server.upload(table)]))
    guest = site.stranger()
    assert guest.get("/health").json() == {"status": "ok"}
    assert guest.get("/ready").json()["status"] == "ready"
    text = guest.get("/metrics").text
    assert re.search(r'^bl_steer_requests_total\{.*route="/health".*\} 1\.0$', text, re.M)
    assert 'bl_steer_jobs{state="' in text


def test_metrics_are_for_known_addresses_and_keys(site_module: Any, tmp_path: Path) -> None:
    with site_module.running_site(tmp_path / "far", metrics_address="10.0.0.1") as site:
        assert site.stranger().get("/metrics").status_code == 403
        assert site.program(site.user()).get("/metrics").status_code == 403
        root = site.user("root@example.org", "admin")
        assert site.program(root, "metrics:read").get("/metrics").status_code == 200


@pytest.mark.skipif(sys.platform != "linux", reason="schemathesis is tried on Linux")
def test_requests_made_from_the_description_never_break_the_server(site: Any) -> None:
    """More of them with ``make fuzz``."""
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, seed, settings

    described = site.stranger().get("/api/v1/openapi.json").json()
    schema = schemathesis.openapi.from_dict(described)
    key = site.key(site.user("fuzz@example.org"))
    headers = {"Authorization": f"Bearer {key}"}
    operations = [one.ok() for one in schema.get_all_operations()]
    counted = 0
    for operation in operations:

        @seed(1)
        @settings(
            max_examples=max(2, CASES // len(operations)),
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        )
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            nonlocal counted
            counted += 1
            answer = case.call(base_url=site.address, headers=headers, timeout=60)
            assert answer.status_code < 500, answer.text

        ask()
    assert counted >= CASES // 2  # routes without parameters are asked once or twice


@pytest.mark.parametrize("key", ["キー", "bls_é", "bls_a b", "bls_a\n"])
def test_what_cannot_be_a_key_is_refused_before_it_is_sent(key: str) -> None:
    with pytest.raises(ValueError, match="must be one from your account page"):
        Client("http://127.0.0.1:9", key)


@pytest.mark.parametrize(("language", "said"), [("en", "below /api/v1"), ("ja", "/api/v1 以下")])
@pytest.mark.parametrize("path", ["/jobs", "/files"])
def test_a_key_opens_no_page_and_is_told_where_it_serves(
    site: Any, path: str, language: str, said: str
) -> None:
    key = site.key(site.user(f"{language}{path[1:]}@example.org"))
    answer = site.stranger(**{"Authorization": f"Bearer {key}", "Accept-Language": language}).get(
        path
    )
    assert answer.status_code == 403
    assert said in answer.text
