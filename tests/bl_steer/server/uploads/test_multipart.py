"""Forms with files, piece by piece: what is kept, what is refused, and that nothing is left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bl_steer.server.errors import Refused
from bl_steer.server.uploads.multipart import LONGEST_FIELD, LONGEST_HEADERS, MAX_FIELDS, Arrival

KIND = "multipart/form-data; boundary=edge"
Part = tuple[str, str | None, bytes]


def body(*parts: Part, end: bytes = b"--edge--\r\n") -> bytes:
    """Return a form: name, file name or None for a box, and content of each part."""
    written = b""
    for name, file_name, content in parts:
        file = b"" if file_name is None else b'; filename="' + file_name.encode() + b'"'
        head = b'--edge\r\nContent-Disposition: form-data; name="' + name.encode() + b'"' + file
        written += head + b"\r\n\r\n" + content + b"\r\n"
    return written + end


async def pieces(content: bytes, cuts: Sequence[int] = ()) -> AsyncIterator[bytes]:
    edges = [0, *sorted(cuts), len(content)]
    for start, end in pairwise(edges):
        yield content[start:end]


def read(
    folder: Path,
    content: bytes,
    kind: str = KIND,
    *,
    cuts: Sequence[int] = (),
    max_files: int = 3,
    max_bytes: int = 1000,
    room: int | None = None,
) -> tuple[dict[str, str], list[tuple[str, bytes]], list[str], list[dict[str, str]]]:
    """Return boxes, files, names of those without room, and what the check was called with."""
    checked: list[dict[str, str]] = []
    with Arrival(folder, max_files=max_files, max_bytes=max_bytes, room=room) as arrival:
        asyncio.run(
            arrival.read_form(
                pieces(content, cuts), kind, check=lambda fields: checked.append(dict(fields))
            )
        )
        files = [(file.file_name, file.path.read_bytes()) for file in arrival.files]
        return arrival.fields, files, arrival.over, checked


FORM = body(
    ("csrf", None, b"token"),
    ("sample", None, "試料".encode()),
    ("files", "a.csv", b"1,2\r\n--edge-not\r\n"),
    ("files", "試料.png", bytes(range(256))),
)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None
)
@given(cuts=st.lists(st.integers(0, len(FORM)), max_size=30))
def test_a_form_is_the_same_wherever_its_pieces_end(tmp_path: Path, cuts: list[int]) -> None:
    fields, files, over, checked = read(tmp_path, FORM, cuts=cuts)
    assert fields == {"csrf": "token", "sample": "試料"}
    assert files == [("a.csv", b"1,2\r\n--edge-not\r\n"), ("試料.png", bytes(range(256)))]
    assert over == []
    assert checked == [fields, fields]
    assert list(tmp_path.iterdir()) == []


def test_a_check_that_refuses_is_asked_before_the_first_file_is_written(tmp_path: Path) -> None:
    def check(fields: dict[str, str]) -> None:
        assert fields == {"csrf": "token"}
        assert [*tmp_path.rglob("*.part")] == []
        raise Refused(403, "refused.forged")

    content = body(("csrf", None, b"token"), ("files", "a.csv", b"1"), ("late", None, b"box"))
    with (
        pytest.raises(Refused, match="did not come from a page"),
        Arrival(tmp_path, max_files=1, max_bytes=10) as arrival,
    ):
        asyncio.run(arrival.read_form(pieces(content), KIND, check=check))
    assert list(tmp_path.iterdir()) == []


def test_a_box_for_files_that_was_left_empty_is_no_file(tmp_path: Path) -> None:
    fields, files, _, checked = read(tmp_path, body(("files", "", b""), ("a", None, b"b")))
    assert (fields, files, checked) == ({"a": "b"}, [], [{"a": "b"}])


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        f"multipart/form-data; boundary={'x' * 201}",
        "multipart/mixed; boundary=edge",
    ],
)
def test_what_is_no_form_with_files_is_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(Refused, match="must come as multipart/form-data") as caught:
        read(tmp_path, FORM, kind)
    assert caught.value.status == 415


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        FORM[: len(FORM) // 2],
        body(("a", None, b"b"), end=b""),
        body(("a", None, b"b" * (LONGEST_FIELD + 1))),
        body(*((f"box {n}", None, b"b") for n in range(MAX_FIELDS + 1))),
        body(("n" * LONGEST_HEADERS, None, b"b")),
        b"--edge\r\n" + b"".join(b"H%d: x\r\n" % n for n in range(MAX_FIELDS + 2)) + b"\r\n",
    ],
    ids=["nothing", "text", "half", "no end", "long box", "boxes", "long header", "headers"],
)
def test_a_broken_form_is_refused_and_leaves_nothing(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(Refused, match="The form is broken"):
        read(tmp_path, content)
    assert list(tmp_path.iterdir()) == []


def test_more_files_than_one_request_may_bring_are_refused(tmp_path: Path) -> None:
    content = body(*(("files", f"{n}.csv", b"1") for n in range(3)))
    assert len(read(tmp_path, content, max_files=3)[1]) == 3
    with pytest.raises(Refused, match="At most 2 files at once"):
        read(tmp_path, content, max_files=2)


@pytest.mark.parametrize(("size", "fits"), [(1000, True), (1001, False)])
def test_a_file_may_be_as_large_as_the_limit_and_no_larger(
    tmp_path: Path, size: int, fits: bool
) -> None:
    content = body(("files", "a.bin", b"x" * size))
    if fits:
        assert read(tmp_path, content)[1] == [("a.bin", b"x" * size)]
    else:
        with pytest.raises(Refused, match="Too large: at most 1000 B fit"):
            read(tmp_path, content)


@pytest.mark.parametrize(
    ("sizes", "kept"),
    [
        ((100, 0), ["0", "1"]),
        ((101, 100), ["1"]),
        ((60, 60, 40), ["0", "2"]),
        ((60, 40, 1), ["0", "1"]),
    ],
)
def test_files_are_kept_as_long_as_there_is_room_and_the_others_are_named(
    tmp_path: Path, sizes: tuple[int, ...], kept: list[str]
) -> None:
    content = body(*(("files", str(n), b"x" * size) for n, size in enumerate(sizes)))
    _, files, over, _ = read(tmp_path, content, room=100)
    assert [name for name, _ in files] == kept
    assert [*files] == [(name, b"x" * sizes[int(name)]) for name in kept]
    assert over == [str(n) for n in range(len(sizes)) if str(n) not in kept]


def test_a_body_that_is_one_file_is_no_longer_read_once_it_has_no_room(tmp_path: Path) -> None:
    read_pieces = []

    async def endless() -> AsyncIterator[bytes]:
        while True:
            read_pieces.append(1)
            yield b"x" * 10

    with Arrival(tmp_path, max_files=1, max_bytes=10_000, room=25) as arrival:
        asyncio.run(arrival.read_file(endless(), "a.bin"))
        assert (arrival.files, arrival.over, len(read_pieces)) == ([], ["a.bin"], 3)
