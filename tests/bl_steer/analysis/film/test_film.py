"""The analysis ``film``: what it tells of maps, what it assumes, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bl_steer.analysis.film import FilmMap, FilmParams
from bl_steer.diffraction import FrameAxes, peak_position
from bl_steer.processing.registry import make_params
from bl_steer.protocols import AnalysisResult, Inputs

Measured = Callable[[str, float], Any]
BRIGHT = ("multi-domain", 10.0)
EVERY = 13
"""Of the map's points that are used here."""


def inputs_of(maps: Any, *numbers: int) -> Inputs:
    """Return one or both maps of a film, at some of its points."""
    arrays = {"x": maps.x[::EVERY], "y": maps.y[::EVERY]}
    for end, number in zip(("", "_2"), numbers, strict=False):
        arrays |= {f"patterns{end}": maps.patterns[number, ::EVERY]}
        arrays |= {f"qx{end}": maps.axes.qx, f"qz{end}": maps.axes.qz}
    return Inputs(arrays, {"unit": "um", "axis_unit": "1/Å"}, {"files": ["map.npz"]})


def of_peak(table: Any, k: int, *names: str) -> Any:
    own = table["peak"] == k
    return np.stack([table[name][own] for name in names], axis=1)


@pytest.fixture(scope="module")
def both(measured: Measured) -> AnalysisResult:
    """Both azimuths of the film."""
    return FilmMap().run(inputs_of(measured(*BRIGHT), 0, 1), FilmParams(hkl="0,2,2;0,-2,2"))


def test_two_azimuths_tell_the_film_without_an_assumption(
    measured: Measured, both: AnalysisResult
) -> None:
    maps, result = measured(*BRIGHT), both
    points = result.tables["points"]
    names = ("x_ge", "relaxation", "tilt_deg")
    values = of_peak(points, 1, *names)
    errors = of_peak(points, 1, *(f"{name}_error" for name in names))
    off = np.abs(values - maps.truth[::EVERY])
    assert (np.median(off, axis=0) < [0.001, 0.005, 0.005]).all()
    assert 0.88 < (off <= 1.96 * errors).mean() < 0.99
    assert result.provenance["assumed"] == ""
    assert np.isnan(points["twist_deg"]).all()
    assert list(result.tables["peaks"]["n_points"]) == [len(maps.x[::EVERY])] * 2
    assert [w for w in result.warnings if "cannot be told apart" in w] == []
    assert any("the twist moves no peak of (0 2 2) and (0 -2 2)" in w for w in result.warnings)
    assert result.arrays["residual"].shape == (2, 33, 33)


def test_one_map_says_what_it_assumed_and_what_it_cannot_tell(measured: Measured) -> None:
    maps = measured(*BRIGHT)
    result = FilmMap().run(inputs_of(maps, 0), FilmParams())
    points, null = result.tables["points"], result.tables["null"]
    assert result.provenance["assumed"] == "R=0.9+-0.05"
    assert any("assumed: R=0.9+-0.05" in w for w in result.warnings)
    assert "(0 2 2) alone: +0.01 in x looks like +0.19 in R and +0.17° in the tilt" in str(
        null["meaning"][0]
    )
    # moved along the null direction, the assumed error of R is that of x and the tilt
    per_r = np.array([null[name][0] for name in ("x_ge", "tilt_deg")]) / null["relaxation"][0]
    errors = of_peak(points, 1, "x_ge_error", "tilt_deg_error")
    np.testing.assert_allclose(np.median(errors, axis=0), 0.05 * np.abs(per_r), rtol=0.1)
    known = FilmMap().run(inputs_of(maps, 0), FilmParams(assume="R=0.9"))
    assert np.median(of_peak(known.tables["points"], 1, "x_ge_error")) < 0.001


