"""Maps that contradict each other, or what was assumed, are told; so is a zero without a hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bl_steer.analysis.film import FilmMap, FilmParams
from bl_steer.diffraction import FrameAxes, Reflection, positions
from bl_steer.protocols import AnalysisResult, Array, Inputs

Measured = Callable[[str, float], Any]
BOTH = "0,2,2;0,-2,2"
EVERY = 3
"""Of rows and columns of the map's points that are used here: 11 × 11."""


@pytest.fixture(scope="module")
def maps(measured: Measured) -> dict[str, Array]:
    """Both azimuths of a film, on a square grid of points."""
    film = measured("multi-domain", 10.0)
    rows = np.arange(31 * 31).reshape(31, 31)[::EVERY, ::EVERY].ravel()
    first, second = film.patterns[:, rows]
    axes = {f"{name}{end}": q for end in ("", "_2") for name, q in vars_of(film.axes).items()}
    return {"x": film.x[rows], "y": film.y[rows], "patterns": first, "patterns_2": second} | axes


def vars_of(axes: FrameAxes) -> dict[str, Array]:
    return {"qx": axes.qx, "qz": axes.qz}


def fitted(arrays: dict[str, Array], **params: Any) -> AnalysisResult:
    return FilmMap().run(Inputs(arrays, {}, {}), FilmParams(**params))


def one_of(maps: dict[str, Array]) -> dict[str, Array]:
    return {name: values for name, values in maps.items() if not name.endswith("_2")}


def test_maps_that_agree_have_a_chi_square_of_about_one(maps: dict[str, Array]) -> None:
    result = fitted(maps, hkl=BOTH)
    points, peaks = result.tables["points"], result.tables["peaks"]
    own = points["peak"] == 1
    assert 0.2 < np.median(points["chi2"][own]) / 0.455 < 1.8  # the median of χ² of one freedom
    assert peaks["chi2"][1] == pytest.approx(np.mean(points["chi2"][own]))
    assert set(points["reason"]) == {""}
    assert all("not told" in warning for warning in result.warnings)


@pytest.mark.parametrize(
    ("order", "cause"),
    [
        (lambda square: square.T, "; with x and y exchanged r is 1.00"),
        (lambda square: square[:, ::-1], "; with x turned round r is 1.00"),
        (lambda square: square[::-1, ::-1], "; in reversed order r is 1.00"),
        (lambda square: np.random.default_rng(3).permutation(square.ravel()), "not the same"),
    ],
)
def test_points_in_another_order_are_told_with_the_one_that_fits(
    maps: dict[str, Array], order: Callable[[Array], Array], cause: str
) -> None:
    rows = order(np.arange(121).reshape(11, 11)).ravel()
    result = fitted(maps | {"patterns_2": maps["patterns_2"][rows]}, hkl=BOTH)
    assert (result.tables["peaks"]["chi2"] > 5.0).all()
    for k in (0, 1):
        said = [w for w in result.warnings if w.startswith(f"peak {k}: ")]
        assert any("the maps do not agree on its place, χ² is" in w for w in said)
        assert any("its counts in maps 1 and 2 do not go together (r =" in w for w in said)
        assert any(w.endswith(cause) for w in said)


def test_one_azimuth_measured_twice_is_told(maps: dict[str, Array]) -> None:
    again = np.random.default_rng(5).poisson(np.maximum(maps["patterns"], 0.0)).astype(float)
    for second in (maps["patterns"], again):
        result = fitted(maps | {"patterns_2": second}, hkl=BOTH)
        said = [w for w in result.warnings if "lies at one place in maps 1 and 2" in w]
        assert len(said) == 2
        assert all("if the sample was not turned, R and x are wrong" in w for w in said)


def test_maps_that_were_turned_by_other_angles_are_told(maps: dict[str, Array]) -> None:
    turn = 2.31 * np.radians(0.05)
    off = {"qx_2": maps["qx_2"] + turn, "qz_2": maps["qz_2"] - turn}
    result = fitted(maps | off, hkl=BOTH)
    assert any("turned by -0.000° and -0.050° onto the substrate" in w for w in result.warnings)


@pytest.mark.parametrize(
    ("assume", "text"),
    [
        ("R=0.3", "peak 1: R=0.3 was assumed, but the maps tell 0.89"),
        ("x=0.6+-0.01", "peak 1: x=0.6 was assumed, but the maps tell 0.45"),
    ],
)
def test_an_assumption_that_two_maps_contradict_is_told(
    maps: dict[str, Array], assume: str, text: str
) -> None:
    assert any(text in w for w in fitted(maps, hkl=BOTH, assume=assume).warnings)
    agreed = fitted(maps, hkl=BOTH, assume="R=0.89+-0.03").warnings
    assert not any("was assumed, but" in w for w in agreed)


def test_an_assumption_by_which_the_film_leans_everywhere_is_told(maps: dict[str, Array]) -> None:
    (said,) = [w for w in fitted(one_of(maps), assume="R=0.3").warnings if "leans by" in w]
    assert "peak 1 leans by -0.59° at all points by what was assumed; without a lean, x" in said
    both = fitted(one_of(maps), assume="R=0.9+-0.001;x=0.6+-0.001")
    assert any("its places and what was assumed do not agree, χ² is" in w for w in both.warnings)
    fine = fitted(one_of(maps)).warnings
    assert not any("leans by" in w or "do not agree" in w for w in fine)
    assert any("which these maps cannot test (χ² is NaN)" in w for w in fine)


