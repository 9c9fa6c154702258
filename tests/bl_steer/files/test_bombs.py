"""Files of a few kilobytes that would fill the memory are refused by their headers alone."""

from __future__ import annotations

import io
import math
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from bl_steer.files.archives import check_expansion, read_archive
from bl_steer.files.errors import FileFormatError


def test_a_bomb_of_a_few_kilobytes_is_refused_below_the_limit_too(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    header = io.BytesIO()
    shape = (3, 2**30)  # a byte each
    np.lib.format.write_array_header_1_0(
        header, {"shape": shape, "fortran_order": False, "descr": "|u1"}
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("map.npy", header.getvalue())
    raw = bytearray(path.read_bytes())
    at = struct.unpack_from("<I", raw, raw.rfind(b"PK\5\6") + 16)[0]
    struct.pack_into("<I", raw, at + 24, len(header.getvalue()) + math.prod(shape))
    path.write_bytes(raw)
    with pytest.raises(ValueError, match="must unpack to at most 2 GiB, or 100 times its"):
        read_archive(path)


def test_what_is_as_large_on_the_disk_may_be_large() -> None:
    check_expansion(15 * 2**30, 15 * 2**30)
    check_expansion(2**30, 1000)
    with pytest.raises(FileFormatError, match=r"got 15\.0 GiB from 15 MiB; save it without compr"):
        check_expansion(15 * 2**30, 15 * 2**20)