def test_a_shifted_zero_of_the_angles_is_undone_by_the_substrate(measured: Measured) -> None:
    maps = measured(*BRIGHT)
    inputs = inputs_of(maps, 0)
    shifted = {**inputs.arrays, "qx": maps.axes.qx + 0.001, "qz": maps.axes.qz - 0.001}
    params = FilmParams(assume="R=0.9")
    results = [FilmMap().run(i, params) for i in (inputs, replace(inputs, arrays=shifted))]
    here, there = (of_peak(r.tables["points"], 1, "x_ge", "tilt_deg") for r in results)
    np.testing.assert_allclose(there, here, atol=0.002)
    assert results[1].provenance["rotation_deg"][0] == pytest.approx(-0.0248, abs=0.001)
    assert any("q was turned by -0.02" in w and "Si does" in w for w in results[1].warnings)
    alone = FilmMap().run(inputs, FilmParams(substrate=False, peaks="x=0.18;x=0.45"))
    assert any("the zero of the angles is not checked" in w for w in alone.warnings)


def test_hot_pixels_and_zingers_under_the_peaks_are_left_out(measured: Measured) -> None:
    maps = measured(*BRIGHT)
    inputs = inputs_of(maps, 0)
    spoiled = inputs.arrays["patterns"].copy().reshape(-1, 33, 33)
    rng = np.random.default_rng(0)
    spoiled[:, 20, 17] += rng.poisson(400.0, len(spoiled))  # between the film's peaks
    spoiled[5::9, 10, 12] += 3000.0
    dirty = replace(inputs, arrays={**inputs.arrays, "patterns": spoiled.reshape(-1, 1089)})
    clean, same = (FilmMap().run(i, FilmParams(assume="R=0.9")) for i in (inputs, dirty))
    columns = ("counts", "x_ge", "tilt_deg")
    before, after = (of_peak(r.tables["points"], 1, *columns) for r in (clean, same))
    error = of_peak(clean.tables["points"], 1, *(f"{name}_error" for name in columns))
    assert (np.median(np.abs(after - before), axis=0) < np.median(error, axis=0)).all()
    assert (np.abs(after - before) < 6 * error).mean() > 0.99
    assert same.provenance["model_error"][0] < 0.02


def test_patterns_in_any_unit_give_the_same_film_and_honest_errors(measured: Measured) -> None:
    maps = measured(*BRIGHT)
    inputs = inputs_of(maps, 0)
    scaled = inputs.arrays["patterns"] / 50_000.0
    as_counts = replace(inputs, arrays={**inputs.arrays, "patterns": scaled})
    background = scaled + 1e-6 * np.sqrt(2.0)  # no multiple of anything any more
    as_numbers = replace(inputs, arrays={**inputs.arrays, "patterns": background})
    params = FilmParams(assume="R=0.9")
    here, counts, numbers = (FilmMap().run(i, params) for i in (inputs, as_counts, as_numbers))
    assert of_peak(counts.tables["points"], 1, "x_ge") == pytest.approx(
        of_peak(here.tables["points"], 1, "x_ge"), abs=1e-9
    )
    assert any("no counts: their noise is taken" in w for w in numbers.warnings)
    names = ("x_ge_error", "tilt_deg_error")
    ratio = of_peak(numbers.tables["points"], 1, *names) / of_peak(here.tables["points"], 1, *names)
    assert np.median(ratio) == pytest.approx(1.0, abs=0.25)


def test_a_map_of_means_with_their_variance_is_fitted_as_well_as_counts(measured: Measured) -> None:
    """As a grid in q gives them: cells of more and fewer pixels, scaled to the nominal beam."""
    maps = measured("noisy", 50.0)
    inputs = inputs_of(maps, 0)
    rng = np.random.default_rng(5)
    counts = np.asarray(inputs.arrays["patterns"])
    n, beam = rng.integers(1, 12, counts.shape[1]), rng.uniform(0.7, 1.4, (len(counts), 1))
    found = rng.binomial(counts.astype(int), n / 12.0)
    means = {"patterns": found * beam / n, "variance": found * beam**2 / n**2}
    params = FilmParams(assume="R=0.9", peaks="x=0.18;x=0.45")
    here = FilmMap().run(inputs, params)
    there = FilmMap().run(replace(inputs, arrays={**inputs.arrays, **means}), params)
    assert there.provenance["model_error"] == [0.0]
    assert not any("no counts" in w or "deviate" in w for w in there.warnings)
    errors = [np.nanmedian(of_peak(r.tables["points"], 0, "x_ge_error")) for r in (here, there)]
    assert errors[1] == pytest.approx(errors[0] * np.sqrt(2.0), rel=0.25)  # half of the counts
    off = of_peak(there.tables["points"], 0, "x_ge") - of_peak(here.tables["points"], 0, "x_ge")
    assert (np.abs(off) < 3.0 * errors[1]).mean() > 0.97


