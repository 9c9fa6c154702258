"""Groups: their members, and what these share with each other."""

from __future__ import annotations

from urllib.parse import urlencode

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import select
from sqlalchemy.orm import Session

from bl_steer.server.auth import groups
from bl_steer.server.auth.accounts import has_role
from bl_steer.server.db.tables import (
    Group,
    GroupFile,
    GroupJob,
    GroupMember,
    Job,
    Upload,
    User,
    new_id,
)
from bl_steer.server.errors import Refused, missing
from bl_steer.server.jobs.history import job_of
from bl_steer.server.mail.memberships import post_membership
from bl_steer.server.uploads.uploads import upload_of
from bl_steer.server.web.context import Context
from bl_steer.server.web.dependencies import AppContext, CurrentUser, Form
from bl_steer.server.web.rendering import language_of, render
from bl_steer.server.web.routes import pages_router

__all__ = ["added", "made", "router", "share_one"]

router = pages_router()
MOST = 100
"""Files, and jobs, that are shared at a time, and that a page lists."""


@router.get("/groups")
def groups_page(request: Request, context: AppContext, user: CurrentUser) -> Response:
    """List the user's groups; an administrator's page lists all."""
    return _list(request, context, user)


@router.post("/groups")
def make(request: Request, context: AppContext, user: CurrentUser, form: Form) -> Response:
    """Make a group."""
    try:
        group = made(context, user, form.get("name", ""), form.get("submission", ""))
    except Refused as refused:
        return _list(request, context, user, refused)
    return RedirectResponse(f"/groups/{group.id}", 303)


@router.get("/groups/{group_id}")
def group_page(request: Request, context: AppContext, user: CurrentUser, group_id: str) -> Response:
    """Show a group's members, and what the user shares with it."""
    return _page(request, context, user, group_id)


@router.post("/groups/{group_id}/members")
def add(
    request: Request, context: AppContext, user: CurrentUser, form: Form, group_id: str
) -> Response:
    """Add a member."""
    email = form.get("email", "")
    try:
        _, is_new = added(context, user, group_id, email, language_of(request))
    except Refused as refused:
        if refused.status != 422:
            raise
        return _page(request, context, user, group_id, email=email, refused=refused)
    if not is_new:
        return _page(request, context, user, group_id, already=email.strip())
    return RedirectResponse(f"/groups/{group_id}", 303)


@router.post("/groups/{group_id}/members/{user_id}/remove")
def remove(context: AppContext, user: CurrentUser, group_id: str, user_id: str) -> Response:
    """Take a member out, or leave."""
    with context.database.write() as session:
        if user_id == user.id and session.get(GroupMember, (group_id, user_id)) is None:
            return RedirectResponse("/groups", 303)  # has left: the form was sent twice
        groups.remove_member(session, user, group_id, user_id)
        still = user_id != user.id and session.get(Group, group_id) is not None
    return RedirectResponse(f"/groups/{group_id}" if still else "/groups", 303)


@router.post("/groups/{group_id}/end")
def end(context: AppContext, user: CurrentUser, group_id: str) -> Response:
    """End a group."""
    with context.database.write() as session:
        groups.end_group(session, user, group_id)
    return RedirectResponse("/groups", 303)


@router.post("/groups/{group_id}/unshare")
def unshare(context: AppContext, user: CurrentUser, form: Form, group_id: str) -> Response:
    """Share a file or a job no more, and go back to where that was asked for."""
    file, job = form.get("file", ""), form.get("job", "")
    with context.database.write() as session:
        share_one(session, user, group_id, file, job, shared=False)
    page = f"/files/{file}/view" if file else f"/jobs/{job}"
    return RedirectResponse(page if form.get("back") else f"/groups/{group_id}", 303)


