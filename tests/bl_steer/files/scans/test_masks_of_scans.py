"""Pixels that a file says are not to be used are known, whichever reader reads it."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from bl_steer.files import read_pixel_mask
from bl_steer.files.scans import open_scan

BITS = np.zeros((4, 5), dtype=np.uint32)
BITS[0, 0] = 1  # a gap
BITS[1, 2] = 1 << 4  # noisy
BITS[3, 4] = 1 << 31  # a virtual pixel, which may be used
BAD = [(0, 0), (1, 2)]
ANGLES = {"omega": np.arange(3.0), "two_theta": np.full(3, 60.0)}


def npz(path, mask, name):
    np.savez(path, counts=np.ones((3, 4, 5)), **ANGLES, **{name: mask})
    return path


def nexus(path, mask, name):
    with h5py.File(path, "w") as file:
        detector = file.create_group("entry/instrument/detector")
        detector["data"] = np.ones((3, 4, 5))
        detector[name] = mask
        for circle, angles in ANGLES.items():
            file[f"entry/sample/{circle}"] = angles
    return path


WRITERS = [(npz, "a.npz", "mask"), (npz, "a.npz", "pixel_mask"), (nexus, "a.nxs", "pixel_mask")]


@pytest.mark.parametrize(("write", "file", "name"), WRITERS)
@pytest.mark.parametrize("dtype", [np.uint32, np.int64, bool])
def test_the_mask_of_a_file_is_read_by_its_bits(write, file, name, dtype, tmp_path):
    mask = BITS & 0xFFFF != 0 if dtype is bool else BITS.astype(dtype)
    scan = open_scan(write(tmp_path / file, mask, name))
    assert list(zip(*np.nonzero(scan.mask), strict=True)) == BAD


@pytest.mark.parametrize(("write", "file", "name"), WRITERS)
def test_a_mask_of_another_shape_or_of_all_pixels_is_refused(write, file, name, tmp_path):
    with pytest.raises(ValueError, match=r"of its frames, \(4, 5\), got \(4, 4\)"):
        open_scan(write(tmp_path / file, BITS[:, :4], name))
    with pytest.raises(ValueError, match="got all 20 masked"):
        open_scan(write(tmp_path / file, np.ones((4, 5), dtype=int), name))


def test_the_mask_of_a_nexus_file_can_be_given_for_other_frames(tmp_path):
    mask = read_pixel_mask(nexus(tmp_path / "a.nxs", BITS, "pixel_mask"))
    assert list(zip(*np.nonzero(mask), strict=True)) == BAD