def test_peaks_that_are_too_faint_say_nothing_of_the_film(measured: Measured) -> None:
    maps = measured("noisy", 50.0)
    result = FilmMap().run(inputs_of(maps, 0), FilmParams(significance=12.0))
    points = result.tables["points"]
    own = points["peak"] == 1
    faint = points["counts"][own] < 12.0 * points["counts_error"][own]
    assert faint.any()
    assert np.isnan(points["x_ge"][own][faint]).all()
    assert np.isfinite(points["x_ge"][own][~faint]).all()


def lopsided(tail: float, *, still: float = 3000.0, sigma: float = 0.004) -> tuple[Inputs, Any]:
    """Return a map of a peak with a share of its counts in a tail towards more Ge, and the x."""
    axis = np.linspace(2.24, 2.345, 33)
    mesh = np.stack(FrameAxes(axis, axis.copy()).mesh(), axis=-1)
    x = np.linspace(0.28, 0.32, 20)

    def gaussian(centre: Any, sigma: float) -> Any:
        density = np.exp(-0.5 * ((mesh - centre) ** 2).sum(axis=1) / sigma**2)
        return density * (axis[1] - axis[0]) ** 2 / (2.0 * np.pi * sigma**2)

    drawn = []
    substrate = still * gaussian(peak_position(0.0, 1.0), sigma)
    for ge in x:
        centre = np.array(peak_position(ge, 0.9))
        beside = centre * (1.0 - 0.014 / np.linalg.norm(centre))
        film = (1.0 - tail) * gaussian(centre, 0.006) + tail * gaussian(beside, 0.009)
        drawn.append(20_000 * film + substrate + 0.5)
    patterns = np.random.default_rng(0).poisson(drawn).astype(float)
    arrays = {"patterns": patterns, "x": np.arange(20.0), "y": np.zeros(20), "qx": axis, "qz": axis}
    return Inputs(arrays, {}, {}), x


@pytest.mark.parametrize("tail", [0.0, 0.1, 0.2])
def test_a_tail_to_one_side_is_told_and_in_the_intervals(tail: float) -> None:
    inputs, x = lopsided(tail)
    result = FilmMap().run(inputs, FilmParams(assume="R=0.9"))
    points = result.tables["points"]
    off = np.abs(points["x_ge"] - x)
    assert (off < 1.96 * points["x_ge_error"]).mean() > 0.85
    assert np.median(points["x_ge_error"]) < (0.02 if tail else 0.0006)
    told = [w for w in result.warnings if "tail to one side: its maximum is off its centroid" in w]
    assert len(told) == (1 if tail else 0)


def test_a_faint_substrate_makes_the_zero_of_the_angles_uncertain() -> None:
    params = FilmParams(assume="R=0.9")
    results = [FilmMap().run(lopsided(0.0, still=n)[0], params) for n in (3000.0, 20.0)]
    bright, faint = (np.median(r.tables["points"]["tilt_deg_error"]) for r in results)
    assert faint > 1.5 * bright


def test_a_substrate_that_no_shape_fits_is_told_where_nothing_is_left() -> None:
    result = FilmMap().run(lopsided(0.0, sigma=0.0012)[0], FilmParams(assume="R=0.9"))
    assert not np.isfinite(result.tables["points"]["x_ge"]).any()
    assert any(
        "tells no film at any point: its counts are less than 7" in w for w in result.warnings
    )


def small_map(**changes: Any) -> Inputs:
    """Return a map of one peak at 8 points."""
    axis = np.linspace(2.24, 2.345, 33)
    axes = FrameAxes(axis, axis.copy())
    offset = np.stack(axes.mesh(), axis=-1) - np.array(peak_position(0.3, 0.9))
    drawn = 400.0 * np.exp(-0.5 * (offset**2).sum(axis=1) / 0.008**2) + 2.0
    patterns = np.random.default_rng(0).poisson(np.tile(drawn, (8, 1))).astype(float)
    arrays = {"patterns": patterns, "x": np.arange(8.0), "y": np.zeros(8), "qx": axis, "qz": axis}
    return Inputs({k: v for k, v in (arrays | changes).items() if v is not None}, {}, {})


