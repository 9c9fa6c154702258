"""Names that people give: what is kept of them, how long they may be, and who is meant."""

from __future__ import annotations

import pytest

from bl_steer.server.auth.accounts import add_user
from bl_steer.server.auth.groups import called, groups_of, make_group
from bl_steer.server.db.database import Database
from bl_steer.server.errors import Refused
from bl_steer.server.texts import plain_text

PASSWORD = "correct horse battery"


@pytest.mark.parametrize(
    "mark", [*map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))]
)
def test_what_turns_text_round_is_kept_of_no_name(mark: str) -> None:
    assert plain_text(f" 試料{mark}\t7 ") == "試料 7"


def test_names_of_groups_are_short_and_two_of_one_name_are_told_apart(database: Database) -> None:
    with database.write() as session:
        ann = add_user(session, "ann@example.org", password=PASSWORD)
        first = make_group(session, ann, "lab\u202e")
        second = make_group(session, ann, "Lab")
        other = make_group(session, ann, "n" * 100)
        assert first.name == "lab"
        assert called(session, groups_of(session, ann.id)) == {
            first.id: "lab (ann@example.org)",
            second.id: "Lab (ann@example.org)",
            other.id: "n" * 100,
        }
        with pytest.raises(Refused, match=r"at most 100 characters, got 101"):
            make_group(session, ann, "n" * 101)
