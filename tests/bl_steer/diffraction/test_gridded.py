"""Frames to maps in reciprocal space, against xrayutilities, histograms and closed forms."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bl_steer.diffraction import Detector, Goniometer, GriddedFrames, QGrid, goniometer

CIRCLES = {"eta": 0.0, "chi": 0.0, "phi": 0.0, "nu": 24.88, "delta": 24.16}
MU = 2.0 + np.linspace(-1.0, 1.0, 21)
GRID = QGrid((2.24, 2.345, 33), (2.26, 2.512, 29))
DETECTOR = Detector((64, 48), ("z-", "x+"), (0.44, 0.58), 600.0, (31.2, 24.7))
SURFACE = goniometer("4S+2D", detector=DETECTOR)


def frames_of(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).poisson(3.0, shape).astype(np.int32)


FRAMES = frames_of((len(MU), 64, 48))


def gridded(**settings: Any) -> GriddedFrames:
    return GriddedFrames(SURFACE, GRID, angles=CIRCLES, **settings)


def edges(span: tuple[float, float, int]) -> np.ndarray:
    step = (span[1] - span[0]) / (span[2] - 1)
    return span[0] - 0.5 * step + step * np.arange(span[2] + 1)


def histogram(g: Goniometer, grid: QGrid, weights: np.ndarray) -> np.ndarray:
    """Return the sum of each cell, as numpy's histogram has it."""
    along, across, normal = g.components(g.q({**CIRCLES, "mu": MU}))
    q_par = np.copysign(np.hypot(along, across), along)
    return np.histogram2d(
        normal.ravel(),
        q_par.ravel(),
        bins=[edges(grid.q_perp), edges(grid.q_par)],
        weights=np.broadcast_to(weights, normal.shape).ravel(),
    )[0]


def test_sums_counts_and_means_are_those_of_a_histogram() -> None:
    point = gridded().begin()
    point.add(FRAMES, angles=MU)
    sums, n = histogram(SURFACE, GRID, FRAMES), histogram(SURFACE, GRID, np.ones(1))
    np.testing.assert_array_equal(point.n_pixels, n)
    np.testing.assert_array_equal(point.sums, sums)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(point.mean, sums / n)
        np.testing.assert_allclose(point.variance, sums / n**2)
    assert 0 < (n == 0).sum() < n.size
    assert np.isnan(point.mean[n == 0]).all()


def test_maps_are_those_of_xrayutilities_but_for_its_narrow_border_cells() -> None:
    xu = pytest.importorskip("xrayutilities", reason="it is in the extra dev")
    conversion = xu.QConversion(["x+", "z+", "y+", "z+"], ["z+", "x+"], [0, 1, 0], en=11000.0)
    conversion.init_area(
        *("z-", "x+", 31.2, 24.7, 64, 48), distance=600.0, pwidth1=0.44, pwidth2=0.58
    )
    q_x, q_y, q_z = conversion.area(MU, 0.0, 0.0, 0.0, CIRCLES["nu"], CIRCLES["delta"])
    gridder = xu.Gridder2D(GRID.shape[1], GRID.shape[0])
    gridder.dataRange(*GRID.q_par[:2], *GRID.q_perp[:2], fixed=True)
    gridder(np.hypot(q_x, q_y), q_z, FRAMES)
    pattern = gridded().reduce(FRAMES, scales=np.ones(len(MU)), angles=MU).reshape(GRID.shape)
    inner = (slice(1, -1), slice(1, -1))
    np.testing.assert_allclose(np.nan_to_num(pattern)[inner], gridder.data.T[inner], rtol=1e-12)


def test_three_dimensions_have_the_sums_of_a_histogram() -> None:
    grid = replace(GRID, q_across=(-0.1, 0.1, 7))
    g = SURFACE.facing({**CIRCLES, "mu": 2.0})
    point = GriddedFrames(g, grid, angles=CIRCLES).begin()
    point.add(FRAMES, angles=MU)
    along, across, normal = g.components(g.q({**CIRCLES, "mu": MU}))
    sums, _ = np.histogramdd(
        [normal.ravel(), across.ravel(), along.ravel()],
        bins=[edges(span) for span in grid.spans],
        weights=FRAMES.ravel(),
    )
    assert point.sums.shape == (29, 7, 33)
    np.testing.assert_array_equal(point.sums, sums)
    with pytest.raises(ValueError, match="a map in two dimensions, got a grid of"):
        _ = grid.axes


