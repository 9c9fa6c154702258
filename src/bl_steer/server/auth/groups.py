"""Groups: people who see the files and results that each of them shares with the others.

What is shared stays its owner's: the others look at it and download it, and change nothing.
`owner_for` says whose things a user may see; `bl_steer.server.web.authorization` asks it before
every route that is open to a group's members.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from bl_steer.server.auth.accounts import find_user, has_role
from bl_steer.server.db.audit import record_event
from bl_steer.server.db.database import rows_changed
from bl_steer.server.db.tables import (
    Correction,
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
from bl_steer.server.texts import folded, plain_text

__all__ = [
    "LONGEST_NAME",
    "add_member",
    "called",
    "end_foreign_shares",
    "end_group",
    "group_of",
    "groups_of",
    "make_group",
    "manages",
    "members_of",
    "owner_for",
    "owners_of",
    "remove_member",
    "share_file",
    "share_result",
    "shared_with",
]

LONGEST_NAME = 100
BY_NAME = (Group.name, Group.created, Group.id)
"""Order of lists: those of one name as `called` numbers them, the oldest first."""


def owner_for(session: Session, user: User, *, upload_id: str = "", job_id: str = "") -> str:
    """Return the id of whose file or job it is, if the user may see it; otherwise the user's own.

    A mask goes with its micrograph: who sees the one may see the other.
    """
    table: Any = Upload if upload_id else Job
    owner = session.scalar(select(table.user_id).where(table.id == (upload_id or job_id)))
    if owner is None or owner == user.id:
        return user.id
    groups = select(GroupMember.group_id).where(GroupMember.user_id == user.id)
    if upload_id:
        images = select(Correction.image_id).where(Correction.mask_id == upload_id)
        named = or_(GroupFile.upload_id == upload_id, GroupFile.upload_id.in_(images))
        shared = select(GroupFile.group_id).where(named, GroupFile.group_id.in_(groups))
    else:
        named = GroupJob.job_id == job_id
        shared = select(GroupJob.group_id).where(named, GroupJob.group_id.in_(groups))
    return user.id if session.scalar(shared.limit(1)) is None else str(owner)


def groups_of(session: Session, user_id: str) -> list[Group]:
    """Return the groups that somebody is in, by name."""
    mine = select(GroupMember.group_id).where(GroupMember.user_id == user_id)
    return list(session.scalars(select(Group).where(Group.id.in_(mine)).order_by(*BY_NAME)))


def group_of(session: Session, user: User, group_id: str, *, inside: bool = False) -> Group:
    """Return a group that a user is in, or an administrator asks for; `Refused` for any other.

    Parameters
    ----------
    inside : the user must be in it, an administrator too: for what its members share
    """
    group = session.get(Group, group_id)
    allowed = _member(session, group_id, user.id) or (has_role(user, "admin") and not inside)
    if group is None or not allowed:
        raise missing("group")
    return group


def manages(session: Session, user: User, group_id: str) -> bool:
    """Return whether a user may add and remove members."""
    member = _member(session, group_id, user.id)
    return has_role(user, "admin") or (member is not None and member.manages)


def called(session: Session, groups: Sequence[Group], user_id: str = "") -> dict[str, str]:
    """Return how groups are called by id; those of one name with whoever manages them.

    Groups that still read alike are numbered, the oldest first.

    Parameters
    ----------
    user_id : of whoever reads it; names are told apart from those of all groups of this user
    """
    known = {group.id: group for group in [*groups, *groups_of(session, user_id)]}
    names = Counter(folded(group.name) for group in known.values())
    titles: dict[str, str] = {}
    taken: Counter[str] = Counter()
    for group in sorted(known.values(), key=lambda group: (group.created, group.id)):
        title = group.name
        if names[folded(title)] > 1:
            members = members_of(session, group.id)
            lead = [user.email for member, user in members if member.manages]
            title += f" ({', '.join(lead)})" if lead else ""
        taken[title] += 1
        titles[group.id] = title if taken[title] == 1 else f"{title} – {taken[title]}"
    return titles


def members_of(session: Session, group_id: str) -> list[tuple[GroupMember, User]]:
    """Return who is in a group, the first member first."""
    rows = session.execute(
        select(GroupMember, User)
        .join(User, User.id == GroupMember.user_id)
        .where(GroupMember.group_id == group_id)
        .order_by(GroupMember.since, User.email)
    )
    return list(rows.tuples().all())


def make_group(session: Session, user: User, name: str, *, submission: str = "") -> Group:
    """Make a group with its maker as the member who manages it.

    Parameters
    ----------
    submission : of a form: sent twice with the same name, it makes one group
    """
    name = plain_text(name)
    if not name:
        raise Refused(422, "refused.group_name")
    if len(name) > LONGEST_NAME:
        raise Refused(422, "refused.group_name_long", most=LONGEST_NAME, got=len(name))
    group_id = new_id()
    if submission:
        group_id = str(uuid5(UUID(int=0), f"{user.id} {submission[:100]} {name}"))
        if (made := session.get(Group, group_id)) is not None:
            return made
    group = Group(id=group_id, name=name)
    session.add(group)
    session.flush()
    session.add(GroupMember(group_id=group.id, user_id=user.id, manages=True))
    record_event(session, user.email, "group make", group.id, {"name": name})
    return group


def add_member(session: Session, by: User, group_id: str, email: str) -> tuple[User, bool]:
    """Add somebody who has an account to a group; return who, and whether that is new."""
    group = _managed(session, by, group_id)
    if not email.strip():
        raise Refused(422, "refused.group_address")
    user = find_user(session, email)
    if user is None or user.disabled is not None:
        raise Refused(422, "refused.group_member", email=email.strip()[:80])
    if _member(session, group.id, user.id) is not None:
        return user, False
    session.add(GroupMember(group_id=group.id, user_id=user.id))
    record_event(session, by.email, "group add", group.id, {"member": user.email})
    return user, True


def remove_member(session: Session, by: User, group_id: str, user_id: str) -> None:
    """Take somebody, or oneself, out of a group, with all that this member shared with it.

    The member of the longest standing, with an account that is open, manages a group that nobody
    else does; without members it ends.
    """
    if user_id != by.id:
        _managed(session, by, group_id)
    member, user = _member(session, group_id, user_id), session.get(User, user_id)
    if member is None or user is None:
        raise missing("group")
    session.delete(member)
    session.flush()
    end_foreign_shares(session)
    record_event(session, by.email, "group remove", group_id, {"member": user.email})
    others = members_of(session, group_id)
    if not others:
        _end(session, by, group_id)
        return
    able = [one for one, person in others if person.disabled is None]
    if able and not any(one.manages for one in able):
        able[0].manages = True


def end_foreign_shares(session: Session) -> int:
    """End the shares with groups that the owner of what is shared is not in; return how many.

    It is what a member leaves who goes, and what comes to somebody who is in other groups.
    """
    ended = 0
    things: tuple[tuple[Any, Any, Any], ...] = (
        (GroupFile, Upload, GroupFile.upload_id),
        (GroupJob, Job, GroupJob.job_id),
    )
    for share, thing, key in things:
        owner = (
            select(GroupMember.user_id)
            .join(thing, thing.user_id == GroupMember.user_id)
            .where(thing.id == key, GroupMember.group_id == share.group_id)
        )
        foreign = delete(share).where(~owner.exists())
        gone = session.execute(foreign, execution_options={"synchronize_session": "fetch"})
        ended += rows_changed(gone)
    return ended


def end_group(session: Session, by: User, group_id: str) -> None:
    """End a group: nobody sees anything by it any more."""
    _end(session, by, _managed(session, by, group_id).id)


def share_file(
    session: Session, user: User, upload: Upload, group_id: str, *, shared: bool = True
) -> None:
    """Share a file of one's own with a group that one is in, or share it no more."""
    _share(session, user, GroupFile, "upload_id", upload.id, group_id, shared)


