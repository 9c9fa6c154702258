"""Images whose brightness or contrast went beyond what is kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bl_steer.analysis.grey_levels import clipped_shares, clipped_warnings
from bl_steer.analysis.segmentation import Acquisition, find_model, seems_negative
from bl_steer.analysis.segmentation.analysis import SegmentMicrographs, SegmentParams
from bl_steer.analysis.segmentation.checks import negative_warnings
from bl_steer.analysis.slices.analysis import AlignParams, AlignSlices
from bl_steer.protocols import Inputs
from simulators.electron import field


def burnt(times: float) -> Any:
    image = field("grains", 5, shape=(96, 96)).image
    return np.clip(times * image.astype(np.float64), 0, 255).astype(np.uint8)


def test_an_image_whose_contrast_went_beyond_what_is_kept_is_named() -> None:
    shares = {"good": clipped_shares(burnt(1.0)), "burnt": clipped_shares(burnt(3.0))}
    assert shares["good"] == (0.0, 0.0)
    dark, bright = shares["burnt"]
    assert dark == 0.0
    assert bright == pytest.approx(float((burnt(3.0) == 255).mean()))
    (warning,) = clipped_warnings(shares)
    assert warning.startswith(f"in burnt {bright:.0%} of the pixels hold the largest grey level")
    (warning,) = clipped_warnings({"inverted": clipped_shares(255 - burnt(3.0))})
    assert "the smallest grey level" in warning


def clipped(image: Any, share: float, *, dark: bool) -> Any:
    level = np.quantile(image, share if dark else 1 - share)
    return np.maximum(image, level) if dark else np.minimum(image, level)


@pytest.mark.parametrize("dark", [True, False])
def test_a_fifth_that_is_clipped_is_named_where_training_had_less(dark: bool) -> None:
    fields = [field("grains", seed, shape=(128, 128)).image for seed in range(12)]
    known = Acquisition.from_dict(Acquisition.of(fields[:4]).to_dict())
    end = 0 if dark else 1
    for image in fields[4:]:
        assert clipped_shares(image, known.least_clipped) == (0.0, 0.0)
        assert clipped_shares(clipped(image, 0.25, dark=dark), known.least_clipped)[end] > 0.2
    # Where the training was like that, its images are.
    as_learnt = Acquisition.of([clipped(image, 0.3, dark=dark) for image in fields[:4]])
    seen = [clipped_shares(clipped(i, 0.3, dark=dark), as_learnt.least_clipped) for i in fields]
    assert seen == [(0.0, 0.0)] * len(fields)
    assert Acquisition({}).least_clipped == (0.4, 0.4)


def test_segmentation_names_it_with_what_training_had() -> None:
    image = field("grains", 5, shape=(128, 128)).image
    fields = Inputs({"dark": clipped(image, 0.3, dark=True)}, {"pixel_size_nm": 10.0})
    told = SegmentMicrographs().run(fields, SegmentParams()).warnings
    assert any(
        "in dark 3" in warning and "smallest grey level (up to " in warning for warning in told
    )


def test_rows_that_were_not_recorded_are_not_cut_off() -> None:
    image = burnt(0.8)
    image[30:] = 0
    assert clipped_shares(image) == (0.0, 0.0)


def test_slices_and_fields_tell_that_they_were_cut_off() -> None:
    slices = Inputs({"slices": np.stack([burnt(3.0)] * 2)}, {"pixel_size_nm": 10, "pitch_nm": 100})
    told = AlignSlices().run(slices, AlignParams(keep_bad=True)).warnings
    assert any("in 0, 1 up to" in warning for warning in told)
    fields = Inputs({"burnt": burnt(3.0)}, {"pixel_size_nm": 10.0})
    told = SegmentMicrographs().run(fields, SegmentParams()).warnings
    assert any("in burnt " in warning and "largest grey level" in warning for warning in told)


def test_a_slice_that_the_model_would_rather_see_inverted_is_named() -> None:
    image = field("grains", 5, shape=(128, 128)).image
    model = find_model("fibsem")
    name = "slice 3 (s3.tif)"
    assert not list(negative_warnings({name: seems_negative(model, image, 10.0)}))
    (warning,) = negative_warnings({name: seems_negative(model, 255 - image, 10.0)})
    assert warning.startswith("slice 3 (s3.tif) looks to the model like a negative, by")