def test_frames_added_one_at_a_time_give_the_map_of_all_from_the_table_too() -> None:
    reduction = gridded()
    scales = np.linspace(0.5, 2.0, len(MU))
    at_once = reduction.reduce(FRAMES, scales=scales, angles=MU)
    point = reduction.begin()
    for mu, frame, scale in zip(MU, FRAMES, scales, strict=True):
        point.add(frame, angles=mu, scale=scale)
    assert point.n_frames == len(MU)
    np.testing.assert_allclose(point.mean.ravel(), at_once, rtol=1e-12)
    again = reduction.reduce(FRAMES, scales=scales, angles={"mu": MU})
    np.testing.assert_array_equal(again, at_once)


def test_a_table_that_holds_nothing_changes_no_result() -> None:
    one = gridded().reduce(FRAMES, scales=np.ones(len(MU)), angles=MU)
    other = gridded(table_bytes=0)
    for _ in range(2):
        np.testing.assert_array_equal(other.reduce(FRAMES, scales=np.ones(len(MU)), angles=MU), one)


def test_other_angles_give_another_map() -> None:
    reduction = gridded()
    one = reduction.reduce(FRAMES, scales=np.ones(len(MU)), angles=MU)
    other = reduction.reduce(FRAMES, scales=np.ones(len(MU)), angles=MU + 0.3)
    assert not np.array_equal(one, other, equal_nan=True)
    moved = reduction.reduce(
        FRAMES, scales=np.ones(len(MU)), angles={"mu": MU, "delta": 24.16 + 0 * MU + 0.2}
    )
    assert not np.array_equal(one, moved, equal_nan=True)


@settings(deadline=None, max_examples=20)
@given(st.floats(0.01, 100.0), st.integers(0, 2**31))
def test_a_weaker_beam_leaves_the_mean_and_raises_the_variance(scale: float, seed: int) -> None:
    frames = frames_of(FRAMES.shape, seed)
    nominal, weak = gridded().begin(), gridded().begin()
    nominal.add(frames, angles=MU)
    weak.add(frames, angles=MU, scale=scale)
    np.testing.assert_allclose(weak.mean, nominal.mean * scale, rtol=1e-9)
    np.testing.assert_allclose(weak.variance, nominal.variance * scale**2, rtol=1e-9)


def test_the_variance_is_that_of_repeated_measurements() -> None:
    rng = np.random.default_rng(5)
    rates = rng.uniform(0.5, 4.0, FRAMES.shape)
    flat = rng.uniform(0.5, 1.5, FRAMES.shape[1:])
    reduction = gridded(flat=flat)
    means, variances = [], []
    for _ in range(150):
        point = reduction.begin()
        point.add(rng.poisson(rates), angles=MU, scale=1.7)
        means.append(point.mean)
        variances.append(point.variance)
    seen = ~np.isnan(means[0])
    ratio = np.var(means, axis=0)[seen] / np.mean(variances, axis=0)[seen]
    assert np.median(ratio) == pytest.approx(1.0, abs=0.03)


def test_masked_pixels_and_those_without_a_value_are_not_counted() -> None:
    mask = np.zeros((64, 48), dtype=bool)
    mask[20:30, 10:20] = True
    by_mask = gridded(mask=mask).begin()
    sentinels = np.where(mask, 2**32 - 1, FRAMES)
    by_mask.add(sentinels, angles=MU)
    by_nan = gridded().begin()
    by_nan.add(np.where(mask, np.nan, FRAMES), angles=MU)
    np.testing.assert_array_equal(by_mask.n_pixels, histogram(SURFACE, GRID, ~mask))
    for name in ("sums", "n_pixels", "mean", "variance"):
        np.testing.assert_array_equal(getattr(by_nan, name), getattr(by_mask, name))


