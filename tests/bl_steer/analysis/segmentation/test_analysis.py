from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bl_steer.analysis.segmentation import (
    Acquisition,
    SegmentationModel,
    SegmentMicrographs,
    SegmentParams,
    segment,
)
from bl_steer.processing.digest import digest_of
from bl_steer.protocols import Inputs


@pytest.fixture
def params(model: SegmentationModel, tmp_path: Path) -> SegmentParams:
    model.save(tmp_path / "model")
    return SegmentParams(model=str(tmp_path / "model"))


def test_fields_keep_their_order_and_their_labels(
    model: SegmentationModel, params: SegmentParams, image: NDArray[np.uint8]
) -> None:
    inputs = Inputs({"b": image, "a": np.stack([image[::-1], image])})
    seen: list[tuple[int, int]] = []
    result = SegmentMicrographs().run(inputs, params, lambda *step: seen.append(step))
    names = ["b", "a_0000", "a_0001"]
    table = result.tables["fractions"]
    assert list(table["field"][::3]) == names == list(result.figures)
    expected = segment(model, image).labels
    np.testing.assert_array_equal(result.arrays["b_labels"], expected)
    np.testing.assert_array_equal(result.arrays["a_0001_labels"], expected)
    np.testing.assert_allclose(table["fraction"].reshape(3, 3).sum(axis=1), 1)
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_the_digest_follows_inputs_and_weights(
    model: SegmentationModel, params: SegmentParams, image: NDArray[np.uint8], tmp_path: Path
) -> None:
    first, again = (SegmentMicrographs().run(Inputs({"a": image}), params) for _ in range(2))
    assert digest_of(first) == digest_of(again)
    state = {key: value.clone() for key, value in model.network.state_dict().items()}
    try:
        for value in model.network.state_dict().values():
            if value.is_floating_point():
                value.mul_(torch.tensor(1.01))
        model.save(tmp_path / "other")
    finally:
        model.network.load_state_dict(state)
    other = SegmentMicrographs().run(
        Inputs({"a": image}), SegmentParams(model=str(tmp_path / "other"))
    )
    assert digest_of(other) != digest_of(first)


def test_warnings_name_the_metadata_that_differ(
    model: SegmentationModel, image: NDArray[np.uint8], tmp_path: Path
) -> None:
    known = Acquisition.of([image], {"staining": "none", "pixel_size_nm": 10.0})
    replace(model, card={"conditions": known.to_dict()}).save(tmp_path)
    params = SegmentParams(model=str(tmp_path))
    metadata = {"staining": ["none", "osmium"], "pixel_size_nm": 10.0}
    result = SegmentMicrographs().run(Inputs({"a": image, "b": image[::-1]}, metadata), params)
    assert sum("mirrored or turned" in warning for warning in result.warnings) == 1
    assert len(result.warnings) == 3
    assert "no alarm tells" in result.warnings[1]
    assert "staining = osmium was not in training" in result.warnings[2]


def test_a_pixel_size_that_cannot_be_resampled_is_refused(
    params: SegmentParams, image: NDArray[np.uint8]
) -> None:
    with pytest.raises(ValueError, match="within a factor 4 of the model's 10 nm, got 100 nm"):
        SegmentMicrographs().run(Inputs({"a": image}, {"pixel_size_nm": 100.0}), params)


def test_no_micrograph_is_refused(params: SegmentParams) -> None:
    with pytest.raises(ValueError, match="must be a micrograph to segment, got none"):
        SegmentMicrographs().run(Inputs({}), params)
