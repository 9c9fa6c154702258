"""Small rules of the pages: where links lead, what tables show, when limits end a body."""

from __future__ import annotations

import asyncio
import io
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, text
from starlette.types import Message

from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import AccessRecord, Job, JobOutput, Upload, User
from bl_steer.server.errors import Refused
from bl_steer.server.settings import ServerSettings
from bl_steer.server.sizes import amount
from bl_steer.server.uploads.blobs import FileStore
from bl_steer.server.web.access_log import AccessLog, latest_requests
from bl_steer.server.web.catalogue import builtin_entries
from bl_steer.server.web.context import Context
from bl_steer.server.web.middleware import Body
from bl_steer.server.web.rendering import local_path, static_address, static_files
from bl_steer.server.web.result_tables import MAX_ROWS
from bl_steer.server.web.result_view import parameter_lines, view_of
from bl_steer.server.web.submissions import WrongParams, submit_analysis

SHORT_S = 0.4
"""In which a flush would be done if it did not wait."""


@pytest.mark.parametrize("path", ["/", "/jobs", "/jobs?state=done&x=//y", "/a#b", "/試料"])
def test_a_path_of_this_server_leads_on(path: str) -> None:
    assert local_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "jobs",
        "//evil.org",
        "/\\evil.org",
        "https://evil.org",
        "/a\\b",
        "/a\r\nb",
        "\t//evil.org",
    ],
)
def test_any_other_address_leads_to_the_first_page(path: str) -> None:
    assert local_path(path) == "/"


def test_the_address_of_a_file_of_the_pages_changes_with_its_content() -> None:
    for name, (content, media_type, digest) in static_files().items():
        assert content
        assert media_type
        assert static_address(name) == f"/static/{name}?{digest}"
    digests = [digest for _, _, digest in static_files().values()]
    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (2**20, "1 MiB"),
        (1.5 * 2**20, "1.5 MiB"),
        (2**30, "1 GiB"),
        (2048 * 2**30, "2,048 GiB"),
    ],
)
def test_a_size_is_shown_in_the_unit_of_its_reader(size: float, shown: str) -> None:
    assert amount(size) == shown


@given(st.lists(st.integers(1, 300), min_size=1, max_size=8))
def test_a_body_is_read_to_its_limit_and_not_further(sizes: list[int]) -> None:
    messages: list[Message] = [
        {"type": "http.request", "body": b"x" * size, "more_body": number < len(sizes) - 1}
        for number, size in enumerate(sizes)
    ]

    async def read() -> int:
        waiting = iter(messages)

        async def receive() -> Message:
            return next(waiting)

        body = Body(receive)
        body.limit = 1000
        while not body.complete:
            await body()
        return body.read

    if sum(sizes) <= 1000:
        assert asyncio.run(read()) == sum(sizes)
    else:
        with pytest.raises(Refused, match="at most 1000 B fit") as caught:
            asyncio.run(read())
        assert caught.value.status == 413


def result(folder: Path, **tables: str) -> tuple[FileStore, list[JobOutput]]:
    store = FileStore(f"file://{folder / 'files'}")
    outputs = []
    for name, content in tables.items():
        sha256, size = store.put(io.BytesIO(content.encode("utf-8-sig")))
        values = {"sha256": sha256, "size": size, "media_type": "text/csv"}
        outputs.append(JobOutput(name=f"{name}.csv", kind="table", **values))
    return store, outputs


def job_with(database: Database, outputs: list[JobOutput], **values: object) -> Job:
    with database.write() as session:
        user = User(email="ann@example.org")
        session.add(user)
        session.flush()
        job = Job(user_id=user.id, analysis="advise", upload_ids=[], **{"params": {}, **values})
        session.add(job)
        session.flush()
        for output in outputs:
            output.job_id = job.id
        session.add_all(outputs)
        return job


def test_a_result_page_shows_the_first_rows_of_each_table_the_chosen_ones_first(
    database: Database, tmp_path: Path
) -> None:
    rows = "".join(f"{n},{n / 3},α\n" for n in range(MAX_ROWS + 1))
    store, outputs = result(
        tmp_path,
        aaa="x,y,phase\n" + rows,
        best="x\n",
        suggestions="x,name\n1,\n,nan-like\n",
        empty="",
    )
    outputs.append(
        JobOutput(name="gone.csv", kind="table", sha256="0" * 64, size=1, media_type="text/csv")
    )
    job = job_with(database, outputs)
    with database.read() as session:
        view = view_of(session, store, job, "en")
    shown = [table.name for table, _ in view.tables]
    assert shown == ["suggestions.csv", "aaa.csv"]  # and none without rows
    suggestions, long = (table for table, _ in view.tables)
    assert [column.numeric for column in suggestions.columns] == [True, False]
    assert not suggestions.more
    assert (len(long.rows), long.more) == (MAX_ROWS, True)
    assert [*long.rows[1]] == ["1", "0.3333", "α"]  # a place, to a thousandth of a step
    assert [column.numeric for column in long.columns] == [True, True, False]
    assert len(view.files) == 5


