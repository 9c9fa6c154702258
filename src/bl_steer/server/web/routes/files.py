"""The first page with its upload, and the user's files."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from urllib.parse import urlencode

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool

from bl_steer.server.auth.groups import called, group_of, groups_of, owners_of
from bl_steer.server.db.tables import Upload, User
from bl_steer.server.errors import Refused
from bl_steer.server.jobs.history import jobs_of, waiting_by_file
from bl_steer.server.jobs.inputs import SLICES
from bl_steer.server.packages.revocation import gone_analyses
from bl_steer.server.uploads.downloads import file_response
from bl_steer.server.uploads.multipart import Arrival
from bl_steer.server.uploads.uploads import (
    delete_upload,
    over_quota,
    set_training,
    take_in,
    upload_of,
    uploads_of,
    used_bytes,
)
from bl_steer.server.web.authorization import read_upload_form
from bl_steer.server.web.context import Context
from bl_steer.server.web.dependencies import (
    AppContext,
    BeforeTime,
    CurrentUser,
    CurrentVisitor,
    Form,
    OwnerId,
)
from bl_steer.server.web.rendering import language_of, render
from bl_steer.server.web.routes import pages_router

__all__ = ["may_train", "router", "take_all"]

router = pages_router()
LATEST = 5
PAGE = 50


def take_all(
    context: Context, user: User, arrival: Arrival, *, may_train: bool, sample: str
) -> tuple[list[Upload], list[Refused]]:
    """Take in what has arrived; return what was, and why the rest was not."""
    uploads: list[Upload] = []
    refused = [over_quota(name, context.quota_bytes) for name in arrival.over]
    for file in arrival.files:
        try:
            uploads.append(
                take_in(
                    context.database,
                    context.store,
                    user,
                    file,
                    may_train=may_train,
                    sample=sample,
                    quota_bytes=context.quota_bytes,
                )
            )
        except Refused as problem:
            refused.append(problem)
    return uploads, refused


def may_train(context: Context, *, ticked: bool) -> bool:
    """Return whether files may serve for training: as the deployment says, or as was ticked."""
    return ticked or context.settings.data_policy == "always"


@router.get("/")
def first_page(request: Request, context: AppContext, visitor: CurrentVisitor) -> Response:
    """Show the upload and the latest jobs; strangers go to the sign-in."""
    if visitor.user is None:
        return RedirectResponse("/sign-in", 303)
    return _first_page(request, context, visitor.user, [])


@router.post("/files")
async def upload(request: Request, context: AppContext, user: CurrentUser) -> Response:
    """Take files as they come, and go on to the choice of an analysis."""
    room = await run_in_threadpool(context.room_for, user.id)
    with context.arrival(max_files=context.settings.max_files, room=room) as arrival:
        await read_upload_form(request, arrival)
        fields = arrival.fields
        training = may_train(context, ticked=bool(fields.get("may_train")))
        sample = fields.get("sample", "")
        uploads, refused = await run_in_threadpool(
            take_all, context, user, arrival, may_train=training, sample=sample
        )
    if not uploads and not refused:
        refused.append(Refused(422, "refused.no_file_given"))
    if refused:
        show = partial(_first_page, request, context, user, refused)
        return await run_in_threadpool(show, uploads)
    return RedirectResponse(_choice(uploads), 303)


@router.get("/files")
def files_page(
    request: Request,
    context: AppContext,
    user: CurrentUser,
    before: BeforeTime,
    group: str = "",
) -> Response:
    """List the user's files, or those that a group's members share."""
    with context.database.read() as session:
        group_id = group_of(session, user, group, inside=True).id if group else ""
        uploads, older = uploads_of(session, user.id, before=before, group_id=group_id, limit=PAGE)
        used = used_bytes(session, user.id)
        groups = groups_of(session, user.id)
        titles = called(session, groups)
        owners = owners_of(session, uploads) if group else {}
        waiting = waiting_by_file(session, [upload.id for upload in uploads])
    return render(
        request,
        "files",
        uploads=uploads,
        used=used,
        older=older,
        shown=SLICES,
        group=group_id,
        groups=groups,
        called=titles,
        owners=owners,
        waiting=waiting,
    )


@router.get("/files/{upload_id}")
def download(context: AppContext, owner_id: OwnerId, upload_id: str) -> Response:
    """Return a file as it was uploaded."""
    with context.database.read() as session:
        upload = upload_of(session, owner_id, upload_id)
    return file_response(context.store, upload.sha256, upload.file_name, upload.media_type)


@router.post("/files/{upload_id}/delete")
def delete(context: AppContext, user: CurrentUser, upload_id: str) -> Response:
    """Delete a file."""
    with context.database.write() as session:
        delete_upload(session, user, upload_id)
    return RedirectResponse("/files", 303)


@router.post("/files/{upload_id}/training")
def change_training(context: AppContext, user: CurrentUser, form: Form, upload_id: str) -> Response:
    """Give a file for training, or take it back."""
    with context.database.write() as session:
        set_training(
            session,
            user,
            upload_id,
            may_train=bool(form.get("may_train")),
            policy=context.settings.data_policy,
        )
    return RedirectResponse("/files", 303)


def _choice(uploads: Sequence[Upload]) -> str:
    """Return where an analysis for files is chosen."""
    return "/analyses?" + urlencode([("file", upload.id) for upload in uploads])


def _first_page(
    request: Request,
    context: Context,
    user: User,
    refused: list[Refused],
    uploads: Sequence[Upload] = (),
) -> Response:
    language = language_of(request)
    with context.database.read() as session:
        page = jobs_of(session, user.id, limit=LATEST)
        withdrawn = gone_analyses(session, page.jobs, context.offered(session))
    return render(
        request,
        "home",
        status=refused[0].status if refused else 200,
        troubles=[error.in_language(language) for error in refused],
        taken=", ".join(upload.file_name for upload in uploads),
        go_on=_choice(uploads),
        page=page,
        gone=withdrawn,
        titles=context.titles(language),
    )