def test_the_flat_field_divides_and_masks_where_it_is_not_positive() -> None:
    flat = np.random.default_rng(1).uniform(0.8, 1.2, (64, 48))
    flat[3, 4], flat[5, 6], flat[30, 20] = 0.0, np.nan, -1.0
    good = np.nan_to_num(flat) > 0
    point = gridded(flat=flat).begin()
    point.add(FRAMES, angles=MU)
    weighted = np.where(good, FRAMES / np.where(good, flat, 1.0), 0.0)
    np.testing.assert_allclose(point.sums, histogram(SURFACE, GRID, weighted))
    np.testing.assert_array_equal(point.n_pixels, histogram(SURFACE, GRID, good))


def test_solid_angle_and_polarisation_undo_what_they_do_to_an_even_field() -> None:
    """A source of equal strength in all directions, polarised, gives an even map again."""
    rows, columns = (np.arange(n) - c for n, c in zip((64, 48), (31.2, 24.7), strict=True))
    radius = np.hypot(rows[:, None] * 0.44, columns * 0.58)
    cosine = 600.0 / np.hypot(600.0, radius)
    q = SURFACE.q({**CIRCLES, "mu": MU})
    two_theta = 2.0 * np.arcsin(np.linalg.norm(q, axis=-1) / (2.0 * SURFACE.k))
    frames = 100.0 * cosine**3 * 0.5 * (1.0 + np.cos(two_theta) ** 2)
    reduction = gridded(solid_angle=True, polarisation="unpolarised")
    pattern = reduction.reduce(frames, scales=np.ones(len(MU)), angles=MU)
    np.testing.assert_allclose(pattern[~np.isnan(pattern)], 100.0, rtol=1e-12)


@pytest.mark.parametrize(("axis", "factor"), [("x+", 0.25), ("z-", 1.0)])
def test_a_field_in_the_plane_of_scattering_loses_cos_squared(axis: str, factor: float) -> None:
    """At 2θ = 60° sideways: cos² 60° with the field in the plane, 1 across it."""
    g = goniometer("4S+2D", detector=Detector())
    point = GriddedFrames(
        g,
        QGrid((5.0, 6.0, 3), (-0.1, 0.1, 3)),
        angles={**CIRCLES, "mu": 0.0, "nu": 60.0, "delta": 0.0},
        polarisation=axis,
    ).begin()
    point.add([factor * 8.0], angles=None)
    assert point.sums.sum() == pytest.approx(8.0)


def test_empty_cells_may_have_a_value() -> None:
    pattern = gridded().reduce(FRAMES, scales=np.ones(len(MU)), angles=MU)
    filled = gridded(empty=0.0).reduce(FRAMES, scales=np.ones(len(MU)), angles=MU)
    assert np.isnan(pattern).any()
    np.testing.assert_array_equal(filled, np.nan_to_num(pattern))
    assert gridded().axes.shape == GRID.shape


def test_a_summed_rocking_scan_has_no_tilt_and_a_gridded_one_has() -> None:
    lab = goniometer(
        "four-circle",
        energy_kev=11.0,
        detector=Detector((64, 64), ("z-", "x+"), (0.44, 0.44), 600.0, (31.5, 31.5)),
    )
    two_theta = 2.0 * np.degrees(np.arcsin(3.2722 / (2.0 * lab.k)))
    omega = 0.5 * two_theta + 45.0 + np.linspace(-1.0, 1.0, 41)
    angles = {"omega": omega, "chi": 0.0, "phi": 0.0, "two_theta": two_theta}
    along, across, normal = lab.components(lab.q(angles))
    frames = {}
    for tilt in (-0.3, 0.3):
        t = np.radians(45.0 + tilt)
        radial = along * np.sin(t) + normal * np.cos(t) - 3.2722
        sideways = along * np.cos(t) - normal * np.sin(t)
        exponent = (radial / 0.005) ** 2 + (sideways / 0.0095) ** 2 + (across / 0.0095) ** 2
        frames[tilt] = 1e4 * np.exp(-0.5 * exponent)

    def cosine(left: np.ndarray, right: np.ndarray) -> float:
        return float((left * right).sum() / np.sqrt((left**2).sum() * (right**2).sum()))

    grid = QGrid((2.26, 2.37, 33), (2.26, 2.37, 33))
    maps = [
        GriddedFrames(lab, grid, empty=0.0).reduce(f, scales=np.ones(41), angles=angles)
        for f in frames.values()
    ]
    assert cosine(*(f.sum(axis=0) for f in frames.values())) > 0.999
    assert cosine(*maps) < 0.1


