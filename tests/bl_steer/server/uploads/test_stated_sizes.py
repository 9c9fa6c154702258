"""A form asks for a size only where the file cannot tell it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bl_steer.server.uploads.stated_sizes import may_state
from tests.bl_steer.files import programs as p

LABELS = np.zeros((3, 8, 9), np.uint8)


@pytest.mark.parametrize(
    ("name", "states"),
    [
        ("a.h5", True),
        ("a.dream3d", True),  # which keeps spacings
        ("a.nrrd", True),
        ("a.zip", True),
        ("a.npy", False),
        ("a.png", False),
        ("a.jpg", False),
    ],
)
def test_files_that_may_tell_a_voxel_are_read_before_it_is_asked_for(
    tmp_path: Path, name: str, states: bool
) -> None:
    path = p.with_h5py(LABELS, "zyx")(tmp_path / "any")  # only the name counts
    with path.open("rb") as file:
        assert may_state(file, name, "voxel_size_nm") is states


def test_a_tiff_and_arrays_may_tell_it_where_they_have_a_word_on_it(tmp_path: Path) -> None:
    told = p.with_numpy(LABELS, voxel_size_nm=[40.0, 10.0, 10.0])(tmp_path / "told")
    untold = p.with_numpy(LABELS, other=1)(tmp_path / "untold")
    plain = p.with_tifffile(LABELS)(tmp_path / "plain")
    for path, states in ((told, True), (untold, False), (plain, False)):
        with path.open("rb") as file:
            assert may_state(file, path.name, "voxel_size_nm") is states