NAN = np.full((8, 1089), np.nan)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"qx": None}, r"axes of q in 1/Å, got none for patterns; reduce the frames to q first"),
        ({"x": None}, r"finite x and y, got x missing; give the place of each"),
        ({"y": np.full(8, np.nan)}, r"finite x and y, got y with NaN"),
        ({"qx": np.linspace(2.2, 2.3, 3)}, r"qx must have at least 8 pixels, got 3"),
        ({"qz": np.geomspace(1.0, 9.0, 33)}, r"qz must be equally spaced, got steps of 0\.07"),
        ({"qz": np.linspace(2.2, 2.3, 30)}, r"got shape \(8, 1089\) for 8 points of 30 x 33"),
        ({"patterns": np.zeros((8, 1089))}, r"patterns must hold counts, got a sum of 0; check"),
        ({"patterns": -np.ones((8, 1089))}, r"patterns must hold counts, got a sum of -8712"),
        ({"patterns": NAN}, r"finite numbers, got infinity, or a point without any; leave out"),
        ({"patterns_2": NAN}, r"got 2 maps and 1 reflections \(\(0 2 2\)\); give hkl of each"),
        ({"variance": np.ones((8, 9))}, r"variance must have the shape of patterns, got \(8, 9\)"),
        (
            {"patterns": np.ones((3, 1089)), "x": np.arange(3.0), "y": np.arange(3.0)},
            r"at least 5 valid points, got 3; the shapes of the peaks are learned",
        ),
        ({"patterns": np.ones((8, 1089))}, r"peaks must stand out of the mean pattern, got none"),
    ],
)
def test_bad_maps_are_refused_in_one_line_with_value_and_remedy(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        FilmMap().run(small_map(**changes), FilmParams())
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) <= 300


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"hkl": "0,2"}, "a reflection must be h,k,l with l above 0"),
        ({"peaks": "box:1,2,3,4"}, "a peak must be written by composition and relaxation"),
        ({"peaks": "x=1.5"}, "x of a reference must lie in 0 … 1, got 1.5"),
        ({"peaks": "x=.1;x=.2;x=.3;x=.4;x=.5"}, "there must be at most 4 peaks, got 5"),
        ({"assume": "tilt"}, "what is assumed must be one of x, R, tilt, tilt_across, twist"),
        ({"assume": "R=2"}, "R must lie in -0.1 … 1.2, and its error be 0 or above"),
        ({"assume": "R=0.9+--1"}, "R must lie in -0.1 … 1.2, and its error be 0 or above"),
    ],
)
def test_bad_parameters_are_refused_before_anything_is_fitted(
    params: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make_params(FilmMap(), params)


def test_peaks_outside_the_map_and_assumptions_that_do_not_help_are_refused() -> None:
    with pytest.raises(ValueError, match=r"a peak must lie in the map, got x=0\.3,R=0\.9 at q_par"):
        FilmMap().run(small_map(), FilmParams(hkl="0,4,4", peaks="x=0.3"))
    with pytest.raises(ValueError, match=r"got \(0 2 2\) with twist assumed; assume one of them"):
        FilmMap().run(small_map(), FilmParams(assume="twist=0", substrate=False))


def test_parameters_are_kept_in_their_written_form() -> None:
    params = FilmParams(hkl="0,2,2; 0,-2,2", peaks="x=.45", assume="R = 1.04 ± 0.02")
    assert (params.hkl, params.peaks) == ("0,2,2;0,-2,2", "x=0.45,R=0.9")
    assert params.assume == "R=1.04+-0.02"


def test_the_figures_are_drawn(both: AnalysisResult, tmp_path: Path) -> None:
    assert sorted(both.figures) == ["maps", "patterns", "profile"]
    for name, draw in both.figures.items():
        draw().savefig(tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000
    labels = [ax.get_title() for ax in both.figures["maps"]().axes]
    assert any(label.startswith("median 0.45") for label in labels)
