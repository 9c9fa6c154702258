from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from bl_steer.analysis.superresolution import from_files
from bl_steer.analysis.superresolution.decimation import Decimation
from bl_steer.analysis.superresolution.isotropy import measure_isotropy
from bl_steer.analysis.superresolution.model import SuperResolutionModel
from bl_steer.analysis.superresolution.resolution import (
    first_below,
    fourier_correlation,
    ring_resolution,
)
from bl_steer.analysis.superresolution.training import TrainingSettings
from bl_steer.analysis.superresolution.validation import checked, leave_out
from bl_steer.analysis.superresolution.verdict import check_warnings
from bl_steer.cli import main

VOXEL_NM = (40.0, 10.0, 10.0)


def structure(seed: int, sigma: tuple[float, float, float]) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).standard_normal((81, 81, 81))
    return (gaussian_filter(noise, sigma, mode="wrap") > 0).astype(np.uint8)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n_phases", [None, 2])
def test_an_isotropic_stack_gives_no_warning(seed: int, n_phases: int | None) -> None:
    found = measure_isotropy(structure(seed, (3, 3, 3))[::4], VOXEL_NM, n_phases=n_phases)
    assert found.warnings == ()
    np.testing.assert_allclose(found.chords["ratio"], 1, atol=0.12)


def test_a_stretched_structure_gives_a_warning() -> None:
    found = measure_isotropy(structure(1, (6, 3, 3))[::4], VOXEL_NM, n_phases=2)
    assert len(found.warnings) == 2
    assert "along z" in found.warnings[0]
    assert found.chords["ratio"].min() > 1.2
    assert not any("aside" in line for line in found.warnings)  # that would shorten chords


def test_slices_aside_of_each_other_are_named_before_the_sample() -> None:
    slices = structure(1, (3, 3, 3))[::4]
    by = np.random.default_rng(2).normal(0, 3, (len(slices), 2)).round().astype(int).tolist()
    aside = np.stack([np.roll(s, d, (0, 1)) for s, d in zip(slices, by, strict=True)])
    found = measure_isotropy(aside, VOXEL_NM, n_phases=2)
    assert found.chords["ratio"].max() < 0.9
    for line in found.warnings:
        assert 0 < line.index("the slices lie aside of each other") < line.index("the sample is")


def test_phases_are_named_where_their_names_are_known() -> None:
    slices = structure(1, (6, 3, 3))[::4]
    found = measure_isotropy(slices, VOXEL_NM, n_phases=2, names=("void", "oxide"))
    assert found.chords["phase"].tolist() == ["void", "oxide"]
    assert set(found.correlation["phase"]) == {"void", "oxide"}
    assert found.warnings[1].startswith(("chords of void are", "chords of oxide are"))


def test_a_wrong_pitch_gives_a_warning() -> None:
    found = measure_isotropy(structure(1, (3, 3, 3))[::4], (80.0, 10.0, 10.0), n_phases=2)
    assert "pitch or pixel size are wrong" in found.warnings[0]


def test_a_pitch_between_pixels_is_allowed() -> None:
    found = measure_isotropy(structure(1, (3, 3, 3))[::4], (42.0, 10.0, 10.0))
    assert found.correlation["lag_nm"][0] == 42.0


def test_slices_that_are_left_out_are_predicted_better_than_by_the_baselines(
    label_model: SuperResolutionModel,
) -> None:
    # The structure of the fixtures at the plane's own pitch: every second plane is left out.
    fine = (
        gaussian_filter(
            np.random.default_rng(3).standard_normal((21, 61, 61)), (1.75, 3.5, 3.5), mode="wrap"
        )
        > 0
    ).astype(np.uint8)
    half = label_model.settings.model_copy(
        update={
            "steps": 60,
            "decimation": label_model.settings.decimation.model_copy(update={"pitch_px": 2.0}),
        }
    )
    labels = leave_out(fine, half, n_phases=2)
    scores = dict(zip(labels["method"].tolist(), labels["miou"].tolist(), strict=True))
    assert scores["super-resolved"] > scores["nearest"]
    grey = leave_out(fine * 100.0, half)
    errors = dict(zip(grey["method"].tolist(), grey["rms_error"].tolist(), strict=True))
    assert errors["super-resolved"] < errors["nearest"]


def test_leaving_out_needs_five_slices(label_model: SuperResolutionModel) -> None:
    with pytest.raises(ValueError, match=r"must have 5 slices .* got 4"):
        leave_out(np.zeros((4, 30, 30), np.uint8), label_model.settings, n_phases=2)


