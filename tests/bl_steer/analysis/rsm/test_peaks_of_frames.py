"""Frames of a peak of known place and shape in three dimensions: the map shows it as it is."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from bl_steer.analysis.rsm import ReciprocalSpaceMap, RsmParams, map_files
from bl_steer.diffraction import Detector, goniometer
from bl_steer.processing.digest import digest_of
from bl_steer.protocols import Inputs

SHAPE, CENTRE = (64, 48), [31.0, 23.0]
FACTS = {"pixel_size_mm": 0.172, "distance_mm": 400.0, "beam_centre": CENTRE}
FWHM = 2.0 * np.sqrt(2.0 * np.log(2.0))
REFLECTIONS = {
    # 113 of silicon at 10 keV, rocked by omega in steps of .05°; 022, rocked by mu.
    "four-circle": ("omega", {"two_theta": 44.5057}, 47.4933, (1.63612, 3.47073)),
    "4S+2D": ("mu", {"eta": 114.957, "nu": 27.6081, "delta": 26.7166}, 2.0, (2.31382, 2.31382)),
}


def frames(name, half_widths=(0.0047, 0.0047), tilt_deg=0.0, *, shape="gauss", n=41):
    """Frames with counting noise on a background of 0.2; half widths of the ellipse's axes."""
    rocked, still, middle, (par, perp) = REFLECTIONS[name]
    detector = Detector(SHAPE, ("z-", "x+"), (0.172, 0.172), 400.0, tuple(CENTRE))
    chosen = goniometer(name, energy_kev=10.0, detector=detector)
    angles = {rocked: middle + 0.05 * (np.arange(n) - n // 2)}
    angles |= {circle: np.full(n, angle) for circle, angle in still.items()}
    angles |= {circle: np.zeros(n) for circle in chosen.circles if circle not in angles}
    facing = chosen.facing({circle: [values[n // 2]] for circle, values in angles.items()})
    along, across, normal = facing.components(facing.q(angles))
    turn = np.exp(-1j * np.radians(tilt_deg))
    away = ((along - par) + 1j * (normal - perp)) * turn
    r2 = (away.real / half_widths[0]) ** 2 + (away.imag / half_widths[1]) ** 2
    profile = np.exp2(-r2) if shape == "gauss" else 1.0 / (1.0 + r2)
    profile = profile * np.exp2(-((across / 0.0047) ** 2))
    counts = np.random.default_rng(0).poisson(0.2 + 3000.0 * profile)
    return {"counts": counts, **angles}


def result_of(arrays, **params):
    return ReciprocalSpaceMap().run(
        Inputs(arrays, {"energy_kev": 10.0, "detector": FACTS}), RsmParams(**params)
    )


@pytest.mark.parametrize("name", REFLECTIONS)
@pytest.mark.parametrize("cells", [None, 25, 120])
def test_the_peak_of_frames_has_its_place_and_width_whatever_the_cells(name, cells):
    peaks = result_of(frames(name), cells=cells).tables["peaks"]
    assert len(peaks["q_par"]) == 1
    assert peaks["q_par"][0] == pytest.approx(REFLECTIONS[name][3][0], abs=1e-4)
    assert peaks["q_perp"][0] == pytest.approx(REFLECTIONS[name][3][1], abs=1e-4)
    for column in ("width", "width_par", "width_perp", "width_major", "width_minor"):
        assert peaks[column][0] == pytest.approx(0.0094, rel=0.05), column


@pytest.mark.parametrize("tilt_deg", [-60.0, 30.0])
def test_a_tilted_peak_has_the_widths_of_its_axes_and_their_tilt(tilt_deg):
    arrays = frames("four-circle", (0.008, 0.004), tilt_deg)
    peaks = result_of(arrays).tables["peaks"]
    assert peaks["width_major"][0] == pytest.approx(0.016, rel=0.05)
    assert peaks["width_minor"][0] == pytest.approx(0.008, rel=0.05)
    assert peaks["width"][0] == pytest.approx(np.sqrt(0.016 * 0.008), rel=0.05)
    assert peaks["tilt_deg"][0] == pytest.approx(tilt_deg, abs=3.0)
    cosine, sine = np.cos(np.radians(tilt_deg)), np.sin(np.radians(tilt_deg))
    projected = np.hypot(0.016 * cosine, 0.008 * sine)
    assert peaks["width_par"][0] == pytest.approx(projected, rel=0.05)


def test_a_lorentzian_has_its_width_too():
    peaks = result_of(frames("four-circle", shape="lorentz")).tables["peaks"]
    assert peaks["width"][0] == pytest.approx(0.0094, rel=0.08)


def test_a_rocking_scan_leaves_no_stripes_and_its_background_is_no_peak():
    result = result_of(frames("four-circle", n=61))
    n = result.arrays["n"]
    rows = [row[np.flatnonzero(row)[0] : np.flatnonzero(row)[-1] + 1] for row in n]
    assert np.mean(np.concatenate(rows) == 0) < 0.01
    assert len(result.tables["peaks"]["q_par"]) == 1
    # The peak is smooth: no cell in it that only pixels beside the scattering plane fill.
    mean = result.arrays["map"]
    row, column = np.unravel_index(np.nanargmax(mean), mean.shape)
    assert mean[row - 1 : row + 2, column - 1 : column + 2].min() > 0.4 * mean[row, column]


def test_cells_finer_than_the_steps_are_told_with_how_many_to_take():
    (warning,) = [w for w in result_of(frames("four-circle"), cells=150).warnings if "cells" in w]
    assert "finer than the scan's steps and pixels" in warning
    cells = int(warning.split("cells=")[1].split()[0])
    again = result_of(frames("four-circle"), cells=cells).warnings
    assert not [w for w in again if "finer" in w]


def hot(arrays):
    """The frames with a hot pixel, and the mask that tells it."""
    mask = np.zeros(SHAPE, dtype=bool)
    mask[5, 40] = True
    counts = arrays["counts"].copy()
    counts[:, mask] = 50_000
    return arrays | {"counts": counts}, mask


def test_masked_pixels_are_left_out_and_their_share_is_told(tmp_path):
    arrays, mask = hot(frames("4S+2D"))
    assert result_of(arrays).tables["peaks"]["height"][0] == pytest.approx(50_000)
    np.save(tmp_path / "mask.npy", mask)
    own = result_of(arrays | {"mask": mask})
    of_user = result_of(arrays, mask=str(tmp_path / "mask.npy"))
    for result in (own, of_user):
        assert result.tables["peaks"]["q_par"][0] == pytest.approx(2.31382, abs=1e-4)
        assert "the mask leaves out 0.033 % of the pixels" in result.warnings
    assert digest_of(own) == digest_of(of_user)
    np.save(tmp_path / "other.npy", mask[:, :9])
    with pytest.raises(ValueError, match=r"shape of the frames, \(64, 48\), got \(64, 9\)"):
        result_of(arrays, mask=str(tmp_path / "other.npy"))


def test_masks_of_scans_go_into_their_map_and_its_file(tmp_path):
    arrays, mask = hot(frames("4S+2D"))
    facts = {"energy_kev": 10.0, **{k: np.array(v) for k, v in FACTS.items()}}
    for name, rows in (("a", slice(0, 20)), ("b", slice(20, None))):
        part = {key: values[rows] for key, values in arrays.items()}
        np.savez(tmp_path / f"{name}.npz", mask=mask, **part, **facts)
    report = map_files([tmp_path / "a.npz", tmp_path / "b.npz"], params={}, out=tmp_path / "out")
    assert report["peaks"][0]["q_par"] == pytest.approx(2.31382, abs=1e-4)
    with h5py.File(tmp_path / "out" / "map.nxs") as file:
        written = file["entry/instrument/detector/pixel_mask"][()]
    np.testing.assert_array_equal(written != 0, mask)


def test_points_without_beam_are_told_as_such():
    arrays = frames("4S+2D")
    monitor = np.full(41, 100.0)
    monitor[30] = 0.0
    result = result_of(arrays | {"monitor": monitor})
    (told,) = [text for text in result.warnings if "beam" in text]
    assert told.startswith("1 of 41 points have no positive monitor, and are out")
    assert not [text for text in result.warnings if "hold no counts" in text]


@pytest.mark.parametrize("full", [65535, 2**32 - 1])
@pytest.mark.parametrize("dtype", [np.int64, float])
def test_full_counters_are_no_counts_whatever_the_type_they_are_stored_in(full, dtype):
    arrays = frames("four-circle")
    counts = np.where(arrays["counts"] > 2500, full, arrays["counts"])
    n = np.count_nonzero(counts == full)
    result = result_of(arrays | {"counts": counts.astype(dtype)})
    assert result.arrays["counts"].sum() == arrays["counts"][counts != full].sum()
    (told,) = [text for text in result.warnings if "counters are full" in text]
    assert told.startswith(f"{n} readings (")
    assert any("largest number of 16 bits" in text for text in result.warnings) == (full == 65535)


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"pixel_size_mm": 172.0}, r"pixel_size_mm must be .*, got 172; 0\.172 mm may be meant"),
        ({"pixel_size_mm": [172e-6] * 2}, r"got 0\.000172; 0\.172 mm may be meant"),
        ({"distance_mm": 0.4}, r"distance_mm must be .*, got 0\.4; 400 mm may be meant"),
    ],
)
def test_lengths_in_another_unit_are_refused_unless_the_user_gives_them(facts, told):
    inputs = Inputs(frames("4S+2D"), {"energy_kev": 10.0, "detector": FACTS | facts})
    with pytest.raises(ValueError, match=told):
        ReciprocalSpaceMap().run(inputs, RsmParams())
    right = RsmParams(pixel_size_mm=0.172, distance_mm=400.0)
    assert len(ReciprocalSpaceMap().run(inputs, right).tables["peaks"]["q_par"]) == 1


def test_a_beam_centre_outside_the_frames_is_told():
    result = result_of(frames("4S+2D"), beam_row=23.0, beam_column=63.0)
    (told,) = [text for text in result.warnings if "beam centre" in text]
    assert told.startswith("the beam centre (23, 63) lies outside the frames (64, 48)")