def test_the_parameters_of_a_job_are_told_with_label_and_unit(database: Database) -> None:
    job = job_with(database, [], params={"pixel_size_nm": 10.0})
    assert parameter_lines(None, job, "en") == [("pixel_size_nm", "10.0")]
    (segment,) = (entry for entry in builtin_entries() if entry.name == "segment")
    lines = dict(parameter_lines(segment, job, "en"))
    assert "10 nm" in lines.values()
    assert len(lines) == len(segment.params.model_fields) - len(segment.hidden)


def a_request(number: int) -> AccessRecord:
    return AccessRecord(
        time=float(number),
        user_id=("ann", None)[number % 2],
        method="GET",
        path=f"/{number}",
        status=200,
        address="",
        ms=1.0,
    )


def test_the_access_log_is_written_in_batches_and_read_page_by_page(database: Database) -> None:
    log = AccessLog(database)
    for number in range(5):
        log.add(a_request(number))
    with database.read() as session:
        assert session.scalars(select(AccessRecord)).all() == []
    log.close()
    with database.read() as session:
        newest = latest_requests(session, limit=2)
        assert [record.path for record in newest] == ["/4", "/3"]
        rest = latest_requests(session, before=newest[-1].id)
        assert [record.path for record in rest] == ["/2", "/1", "/0"]
        own = latest_requests(session, user_id="ann")
        assert [record.path for record in own] == ["/4", "/2", "/0"]


def test_a_request_is_on_record_after_a_flush_beside_another(database: Database) -> None:
    log = AccessLog(database)
    log.add(a_request(1))
    with ThreadPoolExecutor(2) as threads:
        with database.write() as session:  # which both wait for
            if not database.is_sqlite:
                session.execute(text(f"LOCK TABLE {AccessRecord.__tablename__}"))
            flushes = [threads.submit(log.flush) for _ in range(2)]
            assert not wait(flushes, SHORT_S, FIRST_COMPLETED).done
        for flush in flushes:
            flush.result(60)
    with database.read() as session:
        assert len(latest_requests(session)) == 1


@pytest.mark.parametrize(
    ("files", "values", "key"),
    [
        ([], {}, "refused.no_file_given"),
        (["nothing"], {}, "refused.no_file"),
        (["png"], {}, "refused.unfit_files"),
        (["a", "b"], {}, "refused.unfit_number"),
        (["a"], {"no such": 1}, "refused.params"),
        (["a"], {"seed": "x"}, "refused.params"),
        (["a"], {}, "refused.quota_jobs"),
    ],
)
def test_a_submission_that_does_not_fit_is_refused_and_queues_nothing(
    database: Database, tmp_path: Path, files: list[str], values: dict[str, object], key: str
) -> None:
    url = database.engine.url.render_as_string(hide_password=False)
    context = Context(ServerSettings(folder=tmp_path, database_url=url, quota_jobs=1))
    (entry,) = (entry for entry in builtin_entries() if entry.name == "advise")
    with database.write() as session:
        user = User(email="ann@example.org")
        session.add(user)
        session.flush()
        for upload_id, name in (("a", "a.csv"), ("b", "b.csv"), ("png", "c.png")):
            session.add(
                Upload(id=upload_id, user_id=user.id, sha256="b" * 64, file_name=name, size=1)
            )
    try:
        if key == "refused.quota_jobs":
            submit_analysis(context, user, entry, ["b"], {}, language="en", wants_mail=False)
        with pytest.raises(Refused) as caught:
            submit_analysis(context, user, entry, files, values, language="en", wants_mail=False)
    finally:
        context.close()
    assert caught.value.key == key
    if isinstance(caught.value, WrongParams):
        assert list(caught.value.problems) == list(values)
    with database.read() as session:
        assert len(session.scalars(select(Job)).all()) == (key == "refused.quota_jobs")