@router.get("/sharing")
def sharing_page(request: Request, context: AppContext, user: CurrentUser) -> Response:
    """Ask which group files or jobs are to be shared with."""
    files, job_ids = (request.query_params.getlist(name)[:MOST] for name in ("file", "job"))
    with context.database.read() as session:
        mine = groups.groups_of(session, user.id)
        return render(
            request,
            "sharing",
            uploads=[upload_of(session, user.id, upload_id) for upload_id in files],
            jobs=[job_of(session, user.id, job_id) for job_id in job_ids],
            titles=context.titles(language_of(request)),
            groups=mine,
            called=groups.called(session, mine),
        )


@router.post("/sharing")
def share(request: Request, context: AppContext, user: CurrentUser, form: Form) -> Response:
    """Share files or jobs with a group, and go on to its page."""
    sent, group_id = request.state.form, form.get("group", "")
    with context.database.write() as session:
        for upload_id in sent.getlist("file")[:MOST]:
            share_one(session, user, group_id, str(upload_id), "", shared=True)
        for job_id in sent.getlist("job")[:MOST]:
            share_one(session, user, group_id, "", str(job_id), shared=True)
    return RedirectResponse(f"/groups/{group_id}", 303)


def made(context: Context, user: User, name: str, submission: str) -> Group:
    """Return a group that was made; a submission that is sent twice makes one."""
    with context.database.write() as session:
        return groups.make_group(session, user, name, submission=submission)


def added(
    context: Context, by: User, group_id: str, email: str, language: str
) -> tuple[User, bool]:
    """Return a member, and whether it is new; then it is told so by mail where any is sent."""
    with context.database.write() as session:
        user, is_new = groups.add_member(session, by, group_id, email)
        if is_new and user.id != by.id and context.settings.smtp_host:
            group, address = session.get_one(Group, group_id), context.settings.address
            post_membership(session, user, group, by=by, language=language, address=address)
    return user, is_new


def share_one(
    session: Session, user: User, group_id: str, upload_id: str, job_id: str, *, shared: bool
) -> None:
    """Share a file or a job with a group, or share it no more; `Refused` where it is no own."""
    if upload_id:
        upload = upload_of(session, user.id, upload_id)
        groups.share_file(session, user, upload, group_id, shared=shared)
    elif job_id:
        job = job_of(session, user.id, job_id)
        groups.share_result(session, user, job, group_id, shared=shared)
    else:
        raise missing("file")


def _list(
    request: Request, context: Context, user: User, refused: Refused | None = None
) -> Response:
    with context.database.read() as session:
        mine = groups.groups_of(session, user.id)
        others: list[Group] = []
        if has_role(user, "admin"):
            every = session.scalars(select(Group).order_by(*groups.BY_NAME).limit(MOST))
            others = [group for group in every if group not in mine]
        members = {group.id: groups.members_of(session, group.id) for group in mine}
        called = groups.called(session, [*mine, *others])
    return render(
        request,
        "groups",
        refused=refused,
        mine=mine,
        others=others,
        members=members,
        called=called,
        submission=new_id(),
    )


def _page(
    request: Request,
    context: Context,
    user: User,
    group_id: str,
    *,
    email: str = "",
    already: str = "",
    refused: Refused | None = None,
) -> Response:
    with context.database.read() as session:
        group = groups.group_of(session, user, group_id)
        files = select(Upload).join(GroupFile).where(GroupFile.group_id == group.id)
        results = select(Job).join(GroupJob).where(GroupJob.group_id == group.id)
        mine = Upload.user_id == user.id, Upload.deleted.is_(None)
        return render(
            request,
            "group",
            refused=refused,
            group=group,
            called=groups.called(session, [group], user.id),
            members=groups.members_of(session, group.id),
            manages=groups.manages(session, user, group.id),
            email=email[:254],
            already=already[:254],
            uploads=list(session.scalars(files.where(*mine).limit(MOST))),
            jobs=list(session.scalars(results.where(Job.user_id == user.id).limit(MOST))),
            titles=context.titles(language_of(request)),
            query=urlencode({"group": group.id}),
        )
