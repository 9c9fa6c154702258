"""The aligned stack, against the specimen that was cut."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bl_steer.analysis.slices.analysis import AlignParams, AlignSlices
from bl_steer.protocols import Inputs
from simulators.electron.fibsem_sample import FibsemSpecimen

PITCH = 100.0


def test_aligned_stack_shows_one_place_in_every_slice_and_keeps_gaps_and_depths(stack: Any) -> None:
    images, views, marks = stack
    chosen = [0, 1, 2, 4, 5, 6]
    z = np.array([views[k].z_nm for k in chosen])
    inputs = Inputs(
        {"slices": np.stack([images[k] for k in chosen]), "slice": np.array(chosen), "z_nm": z},
        {"pixel_size_nm": 10.0, "pitch_nm": PITCH, "n_slices": 8, "marks": marks.to_dict()},
    )
    done: list[tuple[int, int]] = []
    result = AlignSlices().run(inputs, AlignParams(), lambda *step: done.append(step))
    table, aligned = result.tables["slices"], result.arrays["slices"]
    assert table["slice"].tolist() == list(range(8))
    assert table["plane"].tolist() == [0, 1, 2, -1, 3, 4, 5, -1]
    np.testing.assert_allclose(table["z_nm"][table["plane"] >= 0], z)
    assert result.warnings == ("slices are missing: 3, 7",)
    assert done[-1] == (12, 12)
    (top, bottom), (left, right) = result.provenance["window"]
    assert aligned.shape == (6, bottom - top, right - left)
    for plane, k in enumerate(chosen):
        specimen = FibsemSpecimen(
            "network",
            seed=6,
            shape=(1, 256, 256),
            origin_um=(
                1e-3 * (views[k].z_nm - 5.0),
                *(-1e-3 * shift for shift in views[0].displacement_nm),
            ),
        ).labels[0][top:bottom, left:right]
        brightness = np.array([0.75, 0.40, 0.12])[specimen]
        assert np.corrcoef(aligned[plane].ravel(), brightness.ravel())[0, 1] > 0.85


def test_stack_without_marks_says_what_cannot_be_told(stack: Any) -> None:
    faces = np.stack(stack.faces[:3])
    inputs = Inputs({"slices": faces}, {"pixel_size_nm": 10.0, "pitch_nm": PITCH})
    result = AlignSlices().run(inputs, AlignParams(level=False, destripe=False))
    assert "drift cannot be told from features of the specimen" in result.warnings[0]


@pytest.mark.parametrize("top", [np.uint16(65535), np.uint16(4095), np.int16(32767), np.float32(1)])
def test_grey_levels_of_any_type_and_range_are_kept(stack: Any, top: np.generic) -> None:
    metadata = {"pixel_size_nm": 10.0, "pitch_nm": PITCH}
    eight = np.stack(stack.faces[:3])
    other = (eight / 255 * float(top)).astype(top.dtype)
    aligned = [
        AlignSlices().run(Inputs({"slices": images}, metadata), AlignParams()).arrays["slices"]
        for images in (eight, other)
    ]
    assert aligned[1].dtype == top.dtype
    middle = (aligned[0] > 5) & (aligned[0] < 250)  # of those not cut at an end of 8 bits
    np.testing.assert_allclose(
        aligned[1][middle] / float(top), aligned[0][middle] / 255.0, atol=1.5 / 255
    )


def test_a_slice_that_is_not_finite_is_never_used(stack: Any) -> None:
    faces = np.stack(stack.faces[:5]).astype(np.float32)
    faces[2, 5, 5] = np.nan
    inputs = Inputs({"slices": faces}, {"pixel_size_nm": 10.0, "pitch_nm": PITCH})
    for keep_bad in (False, True):
        result = AlignSlices().run(inputs, AlignParams(keep_bad=keep_bad))
        assert np.isfinite(result.arrays["slices"]).all()
        assert "slice 2 is not finite and taken as missing" in result.warnings
