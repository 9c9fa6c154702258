"""The analysis ``superres`` with a model that is trained already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bl_steer.analysis import digest_of
from bl_steer.analysis.superresolution import SuperResolutionAnalysis, SuperResolutionParams
from bl_steer.analysis.superresolution.model import SuperResolutionModel
from bl_steer.protocols import AnalysisResult, Inputs

VOXEL = {"pitch_nm": 40.0, "pixel_size_nm": 10.0}


def super_resolved(slices: NDArray[Any], **params: Any) -> AnalysisResult:
    inputs = Inputs({"slices": slices}, VOXEL)
    return SuperResolutionAnalysis().run(inputs, SuperResolutionParams(**params))


def test_a_model_of_labels_brings_its_number_of_phases(
    label_model: SuperResolutionModel, labels: NDArray[np.uint8], tmp_path: Path
) -> None:
    label_model.save(tmp_path)
    slices = labels[::4, :24, :24]
    result = super_resolved(slices, model=str(tmp_path))
    asked = super_resolved(slices, model=str(tmp_path), n_phases=2)
    assert digest_of(result) == digest_of(asked)
    assert result.provenance["params"]["n_phases"] == 2
    assert result.tables["chords"]["phase"].tolist() == [0, 1]
    shares = [(slices == phase).mean() for phase in range(2)]
    np.testing.assert_allclose(result.tables["fractions"]["fraction_of_slices"], shares)


@pytest.mark.parametrize(
    ("kind", "n_phases", "learnt"), [("label", 3, "2 phases"), ("grey", 2, "grey levels")]
)
def test_another_number_of_phases_than_the_models_is_refused(
    kind: str,
    n_phases: int,
    learnt: str,
    labels: NDArray[np.uint8],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    model: SuperResolutionModel = request.getfixturevalue(f"{kind}_model")
    model.save(tmp_path)
    with pytest.raises(ValueError, match=f"which learnt {learnt}, got {n_phases}; leave it out"):
        super_resolved(labels[::4, :24, :24], model=str(tmp_path), n_phases=n_phases)


def test_slices_without_a_known_voxel_are_refused() -> None:
    inputs = Inputs({"slices": np.zeros((3, 20, 20), np.uint8)}, {"pitch_nm": 40.0})
    with pytest.raises(ValueError, match="slices must have pixel_size_nm, which their"):
        SuperResolutionAnalysis().run(inputs, SuperResolutionParams())


def test_other_arrays_than_one_stack_are_refused() -> None:
    inputs = Inputs({"slices": np.zeros((3, 20, 20)), "mask": np.zeros(1)}, VOXEL)
    with pytest.raises(ValueError, match=r"one array named 'slices', got \['slices', 'mask'\]"):
        SuperResolutionAnalysis().run(inputs, SuperResolutionParams())
