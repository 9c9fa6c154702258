"""Groups for programs: what the pages of `bl_steer.server.web.routes.groups` do."""

from __future__ import annotations

from fastapi import APIRouter, Request

from bl_steer.server.auth import groups
from bl_steer.server.db.tables import User
from bl_steer.server.web.authorization import AuthorizedRoute
from bl_steer.server.web.dependencies import AppContext, CurrentUser
from bl_steer.server.web.rendering import language_of
from bl_steer.server.web.routes.api import ERRORS
from bl_steer.server.web.routes.groups import added, made, share_one
from bl_steer.server.web.schemas import (
    GroupInfo,
    GroupMembers,
    MemberInfo,
    NewGroup,
    NewMember,
)

__all__ = ["router"]

router = APIRouter(route_class=AuthorizedRoute, responses=ERRORS)


@router.get("/api/v1/groups")
def list_groups(context: AppContext, user: CurrentUser) -> list[GroupInfo]:
    """List your groups."""
    with context.database.read() as session:
        mine = groups.groups_of(session, user.id)
    return [GroupInfo.model_validate(group) for group in mine]


@router.post("/api/v1/groups", status_code=201)
def make_group(context: AppContext, user: CurrentUser, new_group: NewGroup) -> GroupInfo:
    """Make a group."""
    group = made(context, user, new_group.name, new_group.submission_key or "")
    return GroupInfo.model_validate(group)


@router.get("/api/v1/groups/{group_id}")
def show_group(context: AppContext, user: CurrentUser, group_id: str) -> GroupMembers:
    """Return a group with its members."""
    with context.database.read() as session:
        group = groups.group_of(session, user, group_id)
        members = [
            _member(one, manages=member.manages)
            for member, one in groups.members_of(session, group.id)
        ]
        return GroupMembers(id=group.id, name=group.name, created=group.created, members=members)


@router.delete("/api/v1/groups/{group_id}", status_code=204)
def end_group(context: AppContext, user: CurrentUser, group_id: str) -> None:
    """End a group."""
    with context.database.write() as session:
        groups.end_group(session, user, group_id)


@router.post("/api/v1/groups/{group_id}/members", status_code=201)
def add_member(
    request: Request, context: AppContext, user: CurrentUser, group_id: str, new_member: NewMember
) -> MemberInfo:
    """Add a member by address."""
    one, _ = added(context, user, group_id, new_member.email, language_of(request))
    return _member(one, manages=False)


@router.delete("/api/v1/groups/{group_id}/members/{user_id}", status_code=204)
def remove_member(context: AppContext, user: CurrentUser, group_id: str, user_id: str) -> None:
    """Take a member out, or leave."""
    with context.database.write() as session:
        groups.remove_member(session, user, group_id, user_id)


@router.put("/api/v1/groups/{group_id}/files/{upload_id}", status_code=204)
@router.delete("/api/v1/groups/{group_id}/files/{upload_id}", status_code=204)
def change_file(
    request: Request, context: AppContext, user: CurrentUser, group_id: str, upload_id: str
) -> None:
    """Share a file, or share it no more."""
    with context.database.write() as session:
        share_one(session, user, group_id, upload_id, "", shared=request.method == "PUT")


@router.put("/api/v1/groups/{group_id}/jobs/{job_id}", status_code=204)
@router.delete("/api/v1/groups/{group_id}/jobs/{job_id}", status_code=204)
def change_job(
    request: Request, context: AppContext, user: CurrentUser, group_id: str, job_id: str
) -> None:
    """Share a job, or share it no more."""
    with context.database.write() as session:
        share_one(session, user, group_id, "", job_id, shared=request.method == "PUT")


def _member(user: User, *, manages: bool) -> MemberInfo:
    closed = user.disabled is not None
    return MemberInfo(id=user.id, email=user.email, name=user.name, manages=manages, closed=closed)
