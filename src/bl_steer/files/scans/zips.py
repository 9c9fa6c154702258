"""Members of the zips in which makers of diffractometers put their XML, trusting no size."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from bl_steer.files.errors import FileFormatError

__all__ = ["MAX_MEMBERS", "MemberReader", "member_names"]

MAX_MEMBERS = 100_000
MAX_BYTES = 2 * 2**30
"""Of all members that are read of one file."""
MAX_RATIO = 500
"""Of unpacked over packed bytes of a member above `ALWAYS_FINE`; measurements' XML reaches 60."""
ALWAYS_FINE = 16 * 2**20


def member_names(path: Path) -> Sequence[str]:
    """Return the names of a zip's members; none where it is no zip.

    Raises
    ------
    FileFormatError
        When it is a zip, but damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError) as error:
        raise FileFormatError(
            f"must be a whole zip, got a damaged one ({str(error)[:80]}); copy it anew"
        ) from error


class MemberReader:
    """Reads members of a zip, all of them together no more than `MAX_BYTES`.

    Use it as a context manager.
    """

    def __init__(self, path: Path) -> None:
        self._archive = zipfile.ZipFile(path)
        self._left = MAX_BYTES
        self._members = {member.filename: member for member in self._archive.infolist()}
        if len(self._members) > MAX_MEMBERS:
            self._archive.close()
            raise FileFormatError(
                f"must hold at most {MAX_MEMBERS} files, got {len(self._members)}; cut it into "
                "parts"
            )

    @property
    def names(self) -> Sequence[str]:
        """Names of all members."""
        return list(self._members)

    def __enter__(self) -> MemberReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()

    def read(self, name: str) -> bytes:
        """Return a member's content.

        Raises
        ------
        FileFormatError
            When it is not there, damaged, encrypted or a bomb.
        """
        member = self._members.get(name)
        if member is None:
            raise FileFormatError(f"must hold {name[:80]}, got a zip without; export it anew")
        self._left -= member.file_size
        ratio = member.file_size / max(member.compress_size, 1)
        if self._left < 0 or (member.file_size > ALWAYS_FINE and ratio > MAX_RATIO):
            raise FileFormatError(
                f"must unpack to at most {MAX_BYTES / 2**30:.0f} GiB, and none of it more than "
                f"{MAX_RATIO}-fold, got {member.file_size} bytes of {member.compress_size} in "
                f"{name[:60]}; unpack it and cut it into parts"
            )
        try:
            return self._archive.read(member)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as bad:
            raise FileFormatError(
                f"must hold sound members, got {name[:60]} damaged or encrypted "
                f"({str(bad)[:60]}); copy it anew"
            ) from bad