def share_result(
    session: Session, user: User, job: Job, group_id: str, *, shared: bool = True
) -> None:
    """Share a job of one's own with a group that one is in, or share it no more."""
    _share(session, user, GroupJob, "job_id", job.id, group_id, shared)


def owners_of(session: Session, things: Iterable[Job | Upload]) -> dict[str, str]:
    """Return how the owners of files or jobs are called, by id."""
    ids = {thing.user_id for thing in things}
    users = session.scalars(select(User).where(User.id.in_(ids)))
    return {user.id: user.name or user.email for user in users}


def shared_with(session: Session, *, upload_id: str = "", job_id: str = "") -> list[Group]:
    """Return the groups that a file or a job is shared with, by name."""
    query = (
        select(Group).join(GroupFile).where(GroupFile.upload_id == upload_id)
        if upload_id
        else select(Group).join(GroupJob).where(GroupJob.job_id == job_id)
    )
    return list(session.scalars(query.order_by(*BY_NAME)))


def _share(
    session: Session, user: User, table: Any, column: str, key: str, group_id: str, shared: bool
) -> None:
    row = session.get(table, (group_id, key))
    if shared == (row is not None):
        return
    if shared:
        if _member(session, group_id, user.id) is None:
            raise missing("group")
        session.add(table(group_id=group_id, **{column: key}))
    else:
        session.delete(row)
    session.flush()
    record_event(
        session,
        user.email,
        "group share" if shared else "group unshare",
        group_id,
        {column.removesuffix("_id"): key},
    )


def _managed(session: Session, by: User, group_id: str) -> Group:
    group = group_of(session, by, group_id)
    if not manages(session, by, group_id):
        raise Refused(403, "refused.group_manager")
    return group


def _member(session: Session, group_id: str, user_id: str) -> GroupMember | None:
    return session.get(GroupMember, (group_id, user_id))


def _end(session: Session, by: User, group_id: str) -> None:
    for table in (GroupFile, GroupJob, GroupMember):
        session.execute(delete(table).where(table.group_id == group_id))
    group = session.get_one(Group, group_id)
    session.delete(group)
    record_event(session, by.email, "group end", group_id, {"name": group.name})
