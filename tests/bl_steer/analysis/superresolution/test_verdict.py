"""What the analysis ``superres`` learns from a stack, repeats, and calls better."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bl_steer.analysis import digest_of, find_analysis, make_params
from bl_steer.analysis.superresolution import even_subset, isotropy
from bl_steer.analysis.superresolution.model import SuperResolutionModel
from bl_steer.analysis.superresolution.verdict import NETWORKS, verdict
from bl_steer.protocols import Inputs


def test_the_analysis_repeats_and_warns_of_a_wrong_pitch(
    label_model: SuperResolutionModel, labels: NDArray[np.uint8], tmp_path: Path
) -> None:
    folder = str(label_model.save(tmp_path))
    analysis = find_analysis("superres")
    params = make_params(analysis, {"model": folder, "n_phases": 2, "factor": 4})
    inputs = Inputs({"slices": labels[::4]}, {"pitch_nm": 40.0, "pixel_size_nm": 10.0})
    first, second = (analysis.run(inputs, params) for _ in range(2))
    assert digest_of(first) == digest_of(second)
    assert first.warnings == (first.provenance["limit"],)
    shares = first.tables["fractions"]
    np.testing.assert_allclose(
        shares["fraction_of_volume"], shares["fraction_of_slices"], atol=0.01
    )
    wrong = Inputs(inputs.arrays, {"pitch_nm": 80.0, "pixel_size_nm": 10.0})
    assert "pitch" in analysis.run(wrong, params).warnings[0]


def test_the_analysis_learns_from_the_stack_where_no_model_is_given(
    grey: NDArray[np.uint8],
) -> None:
    analysis = find_analysis("superres")
    params = make_params(analysis, {"factor": 2, "steps": 1, "blocks": 1, "channels": 4})
    inputs = Inputs({"slices": grey[::4]}, {"pitch_nm": 40.0, "pixel_size_nm": 10.0})
    result = analysis.run(inputs, params)
    assert result.arrays["volume"].shape == (21, 41, 41)
    assert result.provenance["weights"]


@pytest.mark.parametrize(
    ("measure", "networks", "expected"),
    [
        ("miou", 0.323, "like flat (mean IoU 0.323 against 0.321): train longer"),
        ("miou", 0.319, "like flat"),
        ("miou", 0.33, "better than flat (mean IoU 0.330 against 0.321)"),
        ("miou", 0.31, "not better than flat"),
        ("rms_error", 0.32, "like flat"),
        ("rms_error", 0.3, "better than flat"),
        ("rms_error", 0.33, "not better than flat"),
    ],
)
def test_a_method_is_better_beyond_a_margin_alone(
    measure: str, networks: float, expected: str
) -> None:
    scores = {"method": np.array([NETWORKS, "flat"]), measure: np.array([networks, 0.321])}
    assert verdict(scores).startswith(expected)


def test_a_model_is_taught_by_slices_spread_evenly() -> None:
    chosen = even_subset(np.arange(100)[:, None, None])
    assert len(chosen) == 32
    assert (chosen.min(), chosen.max()) == (0, 99)


def test_of_a_large_stack_on_disk_the_middle_is_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isotropy, "BOX_VOXELS", 16 * 10 * 10)
    monkeypatch.setattr(isotropy, "BOX_SLICES", 16)
    stack = np.arange(20 * 30 * 8).reshape(20, 30, 8)
    np.testing.assert_array_equal(isotropy.middle_box(stack, 2.0, 1), stack[2:18, 10:20])
    np.testing.assert_array_equal(isotropy.middle_box(stack, 5.0, 1), stack[2:18, 5:24])
