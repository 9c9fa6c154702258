"""Whoever reads and then writes does so alone, on both databases: nothing comes in between."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from bl_steer.server.auth.accounts import add_user, change_user, set_password, start_session
from bl_steer.server.auth.groups import (
    add_member,
    end_group,
    make_group,
    members_of,
    remove_member,
    share_file,
)
from bl_steer.server.auth.tokens import hash_password
from bl_steer.server.db.audit import record_event
from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import (
    AuditRecord,
    Correction,
    Group,
    GroupFile,
    GroupMember,
    Job,
    Share,
    SignIn,
    Upload,
    User,
)
from bl_steer.server.errors import Refused
from bl_steer.server.jobs.shares import revoke_share, share_job
from bl_steer.server.retraining.pairs import add_correction, delete_earlier
from bl_steer.server.uploads.blobs import FileStore
from bl_steer.server.uploads.uploads import Arrived, delete_upload, take_in

Deed = Callable[[Session], Any]
SHORT_S = 0.4
"""In which the second would be done if it did not wait."""


def both(database: Database, first: Deed, second: Deed) -> list[BaseException]:
    """Do two things at the same moment: the second begins while the first is not yet committed.

    Returns what the second raised.
    """
    begun = threading.Event()
    failed: list[BaseException] = []

    def follow() -> None:
        begun.wait(60)
        try:
            with database.write() as session:
                second(session)
        except BaseException as error:
            failed.append(error)

    other = threading.Thread(target=follow)
    other.start()
    with database.write() as session:
        first(session)
        session.flush()
        begun.set()
        other.join(SHORT_S)
    other.join(60)
    return failed


def user(session: Session, name: str) -> User:
    email = f"{name}@example.org"
    return session.scalar(select(User).where(User.email == email)) or add_user(session, email)


def upload(session: Session, owner: User, name: str) -> Upload:
    made = Upload(user_id=owner.id, sha256=name * 64, file_name=f"{name}.png", size=1)
    session.add(made)
    session.flush()
    return made


def actions(database: Database, name: str) -> int:
    with database.read() as session:
        recorded = select(AuditRecord.id).where(AuditRecord.action == name)
        return len(session.scalars(recorded).all())


def test_a_write_begins_when_the_one_before_has_ended(database: Database) -> None:
    order: list[str] = []

    def first(_: Session) -> None:
        order.append("first")
        time.sleep(0.1)
        order.append("first ends")

    assert not both(database, first, lambda _: order.append("second"))
    assert order == ["first", "first ends", "second"]


def test_work_of_the_machines_does_not_wait_where_the_database_has_many_writers(
    database: Database,
) -> None:
    done = threading.Event()

    def beside() -> None:
        with database.write_beside():
            done.set()

    other = threading.Thread(target=beside)
    with database.write():
        other.start()
        assert done.wait(2.0 if database.is_sqlite else 60.0) is not database.is_sqlite
    other.join(60)
    assert done.is_set()


def test_an_event_is_not_recorded_beside_others(database: Database) -> None:
    with (
        pytest.raises(RuntimeError, match=r"use Database\.write$"),
        database.write_beside() as session,
    ):
        record_event(session, "ann", "file delete")


def test_of_two_masks_at_the_same_moment_the_later_one_stays(database: Database) -> None:
    """The second comes while the first is written, before what it finds of earlier masks."""
    with database.write() as session:
        ann = user(session, "ann")
        image, *masks = (upload(session, ann, name) for name in "abc")
        others = [mask.id for mask in masks]

    def give(session: Session, mask_id: str) -> None:
        correction = add_correction(session, image.id, mask_id, ann)
        delete_earlier(session, correction, ann)

    def second() -> None:
        with database.write() as session:
            give(session, others[1])

    other = threading.Thread(target=second)

    def interrupt(_: Session, __: Any) -> None:
        if not other.ident:
            other.start()
            other.join(SHORT_S)

    with database.write() as session:
        event.listen(session, "after_flush", interrupt)
        give(session, others[0])
    other.join(60)
    with database.read() as session:
        left = {mask_id for mask_id in others if session.get_one(Upload, mask_id).deleted is None}
        newest = select(Correction.mask_id).order_by(Correction.created.desc()).limit(1)
        assert left == {session.scalar(newest)} == {others[1]}


def test_a_plane_that_two_masks_are_given_for_becomes_one_file(
    database: Database, tmp_path: Path
) -> None:
    store, place = FileStore(str(tmp_path / "files")), tmp_path / "plane.csv"
    place.write_text("x,y,value\n1,2,3\n")
    with database.write() as session:
        ann = user(session, "ann")
    ids: list[str] = []

    def take() -> None:
        arrived = Arrived(place, "plane.csv")
        ids.append(take_in(database, store, ann, arrived, may_train=True, cut_of="s#3").id)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(ids) == 4
    assert len(set(ids)) == 1


def test_the_last_two_members_who_leave_at_the_same_moment_end_their_group(
    database: Database,
) -> None:
    with database.write() as session:
        ann, ben = user(session, "ann"), user(session, "ben")
        group = make_group(session, ann, "cells")
        add_member(session, ann, group.id, ben.email)

    def leave(one: User) -> Deed:
        return lambda session: remove_member(session, one, group.id, one.id)

    assert not both(database, leave(ann), leave(ben))
    with database.read() as session:
        assert session.scalars(select(Group)).all() == []


def test_a_member_who_is_added_twice_at_the_same_moment_is_one(database: Database) -> None:
    with database.write() as session:
        ann, ben = user(session, "ann"), user(session, "ben")
        group = make_group(session, ann, "cells")

    def add(session: Session) -> None:
        add_member(session, ann, group.id, ben.email)

    assert not both(database, add, add)
    assert actions(database, "group add") == 1


def test_a_group_is_made_once_and_nobody_comes_into_one_that_ends(database: Database) -> None:
    with database.write() as session:
        ann, ben = user(session, "ann"), user(session, "ben")

    def make(session: Session) -> Group:
        return make_group(session, ann, "cells", submission="s")

    assert not both(database, make, make)
    with database.read() as session:
        (group,) = session.scalars(select(Group)).all()
    (error,) = both(
        database,
        lambda session: end_group(session, ann, group.id),
        lambda session: add_member(session, ann, group.id, ben.email),
    )
    assert isinstance(error, Refused)
    assert error.status == 404


def test_nothing_is_shared_with_a_group_that_its_owner_leaves(database: Database) -> None:
    with database.write() as session:
        ann, ben = user(session, "ann"), user(session, "ben")
        group = make_group(session, ann, "cells")
        add_member(session, ann, group.id, ben.email)
        film = upload(session, ben, "a")

    (error,) = both(
        database,
        lambda session: remove_member(session, ben, group.id, ben.id),
        lambda session: share_file(session, ben, film, group.id),
    )
    assert isinstance(error, Refused)
    with database.read() as session:
        assert session.scalars(select(GroupFile)).all() == []
        assert [member.user_id for member, _ in members_of(session, group.id)] == [ann.id]
        assert session.scalars(select(GroupMember.manages)).all() == [True]


@pytest.mark.parametrize("what", ["file", "link"])
def test_what_is_ended_twice_at_the_same_moment_is_recorded_once(
    database: Database, what: str
) -> None:
    with database.write() as session:
        ann = user(session, "ann")
        film = upload(session, ann, "a")
        job = Job(user_id=ann.id, analysis="advise", params={}, upload_ids=[], state="done")
        session.add(job)
        session.flush()
        share, _ = share_job(session, ann, job, days=1.0)

    def end(session: Session) -> None:
        if what == "file":
            delete_upload(session, ann, film.id)
        else:
            revoke_share(session, ann, share.id)

    both(database, end, end)
    assert actions(database, "file delete" if what == "file" else "share revoke") == 1


def test_an_address_that_is_registered_twice_at_the_same_moment_has_one_account(
    database: Database,
) -> None:
    def join(session: Session) -> None:
        add_user(session, "ann@example.org")

    (error,) = both(database, join, join)
    assert isinstance(error, Refused)
    assert error.key == "refused.email_taken"


def test_no_link_is_made_for_a_result_of_an_account_that_was_closed_meanwhile(
    database: Database,
) -> None:
    with database.write() as session:
        root, ann = add_user(session, "root@example.org", role="admin"), user(session, "ann")
        job = Job(user_id=ann.id, analysis="advise", params={}, upload_ids=[], state="done")
        session.add(job)
    (error,) = both(
        database,
        lambda session: change_user(session, ann.id, by=root, disabled=True),
        lambda session: share_job(session, ann, job, days=1.0),
    )
    assert isinstance(error, Refused)
    with database.read() as session:
        assert session.scalars(select(Share)).all() == []


@pytest.mark.parametrize("what", ["password", "closed"])
def test_nobody_signs_in_by_a_password_that_was_changed_meanwhile_or_to_a_closed_account(
    database: Database, what: str
) -> None:
    with database.write() as session:
        root = add_user(session, "root@example.org", role="admin")
        known = user(session, "ann")
        known.password_hash = hash_password("long enough")
    with database.write() as session:
        if what == "password":
            set_password(session, session.get_one(User, known.id), "another long one")
        else:
            change_user(session, known.id, by=root, disabled=True)
    # The password was looked at before; the session begins after.
    beside: AbstractContextManager[Session] = database.write_beside()
    with pytest.raises(Refused, match="password"), beside as session:
        start_session(session, known, days=1.0)
    with database.read() as session:
        assert session.scalars(select(SignIn)).all() == []
