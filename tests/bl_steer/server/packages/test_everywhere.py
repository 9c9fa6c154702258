from __future__ import annotations

import json
import pickle
import shlex
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from bl_steer.cli import main, make_parser
from bl_steer.files.atomic import alone_in
from bl_steer.processing.digest import digest_of
from bl_steer.server.db.tables import AuditRecord, Job, Package, Upload, User
from bl_steer.server.db.tables import Worker as WorkerRow
from bl_steer.server.jobs import queue as jobs
from bl_steer.server.jobs.execution import Ended, Execution
from bl_steer.server.jobs.leases import InputFile, Produced
from bl_steer.server.jobs.worker import Worker
from bl_steer.server.packages import package_analysis
from bl_steer.server.packages.checking import check_next, is_under_check, package_is_next
from bl_steer.server.packages.manifest import PackageError
from bl_steer.server.packages.store import PackageStore
from bl_steer.server.packages.template import write_template
from bl_steer.server.packages.testing import try_package
from bl_steer.server.sandbox.limits import Limits
from bl_steer.server.sandbox.run import sandbox_problem
from bl_steer.server.settings import ServerSettings

pytestmark = pytest.mark.skipif(bool(sandbox_problem()), reason=sandbox_problem() or "-")

TABLE = "x,y\n1,5\n10,6\n"
CODE = """
[weights]
file = "model.pkl"
format = "pickle"

[training_data]
description = "none"
"""


@pytest.fixture
def server(service: ServerSettings, monkeypatch: pytest.MonkeyPatch) -> Worker:
    """A worker, with the settings where the command line finds them."""
    monkeypatch.setenv("BL_STEER_SERVICE_FOLDER", str(service.folder))
    worker = Worker(service, name="w")
    worker.database.create_tables()
    with worker.database.write() as session:
        session.add_all(
            User(id=name, email=f"{name}@example.org", role=role)
            for name, role in {"a": "user", "r": "reviewer", "s": "reviewer"}.items()
        )
    return worker


def review(deed: str, *words: str, by: str = "r") -> int:
    return main(["review", deed, *words, "--user", f"{by}@example.org"])


def run_on_server(server: Worker, sha256: str, params: dict[str, Any]) -> Job:
    blob, size = server.files.put(iter([TABLE.encode()]))
    with server.database.write() as session:
        upload = Upload(user_id="a", sha256=blob, file_name="表.csv", size=size)
        session.add(upload)
        session.flush()
        job = jobs.submit(
            session,
            user_id="a",
            analysis="sums",
            package_sha256=sha256,
            params=params,
            upload_ids=[upload.id],
        )
    assert server.step()
    with server.database.read() as session:
        return session.get_one(Job, job.id)


def elsewhere(server: Worker, sha256: str, folder: Path) -> Ended:
    """Run it as a machine of a cluster does, which has the file store and nothing else."""
    folder.mkdir()
    blob, _ = server.files.put(iter([TABLE.encode()]))
    with server.database.read() as session:
        archive = session.get_one(Package, sha256).blob_sha256
        _, permit = server.packages.permitted(session, sha256)
    return Execution(
        "sums",
        {"factor": 4},
        [InputFile(blob, "表.csv")],
        Limits(),
        caches=folder / "none",
        hidden=folder / "none",
        package=archive,
        permit=permit.model_dump_json(),
        most_bytes=2**20,
    ).run(folder, server.files, hear=lambda line: None, over=lambda: False)


