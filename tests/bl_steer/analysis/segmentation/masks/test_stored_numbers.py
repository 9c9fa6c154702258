"""Masks of numbers: as the file stores them, and what 0 means beside a phase without paint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from bl_steer.analysis.segmentation.masks.label_images import labels_of_greys
from bl_steer.analysis.segmentation.masks.mask_files import read_mask
from bl_steer.analysis.segmentation.phase_names import parse_phases
from bl_steer.files.images import read_micrographs
from bl_steer.files.stacks import open_stack

PHASES = parse_phases("matrix:none,particles:red")
MASK = np.eye(24, dtype=np.uint8)


@pytest.mark.parametrize("values", [MASK.astype(bool), MASK, 255 * MASK])
def test_white_that_is_zero_turns_no_mask_round(tmp_path: Path, values: np.ndarray) -> None:
    tifffile.imwrite(tmp_path / "mask.tif", values, photometric="miniswhite")
    tifffile.imwrite(tmp_path / "image.tif", 9 * MASK)
    mask = read_mask(tmp_path / "mask.tif", PHASES, read_micrographs(tmp_path / "image.tif"))
    np.testing.assert_array_equal(mask.labels, MASK)
    assert any("White is zero in the file: numbers are taken" in n for n in mask.report.notes)


def test_white_that_is_zero_turns_micrographs_round_and_no_stack_of_labels(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    for values, right in ((MASK, MASK), (MASK == 1, MASK == 1), (99 * MASK, 255 - 99 * MASK)):
        stack = np.stack([values, values])
        tifffile.imwrite(path, stack, photometric="miniswhite")
        np.testing.assert_array_equal(open_stack(path).array[0], right)
    assert (read_micrographs(path).fields[0] == 255 - 99 * MASK).all()


def test_0_beside_a_phase_without_paint_is_that_phase_or_asked_for() -> None:
    phases = parse_phases("particles:red,matrix:none")
    labels, told, _ = labels_of_greys(255 * MASK, phases)
    np.testing.assert_array_equal(labels, 1 - MASK)
    assert told == ["The grey values are read so: 0 as matrix, 255 as particles."]
    with pytest.raises(ValueError, match=r"0 may be particles, .* or matrix, .* unpainted=matrix"):
        labels_of_greys(MASK, phases)
    np.testing.assert_array_equal(labels_of_greys(MASK, phases, "matrix")[0], 1 - MASK)
    np.testing.assert_array_equal(labels_of_greys(MASK, phases, "particles")[0], MASK)
    assert "0 is read as matrix" in labels_of_greys(MASK, PHASES)[1][0]