@pytest.mark.parametrize(
    ("detector", "shape"),
    [(Detector(), (3000,)), (Detector((20,), ("z+",), (0.5,), 350.0, (9.5,)), (3000, 20))],
    ids=["point", "linear"],
)
def test_point_and_linear_detectors_are_gridded_in_blocks(
    detector: Detector, shape: tuple[int, ...]
) -> None:
    lab = goniometer("omega-2theta", detector=detector)
    rng = np.random.default_rng(3)
    angles = {"omega": rng.uniform(34, 35, 3000), "two_theta": rng.uniform(68.5, 69.5, 3000)}
    counts, scales = frames_of(shape), rng.uniform(0.5, 2.0, 3000)
    grid = QGrid((-0.05, 0.05, 11), (4.58, 4.68, 11), in_plane="along")
    reduction = GriddedFrames(lab, grid)
    pattern = reduction.reduce(counts, scales=scales, angles=angles)
    _, along, normal = np.moveaxis(lab.q(angles), -1, 0)
    each = counts * scales.reshape(-1, *[1] * (len(shape) - 1))
    bins = [edges(grid.q_perp), edges(grid.q_par)]
    sums, n = (
        np.histogram2d(normal.ravel(), along.ravel(), bins=bins, weights=w.ravel())[0]
        for w in (each, np.ones(shape))
    )
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(pattern.reshape(grid.shape), sums / n)
    thin = counts.reshape(3000, 1, -1)  # as a plan has them
    np.testing.assert_array_equal(reduction.reduce(thin, scales=scales, angles=angles), pattern)


def test_settings_are_json_and_their_digest_tells_them_apart() -> None:
    mask = np.zeros((64, 48), dtype=bool)
    data = gridded(mask=mask, solid_angle=True, polarisation="x+").to_dict()
    back = json.loads(json.dumps(data))
    assert QGrid.from_dict(back["grid"]) == GRID
    assert Goniometer.from_dict(back["goniometer"]) == SURFACE
    other = mask.copy()
    other[0, 0] = True
    digests = {
        reduction.digest
        for reduction in (
            gridded(),
            gridded(mask=mask),
            gridded(mask=other),
            gridded(flat=np.ones((64, 48))),
            gridded(solid_angle=True),
            gridded(polarisation="x+"),
        )
    }
    assert len(digests) == 6
    assert gridded().digest == gridded().digest


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mask": np.zeros((48, 64))}, r"mask must have the shape \(64, 48\) .* got \(48, 64\)"),
        ({"mask": np.full((64, 48), 7)}, "the mask must hold True .* up to 7"),
        ({"flat": np.ones(3)}, r"flat field must have the shape \(64, 48\) .* got \(3,\)"),
        ({"polarisation": "sigma"}, "polarisation must be an axis such as 'x.' .* got 'sigma'"),
        ({"angles": {"gamma": 1.0}}, "angles must be of the circles mu, .* got gamma"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GriddedFrames(SURFACE, GRID, **{"angles": CIRCLES, **settings})


@pytest.mark.parametrize(
    ("frames", "options", "message"),
    [
        (FRAMES[:, :60], {"angles": MU}, r"shape \(64, 48\) of the area .* got \(60, 48\)"),
        (FRAMES, {"angles": MU[:5]}, "one for each of 21 frames, got 5"),
        (FRAMES, {"angles": None}, "angles must be given for the circles mu, "),
        (FRAMES, {"angles": MU, "scale": 0.0}, "scales of frames must be positive .* got 0"),
    ],
)
def test_frames_that_do_not_fit_are_refused(
    frames: np.ndarray, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        gridded().begin().add(frames, **options)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"q_par": (2.3, 2.2, 33)}, r"q_par must be .* got \(2.3, 2.2, 33\)"),
        ({"q_perp": (2.2, 2.3, 1)}, r"q_perp must be .* at least 2"),
        ({"q_perp": (2.2, 2.3)}, r"q_perp must be"),
        ({"q_across": (0.0, np.nan, 3)}, r"q_across must be"),
        ({"in_plane": "radial"}, "in_plane must be one of length, along, got 'radial'"),
    ],
)
def test_a_grid_that_cannot_be_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(GRID, **change)