@pytest.mark.parametrize("zero_deg", [0.2, 0.5, -1.0])
def test_a_zero_that_is_far_off_is_found_on_the_substrate(
    maps: dict[str, Array], zero_deg: float
) -> None:
    turn = 2.31 * np.radians(zero_deg)
    one = one_of(maps)
    here = fitted(one, assume="R=0.9")
    there = fitted(one | {"qx": one["qx"] + turn, "qz": one["qz"] - turn}, assume="R=0.9")
    assert there.provenance["rotation_deg"][0] == pytest.approx(-zero_deg, abs=0.003)
    medians = [result.tables["peaks"]["x_ge"] for result in (here, there)]
    np.testing.assert_allclose(*medians, atol=0.002)


def film_alone(hkl: str, *, still: float = 0.0, half: float = 0.06, sigma: float = 0.006) -> Any:
    """Return a map of one peak of a film, around it, with a substrate's of so many counts."""
    states = np.zeros((21, 5))
    states[:20, 0], states[:20, 1] = np.linspace(0.28, 0.32, 20), 0.9
    states[20, 1] = 1.0
    q = positions(states, [Reflection.parse(hkl)])[:, 0, :2]
    axes = FrameAxes(*(np.linspace(c - half, c + half, 33) for c in q[:20].mean(axis=0)))
    mesh = np.stack(axes.mesh(), axis=-1)
    area = (axes.qx[1] - axes.qx[0]) ** 2

    def drawn(centre: Array) -> Array:
        density = np.exp(-0.5 * ((mesh - centre) ** 2).sum(axis=1) / sigma**2)
        return np.asarray(area * density / (2.0 * np.pi * sigma**2))

    rates = [20_000 * drawn(centre) + still * drawn(q[20]) + 0.5 for centre in q[:20]]
    patterns = np.random.default_rng(0).poisson(rates).astype(float)
    return {"patterns": patterns, "x": np.arange(20.0), "y": np.zeros(20)} | vars_of(axes)


@pytest.mark.parametrize("hkl", ["0,2,2", "2,2,4"])
@pytest.mark.parametrize(
    ("half", "sigma", "text"),
    [(0.03, 0.008, "must lie in the map|must stand out"), (0.06, 0.006, "must stand out of the")],
)
def test_a_map_without_substrate_is_not_aligned_on_something_else(
    hkl: str, half: float, sigma: float, text: str
) -> None:
    arrays = film_alone(hkl, half=half, sigma=sigma)
    with pytest.raises(ValueError, match=f"the substrate's .*({text}).*take substrate=False"):
        fitted(arrays, hkl=hkl, assume="R=0.9")
    result = fitted(arrays, hkl=hkl, assume="R=0.9", substrate=False)
    assert float(result.tables["peaks"]["x_ge"][-1]) == pytest.approx(0.3, abs=0.002)


def test_a_substrate_of_few_counts_is_enough() -> None:
    result = fitted(film_alone("0,2,2", still=30.0), assume="R=0.9")
    assert float(result.tables["peaks"]["x_ge"][0]) == pytest.approx(0.3, abs=0.003)


def test_two_hints_for_one_peak_are_told(maps: dict[str, Array]) -> None:
    one = one_of(maps)
    with pytest.raises(ValueError, match=r"further apart than their width.*x=0\.45,R=0\.9 and x=0"):
        fitted(one, peaks="x=0.18;x=0.45;x=0.46")
    warnings = fitted(one, peaks="x=0.18;x=0.42;x=0.50").warnings
    assert any("peaks 1 and 2 lie 0.00" in w and "they may be one" in w for w in warnings)


def test_a_peak_that_no_hint_names_is_pointed_to(maps: dict[str, Array]) -> None:
    result = fitted(one_of(maps), peaks="x=0.18", assume="R=0.9")
    points = result.tables["points"]
    assert np.isnan(points["x_ge"]).all()
    assert set(points["reason"]) == {"faint: counts below 7 times their error"}
    assert any(
        "least at q_par 2.2" in w and "a peak may be that is not named" in w
        for w in result.warnings
    )
    assert any("most of it is the fit's, which is off by" in w for w in result.warnings)


@pytest.mark.parametrize(
    ("factor", "unit"), [(10.0, "1/nm"), (0.5 / np.pi, "1/Å without 2π"), (5 / np.pi, "1/nm w")]
)
def test_axes_in_another_unit_are_named(maps: dict[str, Array], factor: float, unit: str) -> None:
    one = one_of(maps)
    one |= {"qx": factor * one["qx"], "qz": factor * one["qz"]}
    for params in ({}, {"peaks": "x=0.45"}):
        with pytest.raises(ValueError, match=f"where Si-Ge has 3.14.*seems to be in {unit}"):
            fitted(one, **params)


def test_a_point_with_nothing_but_bad_pixels_is_named(maps: dict[str, Array]) -> None:
    one = one_of(maps)
    patterns = one["patterns"].copy()
    patterns[3], patterns[:, 100] = np.nan, 7e9
    with pytest.raises(ValueError, match="got point 3 without any but in bad pixels; leave out"):
        fitted(one | {"patterns": patterns})
