"""Tables of results as files that spreadsheets open, in the reader's language."""

from __future__ import annotations

from fastapi import Request, Response
from sqlalchemy.orm import Session

from bl_steer.server.db.tables import Job
from bl_steer.server.errors import Refused, missing
from bl_steer.server.jobs.history import job_of, output_of
from bl_steer.server.jobs.shares import open_share
from bl_steer.server.sizes import MIB, amount
from bl_steer.server.uploads.downloads import disposition
from bl_steer.server.web.context import Context
from bl_steer.server.web.dependencies import AppContext, OwnerId
from bl_steer.server.web.rendering import language_of
from bl_steer.server.web.result_tables import read_table, spreadsheet_of
from bl_steer.server.web.result_view import result_title, titles_of_fields
from bl_steer.server.web.routes import pages_router
from bl_steer.server.web.spreadsheets import MEDIA_TYPES, write_csv, write_xlsx

__all__ = ["router"]

router = pages_router()
MOST_BYTES = 32 * MIB
"""Of a table's file; larger ones are there as they are."""


@router.get("/jobs/{job_id}/tables/{name}")
def table(
    request: Request, context: AppContext, owner_id: OwnerId, job_id: str, name: str
) -> Response:
    """Return a table of a result: ``NAME.csv`` or ``NAME.xlsx``."""
    with context.database.read() as session:
        job = job_of(session, owner_id, job_id)
        return _spreadsheet(context, session, job, name, language_of(request))


@router.get("/s/{token}/tables/{name}")
def shared_table(request: Request, context: AppContext, token: str, name: str) -> Response:
    """Return a table of the result that a link opens."""
    with context.database.read() as session:
        job = open_share(session, token)
        return _spreadsheet(context, session, job, name, language_of(request))


def _spreadsheet(
    context: Context, session: Session, job: Job, name: str, language: str
) -> Response:
    stem, _, kind = name.rpartition(".")
    if kind not in MEDIA_TYPES:
        raise missing("output")
    output = output_of(session, job.id, f"{stem}.csv")
    stored = read_table(context.store, output, most=MOST_BYTES)
    if output.kind != "table" or stored is None:
        raise missing("output")
    if stored.cut:
        raise Refused(413, "refused.too_large", most=amount(MOST_BYTES))
    titles = titles_of_fields(session, job)
    headings, rows = spreadsheet_of(stored, language=language, titles=titles)
    title = result_title(stem, "tables", language)
    content = write_csv(headings, rows) if kind == "csv" else write_xlsx(title, headings, rows)
    headers = {"Content-Disposition": disposition(f"{title}.{kind}"), "Cache-Control": "no-store"}
    return Response(content, media_type=MEDIA_TYPES[kind], headers=headers)
