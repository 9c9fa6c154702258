from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bl_steer.server.packages.archive import unpack
from bl_steer.server.packages.content import content_hash, verify_content
from bl_steer.server.packages.manifest import PackageError


def test_the_same_package_has_the_same_archive_and_hash(
    small: Callable[..., Any], unpacked: Callable[[Path], tuple[Path, str]]
) -> None:
    first, second = small().archive(), small().archive()
    assert first.read_bytes() == second.read_bytes()
    folder, sha256 = unpacked(first)
    assert folder.name == sha256
    assert verify_content(folder, sha256).name == "sums"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda f: (f / "script.py").write_bytes(b" " + (f / "script.py").read_bytes()), "changed"),
        (lambda f: (f / "more.py").write_text(""), "more.py was added"),
        (lambda f: (f / "__pycache__").mkdir() or (f / "__pycache__" / "a").touch(), "was added"),
        (lambda f: (f / "script.py").unlink(), "script.py is missing"),
        (lambda f: (f / "tests" / "three.csv").rename(f / "tests" / "4.csv"), "4.csv was added"),
        (lambda f: (f / "link").symlink_to("/etc/passwd"), "plain files alone"),
    ],
)
def test_whatever_is_changed_in_a_package_is_named(
    small: Callable[..., Any], change: Callable[[Path], object], told: str
) -> None:
    folder = small().built()
    change(folder)
    with pytest.raises(PackageError, match=told):
        verify_content(folder)


def test_a_manifest_that_was_changed_along_with_a_file_is_another_package(
    small: Callable[..., Any],
) -> None:
    honest, evil = small().built(), small(script="print('evil')\n").built()
    verify_content(evil)
    with pytest.raises(PackageError, match="the one that was approved"):
        verify_content(evil, content_hash(honest))


def _zip(members: dict[str, bytes], *, mode: int = 0o644 | stat.S_IFREG) -> io.BytesIO:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            member = zipfile.ZipInfo(name)
            member.external_attr = mode << 16
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, data)
    made.seek(0)
    return made


@pytest.mark.parametrize(
    "archive",
    [
        _zip({"../escaped": b"x"}),
        _zip({"/tmp/escaped": b"x"}),
        _zip({"a/../../escaped": b"x"}),
        _zip({"a\\..\\escaped": b"x"}),
        _zip({"link": b"/etc"}, mode=0o777 | stat.S_IFLNK),
        _zip({"a": b"x", "a/b": b"x"}),
        _zip({"a": b"x", "A": b"x"}),
        _zip({"bomb": b"\0" * 50_000_000}),
        _zip({f"f{n}": b"" for n in range(600)}),
        _zip({"script.py": b"x"}),
        _zip({"manifest.json": b"[" * 100_000}),
        io.BytesIO(b"PK\x03\x04 and no more"),
        io.BytesIO(b""),
    ],
    ids=lambda archive: f"{len(archive.getvalue())} bytes",
)
def test_hostile_archives_leave_nothing_behind(archive: io.BytesIO, tmp_path: Path) -> None:
    packages = tmp_path / "deep" / "packages"
    with pytest.raises(PackageError, match="must"):
        unpack(archive, packages)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert list(packages.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"x,y\n1,2\n", "got a file that is no zip; build"),
        (b"", "got a file that is no zip; build"),
    ],
)
def test_a_file_that_is_no_archive_is_refused_in_words(
    content: bytes, said: str, tmp_path: Path
) -> None:
    with pytest.raises(PackageError, match=said):
        unpack(io.BytesIO(content), tmp_path / "packages")
