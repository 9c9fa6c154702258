from pathlib import Path

import numpy as np
import pytest

from bl_steer.diffraction import FrameAxes, peak_position
from bl_steer.features import freeze, make_feature, matched_filter, parse_reference, propose
from bl_steer.features.reference import ANGULAR_SIGMA, RADIAL_SIGMA, reference_pattern

WINDOW = np.linspace(2.24, 2.345, 33)
FRAME = FrameAxes(WINDOW, WINDOW)
SPECTRUM = FrameAxes(np.linspace(500.0, 1800.0, 131), np.zeros(1), "1/cm")


def test_computed_peak_has_its_place_and_nominal_widths() -> None:
    fine = np.linspace(2.22, 2.36, 281)
    axes = FrameAxes(fine, fine)
    pattern = reference_pattern(parse_reference("x=0.45,R=0.9,tilt=0.3"), axes)
    q = np.stack(axes.mesh())
    mean = q @ pattern / pattern.sum()
    centre = np.array([float(value) for value in peak_position(0.45, 0.9, 0.3)])
    np.testing.assert_allclose(mean, centre, atol=2e-4)
    covariance = np.cov(q, aweights=pattern, ddof=0)
    radial = centre / np.linalg.norm(centre)
    angular = np.array([-radial[1], radial[0]])
    assert np.sqrt(radial @ covariance @ radial) == pytest.approx(RADIAL_SIGMA, rel=0.02)
    assert np.sqrt(angular @ covariance @ angular) == pytest.approx(ANGULAR_SIGMA, rel=0.02)


def test_drawn_ellipse_is_the_half_height_contour() -> None:
    axes = FrameAxes(np.linspace(-2, 2, 41), np.linspace(-2, 2, 41))
    pattern = reference_pattern(parse_reference("ellipse:0,0,1,0.5"), axes).reshape(41, 41)
    assert pattern[20, 20] == 1.0
    assert pattern[20, 30] == pytest.approx(0.5)
    assert pattern[25, 20] == pytest.approx(0.5)


def test_matched_filter_returns_the_height_of_the_reference() -> None:
    pattern = reference_pattern(parse_reference("x=0.45"), FRAME)
    heights = np.array([0.0, 7.0, 1e4])
    np.testing.assert_allclose(matched_filter(heights[:, None] * pattern, pattern), heights)
    feature = make_feature("ref:x=0.45", FRAME).partial_fit(pattern[None])
    np.testing.assert_allclose(feature.transform(heights[:, None] * pattern), heights)
    assert (feature.version, feature.residual(pattern[None]).tolist()) == (0, [0.0])


def test_roi_sums_the_counts_of_pixel_centres_inside() -> None:
    frames = np.arange(131.0)[None, :]
    feature = make_feature("roi:600,620", SPECTRUM)
    assert feature.transform(frames).tolist() == [10.0 + 11.0 + 12.0]
    assert make_feature("total", SPECTRUM).transform(frames).tolist() == [frames.sum()]


def test_zinger_does_not_reach_a_two_dimensional_outcome() -> None:
    frames = np.random.default_rng(0).poisson(2.0, (10, 33 * 33)).astype(float)
    hit = frames.copy()
    hit[3, 500] = 5000.0
    for target in ("total", "roi:2.24,2.345,2.24,2.345", "ref:x=0.45"):
        for feature in (
            make_feature(target, FRAME).partial_fit(hit),
            make_feature(target, FRAME, masks=False),
        ):
            np.testing.assert_allclose(feature.transform(hit), feature.transform(frames), rtol=0.01)


def test_nan_and_wrong_shape_are_refused() -> None:
    feature = make_feature("total", SPECTRUM)
    bad = np.zeros((3, 131))
    bad[1, 5] = np.nan
    assert feature.transform(bad).tolist() == [0.0, 0.0, 0.0]
    with pytest.raises(ValueError, match=r"must be finite, got NaN or infinity in row 1; measure"):
        make_feature("total", SPECTRUM, masks=False).transform(bad)
    bad[1] = np.nan
    with pytest.raises(ValueError, match=r"must hold finite numbers, got none in row 1; measure"):
        feature.partial_fit(bad)
    with pytest.raises(ValueError, match=r"shape \(n_points, 131\), got \(1, 131, 1\); flatten"):
        feature.partial_fit(np.zeros((1, 131, 1)))


def test_frozen_proposal_reads_back_as_a_reference(tmp_path: Path) -> None:
    first = reference_pattern(parse_reference("x=0.45"), FRAME)
    second = reference_pattern(parse_reference("x=0.25,tilt=0.3"), FRAME)
    share = np.random.default_rng(1).uniform(0, 50, (40, 2))
    components = propose(share @ np.stack([first, second]), 2)
    likeness = components @ first / np.linalg.norm(components, axis=1) / np.linalg.norm(first)
    assert likeness.max() > 0.99
    path = freeze(tmp_path / "chosen.npz", components[likeness.argmax()], FRAME)
    feature = make_feature(f"nmf:2@file:{path}", FRAME)
    assert feature.target == f"nmf:2@file:{path}"
    frozen = reference_pattern(parse_reference(f"file:{path}"), FRAME)
    np.testing.assert_allclose(frozen, components[likeness.argmax()])
    np.save(tmp_path / "plain.npy", first.reshape(33, 33) * 7)
    plain = reference_pattern(parse_reference(f"file:{tmp_path / 'plain.npy'}"), FRAME)
    np.testing.assert_allclose(plain, first)


def test_bad_reference_files_are_refused(tmp_path: Path) -> None:
    def load(name: str) -> None:
        reference_pattern(parse_reference(f"file:{tmp_path / name}"), FRAME)

    with pytest.raises(ValueError, match=r"readable \.npz or \.npy without pickles, got .*none"):
        load("none.npz")
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04 truncated")
    with pytest.raises(ValueError, match=r"readable \.npz or \.npy without pickles, got .*cut"):
        load("cut.npz")
    np.save(tmp_path / "pickle.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(ValueError, match=r"without pickles, got .*pickle"):
        load("pickle.npy")
    np.savez(tmp_path / "other.npz", image=np.ones((33, 33)))
    with pytest.raises(ValueError, match=r"array named 'pattern', got \['image'\]"):
        load("other.npz")
    np.save(tmp_path / "small.npy", np.ones((3, 3)))
    with pytest.raises(ValueError, match=r"numbers of shape \(33, 33\), got float64 of shape"):
        load("small.npy")
    np.save(tmp_path / "zero.npy", np.zeros((33, 33)))
    with pytest.raises(ValueError, match=r"not negative and not all zero"):
        load("zero.npy")
    freeze(tmp_path / "moved.npz", np.ones((33, 33)), FrameAxes(WINDOW + 0.1, WINDOW))
    with pytest.raises(ValueError, match=r"must lie on the frame's window.*got qx from 2\.34"):
        load("moved.npz")
    with pytest.raises(ValueError, match=r"must end in \.npz or \.npy, got .*a\.txt"):
        freeze(tmp_path / "a.txt", np.ones((33, 33)), FRAME)
