"""Images that a broken download left behind are refused as they arrive; whole ones never are."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from bl_steer.server.errors import Refused
from bl_steer.server.uploads.file_types import inspect_file

GREY = np.random.default_rng(0).integers(0, 256, (96, 80)).astype(np.uint8)


def by_pillow(form: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(GREY).save(stream, form, **options)
    return stream.getvalue()


def by_tifffile(**options: Any) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, np.stack([GREY, GREY]), photometric="minisblack", **options)
    return stream.getvalue()


FILES = {
    "png": by_pillow("PNG"),
    "jpg": by_pillow("JPEG"),
    "progressive.jpg": by_pillow("JPEG", progressive=True),
    "bmp": by_pillow("BMP"),
    "tif": by_pillow("TIFF"),
    "lzw.tif": by_pillow("TIFF", compression="tiff_lzw"),
    "jpeg.tif": by_pillow("TIFF", compression="jpeg"),
    "two.tif": by_tifffile(),
    "big.tif": by_tifffile(bigtiff=True, byteorder=">"),
    "tiles.tif": by_tifffile(tile=(32, 32), compression="zlib"),
    "imagej.tif": by_tifffile(imagej=True),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0.4, 0.7, 0.97])
def test_what_is_cut_off_is_refused_with_its_name(name: str, share: float, tmp_path: Path) -> None:
    path = tmp_path / "arrived"
    path.write_bytes(FILES[name][: int(share * len(FILES[name]))])
    with pytest.raises(Refused) as refused:
        inspect_file(path, f"slice 7.{name}")
    assert refused.value.values["file"] == f"slice 7.{name}"


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("more", [b"", b"\0" * 300, b"a trailer of a camera"])
def test_whole_files_pass_whatever_follows_them(name: str, more: bytes, tmp_path: Path) -> None:
    path = tmp_path / "arrived"
    path.write_bytes(FILES[name] + more)
    assert inspect_file(path, name if "." in name else f"a.{name}").decoded_bytes > 0
