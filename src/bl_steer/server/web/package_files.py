"""What a reviewer reads of a package beside its script: its README, and what its tests are given.

Nothing of a package runs or is decoded here: texts are shown as they stand, with characters that
nobody sees written out; PNG and JPEG are left to the browser, after the checks of an upload, and
what no browser shows is decoded in the sandbox.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fastapi import Response
from fastapi.responses import FileResponse

from bl_steer.server.errors import Refused, missing
from bl_steer.server.packages import Manifest
from bl_steer.server.uploads.downloads import SANDBOX, disposition
from bl_steer.server.uploads.file_types import inspect_file
from bl_steer.server.viewing.planes import PlaneCache, Stored
from bl_steer.server.viewing.tiles import TILE_PX, grey_tile
from bl_steer.server.web.package_view import TEXTS, visible

__all__ = ["ShownFile", "ShownTest", "given_file", "preview_of", "readme_of", "tests_of"]

LONGEST_README = 20_000
LONGEST_TEXT = 2_000
"""Characters of a README, and of another file, that are shown."""
MOST_TESTS = 20
MOST_FILES = 10
"""Of one input of a test are shown."""
LARGEST_IMAGE = 8 * 2**20
"""Bytes of an image that a page shows."""
BROWSER_KINDS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg"}
DECODED = (".tif", ".tiff", ".bmp")
"""Endings of images that are decoded in the sandbox to be shown."""


@dataclass(frozen=True)
class ShownFile:
    """A file of a package.

    Parameters
    ----------
    name : in the package
    text : its beginning; empty where it is no text
    more : whether the text goes on
    is_image : whether a page may show it as an image
    is_decoded : whether a page shows the first plane of it, decoded in the sandbox
    """

    name: str
    size: int
    text: str = ""
    more: bool = False
    is_image: bool = False
    is_decoded: bool = False


@dataclass(frozen=True)
class ShownTest:
    """A test, and what it is given and must find.

    Parameters
    ----------
    params : as JSON; empty where there are none
    inputs : the files by the name of the input
    others : how many files are not shown
    """

    name: str
    params: str
    inputs: Mapping[str, Sequence[ShownFile]]
    expected: ShownFile
    others: int = 0


def readme_of(folder: Path, manifest: Manifest) -> ShownFile | None:
    """Return the README of a package; None where it has none."""
    names = [name for name in manifest.files if Path(name).stem.lower() == "readme"]
    names = [name for name in names if "/" not in name and Path(name).suffix.lower() in _READ]
    return _file(folder, min(names), LONGEST_README) if names else None


def tests_of(folder: Path, manifest: Manifest) -> list[ShownTest]:
    """Return the tests of a package, the first ones."""
    return [
        ShownTest(
            test.name,
            visible(json.dumps(dict(test.params), ensure_ascii=False)) if test.params else "",
            {
                name: [_file(folder, file) for file in files[:MOST_FILES]]
                for name, files in test.inputs.items()
            },
            _file(folder, test.expected),
            sum(max(0, len(files) - MOST_FILES) for files in test.inputs.values()),
        )
        for test in manifest.tests[:MOST_TESTS]
    ]


def given_file(folder: Path, manifest: Manifest, name: str) -> Response:
    """Return a file that a test is given: an image to be shown, anything else to be saved.

    Raises
    ------
    Refused
        When no test is given such a file, or it is not there.
    """
    path = _given(folder, manifest, name)
    shown = _browser_type(path)
    headers = {
        "Content-Disposition": disposition(path.name, inline=bool(shown)),
        "Content-Security-Policy": SANDBOX,
        "Cache-Control": "private, max-age=3600, immutable",
    }
    return FileResponse(path, media_type=shown or "application/octet-stream", headers=headers)


def preview_of(folder: Path, manifest: Manifest, name: str, planes: PlaneCache) -> Response:
    """Return the first plane of an image that a test is given as a PNG of a tile, or smaller.

    Raises
    ------
    Refused
        When no test is given such a file, or it cannot be read as an image.
    """
    path = _given(folder, manifest, name)
    if path.suffix.lower() not in DECODED:
        raise missing("file")
    found = planes.open(Stored(manifest.files[name], path.name), _InPackage(path))
    plane = found[0]
    step = 1
    while max(plane.shape) > TILE_PX * step:
        step *= 2
    content = grey_tile(plane, found.info, step, 0, 0)
    headers = {"Cache-Control": "private, max-age=3600, immutable"}
    return Response(content, media_type="image/png", headers=headers)


@dataclass(frozen=True)
class _InPackage:
    path: Path

    def path_for(self, sha256: str, folder: Path) -> Path:
        """Return where the file lies."""
        del sha256, folder
        return self.path


def _given(folder: Path, manifest: Manifest, name: str) -> Path:
    given = {file for test in manifest.tests for files in test.inputs.values() for file in files}
    path = folder / name
    if name not in given or not path.is_file():
        raise missing("file")
    return path


_READ = ("", *TEXTS, ".rst")


def _file(folder: Path, name: str, longest: int = LONGEST_TEXT) -> ShownFile:
    path = folder / name
    try:
        size = path.stat().st_size
        if path.suffix.lower() not in (*_READ, ".json", ".tsv"):
            shown = bool(_browser_type(path))
            decoded = path.suffix.lower() in DECODED
            return ShownFile(visible(name), size, is_image=shown, is_decoded=decoded)
        with path.open(encoding="utf-8", errors="replace") as file:
            head = file.read(longest + 1)
    except OSError:
        return ShownFile(visible(name), 0)
    return ShownFile(visible(name), size, visible(head[:longest]), len(head) > longest)


def _browser_type(path: Path) -> str:
    """Return as what a browser may show a file that decodes to no more than it should; or empty."""
    kind = BROWSER_KINDS.get(path.suffix.lower())
    if kind is None or path.stat().st_size > LARGEST_IMAGE:
        return ""
    try:
        return f"image/{kind}" if inspect_file(path, path.name).kind == kind else ""
    except Refused:
        return ""
