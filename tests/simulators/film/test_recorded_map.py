"""Recorded maps: replayed as recorded, and refused in one line where they are no maps."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.film.recorded_map import RecordedMap

MAPS = Path(__file__).parents[4] / "shared" / "data" / "maps"
REAL = {
    "raman_thp1_cell_L5": ((40, 40), (1, 500), "1/cm"),
    "bepfm_gpim_32x32": ((32, 32), (1, 102), "freq idx"),
    "eds_coreshell_hyperspy": ((64, 64), (1, 992), "keV"),
    "sxdm_fast_wse2_darkfield": ((600, 400), (1, 1), "channel"),
}


def grid(n_y=4, n_x=5, pitch=2.0):
    x, y = np.meshgrid(pitch * np.arange(n_x), 10.0 + pitch * np.arange(n_y))
    return x, y


def save(tmp_path, **arrays):
    path = tmp_path / "recorded.npz"
    np.savez(path, **arrays)
    return path


@pytest.fixture
def spectra():
    x, y = grid()
    patterns = np.random.default_rng(0).normal(size=(4, 5, 7)).astype(np.float32)
    return {"x": x, "y": y, "patterns": patterns}


def test_a_grid_of_spectra_comes_back_as_recorded(tmp_path, spectra):
    sample = RecordedMap.load(save(tmp_path, **spectra, axis=np.arange(7), axis_unit="keV"))
    assert sample.grid_shape == (4, 5)
    assert sample.axes.shape == (1, 7)
    assert sample.axes.unit == "keV"
    assert (sample.name, sample.unit) == ("recorded", "px")
    rates = sample.rates(*sample.grid)
    np.testing.assert_array_equal(rates.reshape(4, 5, 7), spectra["patterns"])
    assert rates.min() < 0


def test_the_normalised_pattern_is_the_recorded_one_at_any_exposure(tmp_path, spectra):
    sample = RecordedMap.load(save(tmp_path, **spectra))
    for exposure_s in (0.03, 1.0, 11.2):
        frame, monitor = sample.expose(4.0, 12.0, exposure_s=exposure_s, time_s=9.0, shot=3)
        assert sample.nominal_monitor * exposure_s / monitor == 1.0
        np.testing.assert_array_equal(frame[0], spectra["patterns"][1, 2])


def test_frames_keep_their_rows_and_columns_and_q(tmp_path):
    x, y = grid()
    frames = np.random.default_rng(1).poisson(5, (4, 5, 3, 6))
    qx, qz = np.linspace(2.2, 2.3, 6), np.linspace(2.3, 2.4, 3)
    sample = RecordedMap.load(save(tmp_path, x=x, y=y, patterns=frames, qx=qx, qz=qz))
    assert sample.axes.unit == "1/Å"
    np.testing.assert_array_equal(sample.axes.qx, qx)
    np.testing.assert_array_equal(sample.axes.qz, qz)
    np.testing.assert_array_equal(sample.rates(*sample.grid).reshape(frames.shape), frames)


def test_scattered_points_have_no_grid_shape(tmp_path):
    rng = np.random.default_rng(2)
    x, y = rng.uniform(size=(2, 30))
    values = rng.uniform(size=30)
    sample = RecordedMap.load(save(tmp_path, x=x, y=y, map=values, unit_xy="um"))
    assert sample.grid_shape is None
    assert sample.unit == "um"
    assert sample.axes.shape == (1, 1)
    np.testing.assert_array_equal(sample.rates(x, y).ravel(), values)
    np.testing.assert_array_equal(sample.rates(*sample.grid).ravel(), values[np.argsort(y)])


def test_scattered_frames_are_told_from_a_grid_of_spectra(tmp_path):
    x, y = np.random.default_rng(2).uniform(size=(2, 6))
    sample = RecordedMap.load(save(tmp_path, x=x, y=y, patterns=np.ones((6, 3, 4))))
    assert sample.axes.shape == (3, 4)


def test_a_two_dimensional_array_of_uneven_points_counts_as_scattered():
    x, y = grid()
    x = x + 0.3 * np.random.default_rng(3).normal(size=x.shape)
    assert RecordedMap(x, y, np.zeros(x.shape)).grid_shape is None


def test_a_grid_saved_with_y_first_is_turned_round():
    x, y = grid()
    values = np.arange(20.0).reshape(4, 5)
    sample = RecordedMap(x.T, y.T, values.T)
    assert sample.grid_shape == (4, 5)
    np.testing.assert_array_equal(sample.grid[0], x.ravel())
    np.testing.assert_array_equal(sample.rates(*sample.grid).ravel(), values.ravel())


@settings(max_examples=50, deadline=None)
@given(st.floats(-3.0, 12.0), st.floats(5.0, 20.0))
def test_nearest_gives_the_nearest_recorded_point_everywhere(px, py):
    x, y = grid()
    values = np.arange(20.0).reshape(4, 5)
    got = RecordedMap(x, y, values).rates(np.array([px]), np.array([py])).item()
    distance = np.hypot(x - px, y - py)
    assert distance[values == got].item() == pytest.approx(distance.min())


@settings(max_examples=50, deadline=None)
@given(st.floats(0.0, 8.0), st.floats(10.0, 16.0))
def test_linear_is_exact_on_a_bilinear_map_and_flat_outside(px, py):
    x, y = grid()
    sample = RecordedMap(x, y, 2 * x - y + 0.5 * x * y, interpolation="linear")
    got = sample.rates(np.array([px, px + 100.0]), np.array([py, py])).ravel()
    assert got[0] == pytest.approx(2 * px - py + 0.5 * px * py, abs=1e-9)
    assert got[1] == pytest.approx(2 * 8.0 - py + 0.5 * 8.0 * py, abs=1e-9)


def test_linear_works_on_axes_that_run_downwards():
    x, y = grid()
    sample = RecordedMap(-x, -y, x + y, interpolation="linear")
    assert sample.rates(np.array([-1.0]), np.array([-11.0])).item() == pytest.approx(12.0)


def test_clip_cuts_hot_outliers_and_leaves_the_rest(tmp_path):
    x, y = grid(20, 20)
    values = np.random.default_rng(4).uniform(-1.0, 1.0, x.shape)
    values[3, 3] = 1e6
    sample = RecordedMap.load(save(tmp_path, x=x, y=y, map=values), clip=99.0)
    replayed = sample.rates(*sample.grid).reshape(x.shape)
    limit = np.percentile(values, 99.0)
    np.testing.assert_array_equal(replayed, np.minimum(values, limit))


def test_stride_thins_a_grid_along_both_directions(tmp_path, spectra):
    sample = RecordedMap.load(save(tmp_path, **spectra), stride=2)
    assert sample.grid_shape == (2, 3)
    np.testing.assert_array_equal(
        sample.rates(*sample.grid).reshape(2, 3, 7), spectra["patterns"][::2, ::2]
    )


@pytest.mark.parametrize("name", REAL)
def test_real_maps_load_and_replay(name):
    path = MAPS / f"{name}.npz"
    if not path.exists():
        pytest.skip(f"the recorded map {path.name} is not at ../shared/data/maps")
    (n_y, n_x), frame_shape, unit = REAL[name]
    stride = 8 if name.startswith("sxdm") else 1
    sample = RecordedMap.load(path, clip=99.9, stride=stride)
    assert sample.grid_shape == (-(-n_y // stride), -(-n_x // stride))
    assert sample.axes.shape == frame_shape
    assert sample.axes.unit == unit
    x, y = sample.grid
    rates = sample.rates(x[:50], y[:50])
    assert rates.shape == (50, *frame_shape)
    with np.load(path) as recorded:
        values = recorded["map" if "map" in recorded else "patterns"]
        limit = np.percentile(values, 99.9)
        assert sample.rates(*sample.grid).max() == pytest.approx(limit, rel=0.05)
    frame, _ = sample.expose(x[7], y[7], exposure_s=1.0, time_s=0.0, shot=0)
    np.testing.assert_array_equal(frame, rates[7])


def _without(arrays, key):
    return {k: v for k, v in arrays.items() if k != key}


BAD = {
    "no x": (lambda a: _without(a, "x"), r"must hold x, y and patterns or map, got .*add x$"),
    "no values": (lambda a: _without(a, "patterns"), r"add patterns or map$"),
    "NaN": (
        lambda a: a | {"patterns": a["patterns"] * np.nan},
        r"must hold values, got 20 places without any ",
    ),
    "inf": (lambda a: a | {"x": a["x"] + np.inf}, r"x must be finite, got 20 "),
    "shape": (lambda a: a | {"y": a["y"][1:]}, r"must have one shape of points, got x \(4, 5\), "),
    "values short": (lambda a: a | {"patterns": a["patterns"][:3]}, r"must have one shape"),
    "text": (lambda a: a | {"patterns": np.full((4, 5), "a")}, r"patterns must be real numbers"),
    "complex": (lambda a: a | {"patterns": a["patterns"] * 1j}, r"must be real numbers, got compl"),
    "pickle": (lambda a: a | {"patterns": np.array([{}, 1], object)}, r"without pickled objects"),
    "one point": (lambda a: {k: v[:1, :1] for k, v in a.items()}, r"at least 4 points, got 1 of 1"),
    "repeats": (lambda a: a | {"x": 0 * a["x"]}, r"got 4 different positions for 20 points; "),
    "no channels": (lambda a: a | {"patterns": a["patterns"][..., :0]}, r"values must have the sh"),
    "5-D": (lambda a: a | {"patterns": np.ones((4, 5, 2, 2, 2))}, r"values must have the shape of"),
    "axis": (
        lambda a: a | {"axis": np.arange(6)},
        r"axis must hold 7 real numbers, .*shape \(6,\)",
    ),
    "axis NaN": (lambda a: a | {"axis": np.full(7, np.nan)}, r"axis must be finite"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_map_is_refused_in_one_line(tmp_path, spectra, case):
    change, message = BAD[case]
    path = tmp_path / "bad.npz"
    np.savez(path, **change(spectra))
    with pytest.raises(ValueError, match=message) as caught:
        RecordedMap.load(path)
    assert "\n" not in str(caught.value)
    assert "; " in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stride": 0}, r"stride must be an integer of at least 1, got 0; "),
        ({"stride": 1.5}, r"stride must be an integer of at least 1, got 1.5; "),
        ({"stride": 4}, r"at least 4 points, got 2 of 20 with stride 4 .*lower the stride"),
        ({"clip": 0.0}, r"clip must be a percentile above 0, up to 100, got 0; "),
        ({"clip": 101.0}, r"got 101; "),
        ({"clip": np.nan}, r"got nan; "),
        ({"interpolation": "cubic"}, r"interpolation must be nearest or linear, got 'cubic'; "),
    ],
)
def test_bad_options_are_refused_with_their_value(tmp_path, spectra, options, message):
    with pytest.raises(ValueError, match=message):
        RecordedMap.load(save(tmp_path, **spectra), **options)


def test_linear_on_scattered_points_is_refused():
    x, y = np.random.default_rng(2).uniform(size=(2, 6))
    with pytest.raises(ValueError, match=r"linear must have a regular grid .*; take nearest"):
        RecordedMap(x, y, x, interpolation="linear")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"must exist, got '.*nowhere.npz'; check the path"):
        RecordedMap.load(tmp_path / "nowhere.npz")


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, -30])
def test_a_truncated_file_is_refused(tmp_path, spectra, keep):
    whole = save(tmp_path, **spectra).read_bytes()
    path = tmp_path / "cut.npz"
    path.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    with pytest.raises(ValueError, match=r"must be (a whole|an) \.npz file[ ,].*; save "):
        RecordedMap.load(path)


@pytest.mark.parametrize("kind", ["damaged", "text", "npy", "folder"])
def test_a_file_that_is_no_npz_is_refused(tmp_path, spectra, kind):
    path = tmp_path / "bad.npz"
    if kind == "folder":
        path.mkdir()
    elif kind == "npy":
        with path.open("wb") as file:
            np.save(file, np.ones(3))
    elif kind == "text":
        path.write_text("x,y,map\n1,2,3\n")
    else:
        raw = bytearray(save(tmp_path, **spectra).read_bytes())
        raw[len(raw) // 2] ^= 0xFF
        path.write_bytes(bytes(raw))
    with pytest.raises(ValueError, match=r"must be (a whole|an) \.npz file[ ,].*; save ") as caught:
        RecordedMap.load(path)
    assert "\n" not in str(caught.value)
