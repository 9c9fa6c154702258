from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import pytest

from bl_steer.files import large_arrays
from bl_steer.files.large_arrays import large_array, let_go

MIB = 2**20


def mapped_mib() -> float:
    status = Path("/proc/self/status").read_text()
    return int(re.findall(r"RssFile:\s+(\d+) kB", status)[0]) / 1024


def test_a_large_array_is_a_file_whose_memory_can_be_let_go(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(large_arrays, "IN_MEMORY_BYTES", MIB)
    monkeypatch.setattr(large_arrays, "TemporaryFile", partial(TemporaryFile, dir=tmp_path))
    array = large_array((64, MIB), np.uint8)
    before = mapped_mib()
    array[:] = np.arange(64, dtype=np.uint8)[:, None]
    assert mapped_mib() > before + 60
    view = np.asarray(array)[1:]
    let_go(view)
    assert mapped_mib() < before + 16
    assert (view[:, 5] == np.arange(1, 64)).all()
    assert not list(tmp_path.iterdir())


def test_a_small_array_is_in_memory_and_keeps_its_values_when_let_go() -> None:
    array = large_array((3, 4), np.float16)
    array[:] = 7
    let_go(array)
    assert type(array) is np.ndarray
    assert (array == 7).all()


def test_an_array_of_another_is_not_touched(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(9000))
    private = np.load(tmp_path / "a.npy", mmap_mode="c")
    private[:] = 5
    let_go(private)
    assert (private == 5).all()


def test_no_room_is_an_error_before_anything_is_written() -> None:
    with pytest.raises(OSError, match=r"large|space"):
        large_array((2**50,), np.uint8)
