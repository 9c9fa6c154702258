"""The REST API: what the pages do, for programs. `bl_steer.server.client` speaks it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from bl_steer.server.auth.groups import group_of
from bl_steer.server.db.tables import Job, JobOutput, Upload
from bl_steer.server.errors import Refused
from bl_steer.server.jobs import queue as jobs
from bl_steer.server.jobs.history import job_of, jobs_of, output_of, outputs_of
from bl_steer.server.jobs.shares import revoke_share, share_job
from bl_steer.server.languages import sentence_in
from bl_steer.server.uploads.downloads import file_response
from bl_steer.server.uploads.uploads import delete_upload, upload_of, uploads_of
from bl_steer.server.web.authorization import AuthorizedRoute
from bl_steer.server.web.catalogue import AnalysisEntry
from bl_steer.server.web.dependencies import AppContext, AsTyped, CurrentUser, OwnerId
from bl_steer.server.web.filters import STATES, check_choice, check_span, read_moment
from bl_steer.server.web.rendering import language_of
from bl_steer.server.web.routes.files import may_train as training_of
from bl_steer.server.web.routes.files import take_all
from bl_steer.server.web.routes.masks import phases_of, take_mask
from bl_steer.server.web.schemas import (
    AnalysisInfo,
    FileInfo,
    InputInfo,
    JobInfo,
    JobSummary,
    MaskInfo,
    Me,
    NewJob,
    NewShare,
    OutputInfo,
    ShareInfo,
)
from bl_steer.server.web.submissions import submit_analysis

__all__ = ["ERRORS", "router"]

ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"description": "the request cannot be read"},
    401: {"description": "no key, or one that is not good"},
    403: {"description": "the key does not allow it"},
    404: {"description": "not there, or not yours"},
    413: {"description": "too large"},
    422: {"description": "something does not fit; `message` names it"},
    429: {"description": "too often; see Retry-After"},
}
router = APIRouter(route_class=AuthorizedRoute, responses=ERRORS)

BINARY = {
    "required": True,
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
}

COMMAND_LINE = ("option", "metavar")
"""What `bl_steer.cli` alone reads of a parameter; it is no part of the JSON schema."""

Before = Annotated[
    float | None,
    AsTyped,
    Query(
        allow_inf_nan=False,
        description="Only older ones: `created` of the last of the page before",
    ),
]
Limit = Annotated[int, AsTyped, Query(ge=1, le=200)]
WORDS = "All of these words stand in the name or the specimen of one of its files"
MOMENT = "Seconds since 1970, or an ISO date with its zone, such as 2026-12-01T00:00Z"
InGroup = Annotated[str, Query(max_length=36, description="Id of a group")]


@router.get("/api/v1/me")
def me(user: CurrentUser) -> Me:
    """Say whose key it is."""
    return Me(email=user.email, name=user.name, role=user.role)


@router.get("/api/v1/analyses")
def list_analyses(request: Request, context: AppContext) -> list[AnalysisInfo]:
    """List the analyses."""
    language = language_of(request)
    return [_analysis(entry, language) for entry in context.catalogue()]


@router.get("/api/v1/analyses/{name}")
def show_analysis(request: Request, context: AppContext, name: str) -> AnalysisInfo:
    """Describe one analysis and its parameters."""
    return _analysis(context.entry(name), language_of(request))


@router.get("/api/v1/files")
def list_files(
    context: AppContext,
    user: CurrentUser,
    before: Before = None,
    limit: Limit = 50,
    group: InGroup = "",
) -> list[FileInfo]:
    """List your files, or those shared with a group of yours, the newest first."""
    with context.database.read() as session:
        group_id = group_of(session, user, group, inside=True).id if group else ""
        uploads, _ = uploads_of(session, user.id, before=before, group_id=group_id, limit=limit)
    return [_file(upload) for upload in uploads]


@router.post(
    "/api/v1/files",
    status_code=201,
    response_model=FileInfo,
    openapi_extra={"requestBody": BINARY},
)
async def upload_file(
    request: Request,
    context: AppContext,
    user: CurrentUser,
    file_name: Annotated[str, Query(min_length=1, max_length=500)],
    sample: Annotated[str, Query(max_length=200)] = "",
    may_train: bool = False,
) -> FileInfo:
    """Upload one file as the body of the request."""
    room = await run_in_threadpool(context.room_for, user.id)
    with context.arrival(room=room) as arrival:
        await arrival.read_file(request.stream(), file_name)
        training = training_of(context, ticked=may_train)
        uploads, refused = await run_in_threadpool(
            take_all, context, user, arrival, may_train=training, sample=sample
        )
    if refused:
        raise refused[0]
    return _file(uploads[0])


@router.get("/api/v1/files/{upload_id}", response_class=Response)
def download_file(context: AppContext, owner_id: OwnerId, upload_id: str) -> Response:
    """Return a file as it was uploaded."""
    with context.database.read() as session:
        upload = upload_of(session, owner_id, upload_id)
    return file_response(context.store, upload.sha256, upload.file_name, upload.media_type)


@router.delete("/api/v1/files/{upload_id}", status_code=204)
def delete_file(context: AppContext, user: CurrentUser, upload_id: str) -> None:
    """Delete a file."""
    with context.database.write() as session:
        delete_upload(session, user, upload_id)


@router.get("/api/v1/jobs")
def list_jobs(
    context: AppContext,
    user: CurrentUser,
    before: Before = None,
    state: str = "",
    limit: Limit = 50,
    group: InGroup = "",
    analysis: Annotated[str, Query(max_length=200)] = "",
    q: Annotated[str, Query(max_length=200, description=WORDS)] = "",
    since: Annotated[str, Query(description=MOMENT)] = "",
    until: Annotated[str, Query(description=MOMENT)] = "",
) -> list[JobSummary]:
    """List your jobs, or those shared with a group of yours, the newest first."""
    check_choice("state", state, STATES)
    check_choice("analysis", analysis, context.titles("en") if analysis else ())
    begin, end = read_moment("since", since), read_moment("until", until)
    check_span(begin, end, since=since, until=until)
    with context.database.read() as session:
        group_id = group_of(session, user, group, inside=True).id if group else ""
        page = jobs_of(
            session,
            user.id,
            before=before,
            state=state,
            analysis=analysis,
            words=q,
            since=begin,
            until=end,
            group_id=group_id,
            limit=limit,
        )
    return [JobSummary.model_validate(job) for job in page.jobs]


@router.post("/api/v1/jobs", status_code=201, response_model=JobInfo)
def start_job(
    request: Request, context: AppContext, user: CurrentUser, new_job: NewJob
) -> Response:
    """Start an analysis."""
    if new_job.mail and not context.settings.smtp_host:
        raise Refused(422, "refused.no_mail")
    job = submit_analysis(
        context,
        user,
        context.entry(new_job.analysis),
        new_job.files,
        new_job.params,
        language=language_of(request),
        wants_mail=new_job.mail,
        submission_key=new_job.submission_key,
    )
    # Written here and now: FastAPI would go to a thread once more to check what is checked.
    answer = _job(job, []).model_dump_json()
    return Response(answer, status_code=201, media_type="application/json")


@router.get("/api/v1/jobs/{job_id}")
def show_job(context: AppContext, owner_id: OwnerId, job_id: str) -> JobInfo:
    """Say how a job is, and what came out."""
    with context.database.read() as session:
        job = job_of(session, owner_id, job_id)
        outputs = outputs_of(session, job.id)
    return _job(job, outputs)


@router.post("/api/v1/jobs/{job_id}/cancel")
def cancel_job(context: AppContext, user: CurrentUser, job_id: str) -> JobInfo:
    """End a job; one that is over stays as it is."""
    with context.database.write() as session:
        job = job_of(session, user.id, job_id)
        jobs.cancel(session, job.id)
        session.refresh(job)
        outputs = outputs_of(session, job.id)
    return _job(job, outputs)


@router.get("/api/v1/jobs/{job_id}/outputs/{name}", response_class=Response)
def download_output(context: AppContext, owner_id: OwnerId, job_id: str, name: str) -> Response:
    """Return one file of a result."""
    with context.database.read() as session:
        job = job_of(session, owner_id, job_id)
        output = output_of(session, job.id, name)
    return file_response(context.store, output.sha256, output.name, output.media_type)


@router.post(
    "/api/v1/jobs/{job_id}/masks",
    status_code=201,
    response_model=MaskInfo,
    openapi_extra={"requestBody": BINARY},
)
async def give_mask(
    request: Request,
    context: AppContext,
    user: CurrentUser,
    job_id: str,
    image: Annotated[str, Query(max_length=100, description="Id of the micrograph")] = "",
    file_name: Annotated[str, Query(min_length=1, max_length=500)] = "mask.png",
) -> MaskInfo:
    """Give a corrected mask of a segmented micrograph, for training, as the body.

    It takes the place of the one that the same user gave for that micrograph before.
    """
    await run_in_threadpool(phases_of, context, user, job_id)
    with context.arrival() as arrival:
        await arrival.read_file(request.stream(), file_name)
        taken = await run_in_threadpool(take_mask, context, user, job_id, image, arrival)
    language = language_of(request)
    notes = [sentence_in(language, note) for note in taken.notes]
    notes += taken.earlier_in(language)
    return MaskInfo(**_file(taken.mask).model_dump(), notes=notes)


@router.post("/api/v1/jobs/{job_id}/shares", status_code=201)
def make_share(
    context: AppContext, user: CurrentUser, job_id: str, new_share: NewShare
) -> ShareInfo:
    """Make a share link to a result."""
    with context.database.write() as session:
        job = job_of(session, user.id, job_id)
        if job.state != "done":
            raise Refused(409, "refused.not_done")
        share, token = share_job(session, user, job, days=new_share.days)
    return ShareInfo(
        id=share.id, url=f"{context.settings.address}/s/{token}", expires=share.expires
    )


@router.delete("/api/v1/shares/{share_id}", status_code=204)
def end_share(context: AppContext, user: CurrentUser, share_id: str) -> None:
    """Revoke a share link."""
    with context.database.write() as session:
        revoke_share(session, user, share_id)


@router.get("/api/v1/openapi.json", include_in_schema=False)
def description(request: Request) -> Response:
    """Return the description of this API in OpenAPI."""
    return JSONResponse(request.app.openapi())


def _analysis(entry: AnalysisEntry, language: str) -> AnalysisInfo:
    schema = entry.params.model_json_schema()
    properties = schema.get("properties", {})
    schema["properties"] = {
        name: {key: value for key, value in described.items() if key not in COMMAND_LINE}
        for name, described in properties.items()
        if name not in entry.hidden
    }
    return AnalysisInfo(
        name=entry.name,
        title=entry.title(language),
        summary=entry.summary(language),
        suffixes=list(entry.suffixes),
        inputs=[
            InputInfo(
                name=one.name,
                title=one.title(language),
                suffixes=list(one.suffixes),
                most=one.kind.most,
            )
            for one in entry.inputs
        ],
        columns=list(entry.columns),
        package_sha256=entry.package_sha256,
        params=schema,
    )


def _file(upload: Upload) -> FileInfo:
    return FileInfo.model_validate(upload)


def _job(job: Job, outputs: list[JobOutput]) -> JobInfo:
    return JobInfo(
        id=job.id,
        analysis=job.analysis,
        state=job.state,
        progress=(job.progress_done, job.progress_total),
        cause=job.cause,
        message=job.message,
        digest=job.digest,
        warnings=job.warnings,
        params=job.params,
        files=job.upload_ids,
        inputs=job.inputs,
        created=job.created,
        started=job.started,
        finished=job.finished,
        outputs=[OutputInfo.model_validate(output) for output in outputs],
    )