def test_the_correlation_finds_the_frequency_where_noise_begins() -> None:
    rng = np.random.default_rng(0)
    shared = gaussian_filter(rng.standard_normal((48, 48, 48)), 2.0, mode="wrap")
    shared /= shared.std()
    first, second = (shared + 0.1 * rng.standard_normal(shared.shape) for _ in range(2))
    found = fourier_correlation(first, second, (10.0, 10.0, 10.0))
    # FSC = S / (S + N) with S = (4π σ²)^1.5 exp(-(2π f σ)²) and N = .01 a voxel: 1/7 at S = N / 6.
    height = (4 * np.pi * 2.0**2) ** 1.5 / 0.01
    expected = 2 * np.pi * 20.0 / np.sqrt(np.log(6 * height))
    assert found.correlation[1] > 0.95
    assert found.resolution_nm == pytest.approx(expected, rel=0.25)


def test_equal_volumes_correlate_at_all_frequencies() -> None:
    one = np.random.default_rng(0).standard_normal((20, 24))
    found = fourier_correlation(one, one, (5.0, 5.0))
    np.testing.assert_allclose(found.correlation, 1.0)
    assert np.isnan(found.resolution_nm)


def test_blurred_planes_resolve_less() -> None:
    planes = np.random.default_rng(0).standard_normal((4, 96, 96))
    noisy = planes + 0.3 * np.random.default_rng(1).standard_normal(planes.shape)
    coarse = gaussian_filter(planes, (0, 2, 2)) + 0.1 * (noisy - planes)
    assert np.isnan(ring_resolution(noisy, planes))
    assert 3 < ring_resolution(coarse, planes) < 10


def test_the_first_shell_says_nothing_of_the_resolution() -> None:
    frequency = np.array([0.01, 0.02, 0.04, 0.05])
    assert first_below(frequency, np.array([0.0, 0.9, 0.14, 0.0])) == 25.0
    assert first_below(frequency, np.array([0.0, 0.4, 0.9, 0.0]), 0.5) == 50.0
    assert np.isnan(first_below(frequency, np.array([0.0, 0.9, 0.9, 0.9])))


@pytest.mark.parametrize("shapes", [((8, 8), (8, 9), (1.0, 1.0)), ((8, 8), (8, 8), (1.0,))])
def test_volumes_that_do_not_belong_together_are_refused(shapes: tuple[Any, ...]) -> None:
    first, second, voxel = shapes
    with pytest.raises(ValueError, match="must have one shape and an edge for each axis"):
        fourier_correlation(np.zeros(first), np.zeros(second), voxel)


def test_what_no_number_tells_is_said_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plane = np.random.default_rng(0).integers(0, 255, (1, 36, 36)).astype(np.uint8)
    np.save(tmp_path / "same.npy", np.repeat(plane, 7, axis=0))
    sizes = ["--pitch-nm", "40", "--pixel-size-nm", "10"]
    network = ["--steps", "1", "--channels", "4", "--blocks", "1", "--factor", "2"]
    assert main(["superres", "check", str(tmp_path / "same.npy"), *sizes, *network]) == 0
    told = capsys.readouterr().out
    assert "resolution_px -" in told
    assert "agree down to the pixel" in told
    assert "longer than the stack (280 nm) along z" in told
    assert "nan" not in told


def test_a_run_says_that_its_model_has_shown_no_gain_on_the_stack_it_learnt_from(
    labels: NDArray[np.uint8], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 2, (9, 40, 40)).astype(np.uint8)
    settings = TrainingSettings(
        factor=2, decimation=Decimation(pitch_px=4), blocks=1, channels=4, steps=4
    )
    for name, slices in (("noise", noise), ("blobs", labels[::4])):
        np.save(tmp_path / f"{name}.npy", slices)
        where: Any = (tmp_path / f"{name}.npy", tmp_path / f"{name}_model")
        trained = from_files.train(where[0], settings, (4.0, 1, 1), n_phases=2, out=where[1])
        ran = from_files.run(
            *where, (4.0, 1.0, 1.0), keep_fractions=True, out=tmp_path / f"{name}_fine"
        )
        assert trained["check"]["verdict"]
        for warnings in (trained["warnings"], ran["warnings"]):
            said = [line for line in warnings if line.startswith("of slices left out")]
            assert bool(said) == (not trained["check"]["better"])
    assert SuperResolutionModel.load(tmp_path / "noise_model").card["check"]["better"] is False


def test_too_few_or_too_small_slices_are_left_unchecked(grey_model: SuperResolutionModel) -> None:
    assert checked(grey_model, np.zeros((4, 40, 40), np.uint8)) is grey_model
    assert checked(grey_model, np.zeros((9, 20, 40), np.uint8)) is grey_model
    assert list(check_warnings(grey_model.card)) == []