def test_notebook_command_line_and_server_give_the_same_digest_through_the_whole_review(
    server: Worker,
    small: Callable[..., Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    package = small(more=CODE, files={"model.pkl": pickle.dumps({"weight": 1.5})})
    folder, table = package.write(), tmp_path / "table.csv"
    table.write_text(TABLE)
    assert main(["package", "test", str(folder)]) == 2, "nothing is expected yet"
    assert main(["package", "test", str(folder), "--accept"]) == 0
    assert main(["package", "build", str(folder), "--out", str(tmp_path / "sums.zip")]) == 0
    assert "needs         2 approvals by" in capsys.readouterr().out
    submit = ["package", "submit", str(tmp_path / "sums.zip"), "--user", "a@example.org"]
    assert main([*submit, "--json", str(tmp_path / "s.json")]) == 0
    sha256 = json.loads((tmp_path / "s.json").read_text())["sha256"]
    assert server.step(), "a worker checks what was submitted"
    assert not server.step()
    assert review("approve", "sums@1.0.0", by="r") == 0
    said = "1 of 2 approvals; another reviewer must approve"
    assert said in capsys.readouterr().out
    assert main(["review", "show", "sums@1.0.0"]) == 0
    assert said in capsys.readouterr().out
    assert review("release", "sums@1.0.0") == 2, "a pickle needs two"
    assert review("approve", sha256[:10], by="s") == 0
    assert review("release", sha256) == 0
    assert "2 of 2 approvals" in capsys.readouterr().out
    assert main(["review", "list", "--state", "released"]) == 0, "who only reads needs no account"
    assert "sums@1.0.0" in capsys.readouterr().out
    assert main(["review", "show", "sums@1.0.0"]) == 0
    assert "code: loading it runs it" in capsys.readouterr().out

    analysis = package_analysis(folder)
    inputs = analysis.inputs_from_files([table])
    here = analysis.run(inputs, analysis.Params(factor=4.0))
    assert here.tables["sums"]["sum"].tolist() == [66.0]
    run = ["package", "run", str(folder), str(table), "--param", "factor=4", "--out"]
    assert main([*run, str(tmp_path / "out"), "--json", str(tmp_path / "r.json")]) == 0
    job = run_on_server(server, sha256, {"factor": 4})
    assert (job.state, job.message) == ("done", "")
    assert job.digest == digest_of(here)
    assert json.loads((tmp_path / "r.json").read_text())["digest"] == digest_of(here)
    ended = elsewhere(server, sha256, tmp_path / "machine")
    assert isinstance(ended.found, Produced)
    assert ended.found.digest == digest_of(here)

    assert review("revoke", "sums@1.0.0", "--comment", "wrong unit") == 0
    job = run_on_server(server, sha256, {"factor": 4})
    assert (job.state, job.cause) == ("failed", "package")
    assert "wrong unit" in job.message


def test_a_package_that_fails_its_own_tests_is_a_draft_with_the_reason(
    server: Worker, small: Callable[..., Any]
) -> None:
    package = small()
    archive = package.archive()
    wrong = json.loads((package.folder / "tests" / "three.json").read_text())
    wrong["digest"] = "0" * 64
    wrong["tables"]["sums"]["columns"]["sum"] = [21.5]
    (package.folder / "tests" / "three.json").write_text(json.dumps(wrong))
    archive.unlink()
    assert main(["package", "submit", str(package.folder), "--user", "a@example.org"]) == 0
    assert server.step()
    with server.database.read() as session:
        (row,) = session.query(Package).all()
    assert row.state == "draft"
    (test,) = row.report["check"]["tests"]
    assert test["problems"] == ["tables.sums.columns.sum[0] must be 21.5, got 21.0"]
    assert row.report["inspection"]["imports"] == {"script.py": ["numpy"]}


def test_a_package_has_its_turn_before_younger_jobs_and_its_page_says_that_it_is_tested(
    server: Worker, small: Callable[..., Any]
) -> None:
    folder = small().accept()
    assert main(["package", "submit", str(folder), "--user", "a@example.org"]) == 0
    with server.database.write() as session:
        sha256, user_id = session.execute(select(Package.sha256, Package.author_id)).one()
        more: dict[str, Any] = {"user_id": user_id, "analysis": "advise", "params": {}}
        job = jobs.submit(session, **more, upload_ids=[])
    assert package_is_next(server.database)
    assert not is_under_check(server.database, server.packages, sha256)
    with alone_in(server.packages.folder):
        assert is_under_check(server.database, server.packages, sha256)
    assert server.step()
    with server.database.write() as session:
        assert session.get_one(Package, sha256).state == "checked"
        assert session.get_one(Job, job.id).state == "queued"
        session.get_one(Package, sha256).state = "submitted"
        session.get_one(Job, job.id).created = 1.0
    assert not package_is_next(server.database)


def test_workers_check_a_package_once(server: Worker, small: Callable[..., Any]) -> None:
    folder = small().accept()
    assert main(["package", "submit", str(folder), "--user", "a@example.org"]) == 0
    with ThreadPoolExecutor(2) as pool:
        looks = [pool.submit(check_next, server.database, server.packages) for _ in range(2)]
        found = [one.result() for one in looks]
    with server.database.read() as session:
        package = session.scalars(select(Package)).one()
        deeds = list(session.scalars(select(AuditRecord.action)))
    assert package.state == "checked"
    assert sorted(found, key=str) == sorted([package.sha256, None], key=str)
    assert deeds.count("package check") == 1


def test_a_worker_is_heard_of_while_it_checks_and_leaves_a_check_when_it_is_to_end(
    server: Worker, small: Callable[..., Any]
) -> None:
    script = "import time\n\n\ndef run(inputs, params, model):\n    time.sleep(60)\n"
    assert (
        main(["package", "submit", str(small(script=script).write()), "--user", "a@example.org"])
        == 0
    )
    server.settings = server.settings.model_copy(update={"alarm_after_s": 0.4})
    heard = set()
    with ThreadPoolExecutor(1) as pool:
        step = pool.submit(server.step)
        while len(heard) < 5 and not step.done():
            with server.database.read() as session:
                heard.add(session.scalar(select(WorkerRow.seen)))
        server.stop()
        assert step.result()
    assert len(heard) == 5
    with server.database.read() as session:
        package = session.scalars(select(Package)).one()
    assert package.state == "submitted", "another worker checks it"


def test_the_tests_of_a_package_have_the_limits_and_the_sight_of_a_job(
    server: Worker, small: Callable[..., Any]
) -> None:
    script = """\
import os, pathlib


def run(inputs, params, model):
    if os.environ["BL_STEER_PROCESSES"] != "2" or "NUMBA_CACHE_DIR" not in os.environ:
        raise ValueError(f"other conditions than those of a job: {dict(os.environ)}")
    for number in range(40):
        pathlib.Path(str(number)).write_bytes(bytes(100_000))
    import time
    time.sleep(60)
"""
    folder = str(small(script=script).write())
    assert main(["package", "submit", folder, "--user", "a@example.org"]) == 0
    narrow = {"job_disk_mib": 1, "job_cores": 2, "job_time_s": 50.0}
    server.packages = PackageStore(server.settings.model_copy(update=narrow))
    assert server.step()
    with server.database.read() as session:
        (row,) = session.query(Package).all()
    (test,) = row.report["check"]["tests"]
    assert "its disk space ran out" in test["problems"][0]


def test_a_test_that_ends_its_process_is_told_from_one_that_fails(
    small: Callable[..., Any],
) -> None:
    report = try_package(small(script="import os\nos._exit(3)\n").write())
    assert "its process died (status 3)" in report.tests[0]["problems"][0]
    report = try_package(
        small(script="def run(inputs, params, model):\n    return 1 / 0\n").write()
    )
    assert (
        "ZeroDivisionError: division by zero in run (script.py, line 2)"
        in (report.tests[0]["problems"][0])
    )


@pytest.mark.parametrize(
    ("weights", "approvals"),
    [
        (None, "1 approval"),
        ("skops", "1 approval"),
        ("pickle", "2 approvals"),
        ("h5", "2 approvals"),
    ],
)
def test_a_new_package_works_from_its_first_minute(
    weights: str | None,
    approvals: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "grain-size"
    words = ["package", "init", str(folder), "--author", 'A. "Q" Author']
    assert main([*words, *(["--weights", weights] if weights else [])]) == 0
    if weights:
        monkeypatch.chdir(folder)
        monkeypatch.syspath_prepend(str(folder))
        exec(compile((folder / "train.py").read_bytes(), "train.py", "exec"), {})
        shutil.rmtree(folder / "__pycache__", ignore_errors=True)
    assert main(["package", "test", str(folder), "--accept"]) == 0
    assert main(["package", "build", str(folder), "--out", str(tmp_path / "g.zip")]) == 0
    assert f"needs         {approvals} by" in capsys.readouterr().out
    assert main([*words]) == 2, "a folder with files in it is left alone"
    for line in (folder / "README.md").read_text().splitlines():
        if line.startswith("bl-steer "):
            assert make_parser().parse_args(shlex.split(line, comments=True)[1:]).run


@pytest.mark.parametrize("name", ["texture-classes", "texture-classes-skops"])
def test_the_worked_examples_pass_their_own_tests(name: str) -> None:
    report = try_package(Path(__file__).parents[4] / "examples" / "packages" / name)
    assert report.passed, report.to_dict()


def test_weights_that_are_not_made_yet_are_asked_for_before_any_test(tmp_path: Path) -> None:
    write_template(tmp_path / "mine", author="A. Author", weights="skops")
    with pytest.raises(PackageError, match=r"got no .*skops in .*; run 'python train.py' there"):
        try_package(tmp_path / "mine")
