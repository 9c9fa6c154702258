from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bl_steer.files.atomic import UnwritableError, alone_in, check_writable, draft_of, write_whole


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_whole(path, b"old")
    with draft_of(path) as draft:
        draft.write_bytes(b"new")
        assert path.read_bytes() == b"old"
        assert draft.suffix == ".txt"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError("bad"), KeyboardInterrupt()])
def test_whatever_ends_the_writing_leaves_the_old_file_and_no_draft(
    tmp_path: Path, error: BaseException
) -> None:
    path = tmp_path / "a.txt"
    write_whole(path, b"old")

    def write() -> None:
        with draft_of(path) as draft:
            draft.write_bytes(b"half")
            raise error

    with pytest.raises(type(error)):
        write()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failing_disk_is_told_with_path_and_remedy(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with (
        pytest.raises(UnwritableError, match=r"got 'No space left on device' for .*a\.txt; free"),
        draft_of(tmp_path / "outer.txt"),
        draft_of(path),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_folder_that_takes_no_file_is_refused() -> None:
    with pytest.raises(UnwritableError, match=r"for /proc; .* give another place"):
        check_writable(Path("/proc"))


def test_a_folder_is_kept_for_one_process_until_its_end(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    with (
        alone_in(folder),
        pytest.raises(FileExistsError, match=r"one process at a time .*model with another"),
        alone_in(folder),
    ):
        pass
    with alone_in(folder), alone_in(None):
        assert list(folder.iterdir()) == []


def test_a_folder_whose_owner_was_killed_is_had_when_its_last_child_lets_go(tmp_path: Path) -> None:
    """A child that waits for the processor keeps the lock until it has begun."""
    code = """
import os, sys, time
from pathlib import Path
from bl_steer.files.atomic import alone_in

with alone_in(Path(sys.argv[1])):
    for descriptor in os.listdir("/proc/self/fd"):  # the lock among them
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            os.set_inheritable(int(descriptor), True)
    os.spawnl(os.P_NOWAIT, "/bin/sh", "sh", "-c", "echo begun; exec sleep 4 >&-")
    time.sleep(60)
"""
    owner = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    assert owner.stdout.readline() == "begun\n"
    owner.kill()
    owner.communicate()
    with alone_in(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UnwritableError, match="Not a directory"), alone_in(tmp_path / "file" / "a"):
        pass
