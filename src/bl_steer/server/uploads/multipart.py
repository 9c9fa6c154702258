"""Files as they come in: a form's body read piece by piece into a folder, never into memory.

The small boxes of the form come before its files, so that a forged form is refused before the
first file.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING
from uuid import uuid4

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks


from bl_steer.server.errors import Refused
from bl_steer.server.sizes import amount
from bl_steer.server.uploads.uploads import Arrived

__all__ = ["Arrival"]

LONGEST_FIELD = 4096
MAX_FIELDS = 20
LONGEST_HEADERS = 8192


class Arrival:
    """A folder for one request's files; leaves nothing behind at its end.

    Parameters
    ----------
    folder : where the files lie until they are taken in
    max_files : of one request
    max_bytes : of one file
    room : for all files together, bytes; a file that goes beyond it is not kept, and its name goes
        into `over`; none for no limit
    """

    def __init__(
        self, folder: Path, *, max_files: int, max_bytes: int, room: int | None = None
    ) -> None:
        self.folder = folder / str(uuid4())
        self.max_files = max_files
        self.max_bytes = max_bytes
        self.fields: dict[str, str] = {}
        self.files: list[Arrived] = []
        self.over: list[str] = []
        self._room = room
        self._open: IO[bytes] | None = None
        self._size = 0

    def __enter__(self) -> Arrival:
        self.folder.mkdir(parents=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._open is not None:
            with contextlib.suppress(OSError):  # where the disk is full, its rest has no room
                self._open.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    async def read_form(
        self,
        pieces: AsyncIterator[bytes],
        content_type: str,
        *,
        check: Callable[[dict[str, str]], None],
    ) -> None:
        """Read a ``multipart/form-data`` body.

        Parameters
        ----------
        check : called with the boxes before the first file, and at the end; may refuse
        """
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not 0 < len(boundary) <= 200:
            raise Refused(415, "refused.form_kind")
        reader = _FormReader(self, check)
        parser = MultipartParser(boundary, reader.callbacks())
        try:
            async for piece in pieces:
                parser.write(piece)
            parser.finalize()
        except FormParserError as error:
            raise Refused(400, "refused.form_broken") from error
        if not reader.ended:
            raise Refused(400, "refused.form_broken")
        self._finish_file()
        check(self.fields)

    async def read_file(self, pieces: AsyncIterator[bytes], file_name: str) -> None:
        """Read a body that is one file."""
        self.begin_file(file_name)
        async for piece in pieces:
            self.add(piece)
            if self.over:  # no other file is to come
                break
        self._finish_file()

    def begin_file(self, file_name: str) -> None:
        """Open a file for what comes next."""
        self._finish_file()
        if len(self.files) + len(self.over) >= self.max_files:
            raise Refused(413, "refused.too_many_files", most=self.max_files)
        path = self.folder / f"{len(self.files) + len(self.over)}.part"
        self._open, self._size = path.open("wb"), 0
        self.files.append(Arrived(path, file_name))

    def add(self, piece: bytes) -> None:
        """Write a piece of the file that is open."""
        self._size += len(piece)
        if self._size > self.max_bytes:
            raise Refused(413, "refused.too_large", most=amount(self.max_bytes))
        if self._open is None:
            return
        if self._room is not None and self._size > self._room:
            self._open.close()
            self._open = None
            left = self.files.pop()
            left.path.unlink()
            self.over.append(left.file_name)
            return
        self._open.write(piece)

    def _finish_file(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None
            if self._room is not None:
                self._room -= self._size


class _FormReader:
    """What the parser calls as it comes along parts, their headers and their data."""

    def __init__(self, arrival: Arrival, check: Callable[[dict[str, str]], None]) -> None:
        self.arrival = arrival
        self.check = check
        self.ended = False
        self._checked = False
        self._begin()

    def callbacks(self) -> MultipartCallbacks:
        """Return the parser's callbacks by name."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._data,
            "on_part_end": self._part_end,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._headers: dict[bytes, bytes] = {}
        self._header = [b"", b""]
        self._name = ""
        self._is_file = self._skipped = False
        self._text = b""

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._header[0] += data[start:end]
        self._check_length()

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1] += data[start:end]
        self._check_length()

    def _check_length(self) -> None:
        if sum(map(len, self._header)) > LONGEST_HEADERS or len(self._headers) > MAX_FIELDS:
            raise Refused(400, "refused.form_broken")

    def _header_end(self) -> None:
        self._headers[self._header[0].lower()] = self._header[1]
        self._header = [b"", b""]

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        file_name = options.get(b"filename")
        self._is_file = file_name is not None
        self._skipped = file_name == b""  # a box for files that was left empty
        if self._is_file and not self._skipped:
            if not self._checked:
                self.check(self.arrival.fields)
                self._checked = True
            self.arrival.begin_file(_decoded(file_name or b""))

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._skipped:
            return
        if self._is_file:
            self.arrival.add(data[start:end])
            return
        self._text += data[start:end]
        if len(self._text) > LONGEST_FIELD or len(self.arrival.fields) >= MAX_FIELDS:
            raise Refused(413, "refused.form_broken")

    def _part_end(self) -> None:
        if not self._is_file:
            self.arrival.fields[self._name] = self._text.decode("utf-8", "replace")

    def _end(self) -> None:
        self.ended = True


def _decoded(name: bytes) -> str:
    """Return a file's name: UTF-8 as browsers send it, or the CP932 of older programs."""
    for encoding in ("utf-8", "cp932"):
        try:
            return name.decode(encoding)
        except UnicodeDecodeError:
            continue
    return name.decode("utf-8", "replace")
