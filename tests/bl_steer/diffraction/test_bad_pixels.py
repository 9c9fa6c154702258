"""Bad pixels and zingers: those of a detector are found, peaks of real maps are left alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bl_steer.diffraction import ceiling_of, find_bad_pixels, find_sentinels, find_zingers
from bl_steer.diffraction.bad_pixels import usual_counts
from bl_steer.protocols import Array
from simulators.film.sige_film import SigeFilm

REAL_MAPS = Path(__file__).parents[4] / "shared" / "data" / "rsm"


def frames_of(film: SigeFilm, n: int) -> Array:
    x, y = film.grid
    spots = np.random.default_rng(0).permutation(len(x))[:n]
    return np.stack([film.expose(x[i], y[i], exposure_s=10, time_s=0, shot=i)[0] for i in spots])


@pytest.mark.parametrize("n", [961, 30])
def test_all_hot_pixels_of_eight_noisy_films_are_found(n: int) -> None:
    for seed in range(8):
        film = SigeFilm("noisy", seed=seed)
        truth = film._hot.reshape(33, 33) > 0
        bad = find_bad_pixels(frames_of(film, n))
        assert (bad.hot & truth).sum() == 3
        assert (bad.hot & ~truth).sum() <= 2
        assert not (bad.dead | bad.stuck).any()
        assert 0.05 < bad.masked_share < 0.2


def peak(sigma: float) -> Array:
    """A substrate peak on a broad one, 33 × 33 cells, counts."""
    row, column = np.mgrid[:33, :33]
    distance = (row - 16) ** 2 + (column - 16) ** 2
    broad = (row - 11) ** 2 + (column - 12) ** 2
    return np.asarray(8000 * np.exp(-distance / (2 * sigma**2)) + 300 * np.exp(-broad / 50.0))


@pytest.mark.parametrize("sigma", [0.5, 0.6, 0.8, 1.5])
def test_a_sharp_peak_keeps_its_counts(sigma: float) -> None:
    rng = np.random.default_rng(1)
    frames = rng.poisson(peak(sigma) * rng.uniform(0.5, 1.5, (40, 1, 1))).astype(float)
    assert find_bad_pixels(frames).usable.all()
    assert not find_zingers(frames).any()


@pytest.mark.parametrize("name", ["rsm_rigaku_111", "rsm_nomad_m82762_-420"])
@pytest.mark.parametrize("n_cells", [33, 49, 65])
def test_real_maps_keep_their_counts(name: str, n_cells: int) -> None:
    path = REAL_MAPS / f"{name}.npz"
    if not path.exists():
        pytest.skip(f"no {path.name}: real data are not shipped")
    with np.load(path) as data:
        intensity, tt, wavelength = data["intensity"], data["tt"], float(data["wavelength_A"])
        om = data["om"][:, None] if intensity.ndim == 2 else data["om"]
        om = np.broadcast_to(om, intensity.shape)
    theta = np.radians(tt / 2).ravel()
    from_normal = np.radians(om).ravel() - theta
    q = 4 * np.pi / wavelength * np.sin(theta)
    where = q * np.cos(from_normal), q * np.sin(from_normal)
    sums, _, _ = np.histogram2d(*where, n_cells, weights=intensity.ravel())
    n, _, _ = np.histogram2d(*where, n_cells)
    rng = np.random.default_rng(2)
    mean = np.divide(sums, n, out=np.full_like(sums, np.nan), where=n > 0)
    beam = rng.uniform(0.7, 1.3, (40, 1, 1))
    frames = np.where(n > 0, rng.poisson(10 * beam * np.nan_to_num(mean)) / 10, np.nan)
    bad = find_bad_pixels(frames)
    zingers = find_zingers(frames)
    left = np.nansum(np.where(zingers | ~bad.usable, 0.0, frames)) / np.nansum(frames)
    assert left >= 0.999
    np.testing.assert_array_equal(bad.stuck, n == 0)


def test_a_ray_is_told_from_a_peak_by_the_other_frames() -> None:
    rng = np.random.default_rng(4)
    frames = rng.poisson(peak(1.5) + 1.0, (20, 33, 33)).astype(float)
    frames[7, 30, 3] += 900.0
    frames[:, 25, 25] = 5000.0 + rng.poisson(100.0, 20)  # in all frames: not a ray
    assert np.argwhere(find_zingers(frames)).tolist() == [[7, 30, 3]]
    assert np.argwhere(find_bad_pixels(frames).hot).tolist() == [[25, 25]]
    assert not find_zingers(frames[:9]).any()


def test_two_rays_on_one_pixel_are_told_among_many_frames() -> None:
    frames = np.random.default_rng(4).poisson(0.2, (150, 16, 16)).astype(float)
    rays = [[20, 11, 10], [25, 11, 10]]
    frames[*np.transpose(rays)] += 4500.0
    assert np.argwhere(find_zingers(frames)).tolist() == rays
    assert not find_zingers(frames, usual=usual_counts(frames, again=False)).any()


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e6])
def test_the_unit_of_the_frames_does_not_matter(scale: float) -> None:
    frames = frames_of(SigeFilm("noisy", seed=3), 60)
    bad, scaled = find_bad_pixels(frames), find_bad_pixels(frames * scale)
    np.testing.assert_array_equal(bad.hot, scaled.hot)
    np.testing.assert_array_equal(find_zingers(frames), find_zingers(frames * scale))


def test_gaps_and_dead_pixels_are_found() -> None:
    frames = np.random.default_rng(6).poisson(20.0, (30, 16, 16)).astype(np.uint32)
    frames[:, :, 7:9] = 2**32 - 1
    frames[:, 3, 3] = 0
    frames[:, 12, 12] = 77
    bad = find_bad_pixels(frames)
    assert bad.stuck[:, 7:9].all()
    assert np.argwhere(bad.dead).tolist() == [[3, 3]]
    assert bad.stuck[12, 12]
    assert (~bad.usable).sum() == 32 + 2
    as_numbers = find_bad_pixels(frames.astype(float))  # where the type no longer says it
    np.testing.assert_array_equal(as_numbers.usable, bad.usable)


@pytest.mark.parametrize(
    ("values", "absent"),
    [
        (np.array([0, 65535, 3], np.uint16), [False, True, False]),
        (np.array([0, 2**32 - 1], np.uint32), [False, True]),
        (np.array([-1, 0, -2], np.int32), [True, False, True]),
        (np.array([2**32 - 1, 0, -1, 65535]), [True, False, True, False]),
        (np.array([2**32 - 1, 2**64 - 1, 65535], np.uint64), [True, True, False]),
        (np.array([2**32 - 1, 65535.0]), [True, False]),
        (np.array([2**32 - 1, 7], np.float32), [True, False]),
        (np.array([-0.5, np.nan, np.inf]), [False, True, True]),
    ],
)
def test_what_stands_for_nothing_goes_by_the_type(
    values: NDArray[np.generic], absent: list[bool]
) -> None:
    assert find_sentinels(values).tolist() == absent


@pytest.mark.parametrize("dtype", [np.int32, np.uint32, np.int64, np.float32, float])
def test_numbers_of_16_bits_in_a_wider_type_keep_their_ceiling(dtype: type) -> None:
    counts = np.array([3, 65535, 40_000, 65535, 0])
    assert ceiling_of(counts.astype(dtype)) == 65535
    assert ceiling_of(np.where(counts == 3, 2**31 - 1, counts).astype(dtype)) is None
    assert ceiling_of(counts[:3].astype(dtype)) is None
    assert ceiling_of(counts.astype(np.uint16)) is None  # which find_sentinels tells
    gap = np.append(counts.astype(float), 2.0**32 - 1)
    assert ceiling_of(gap) == 65535


def test_a_few_frames_and_spectra_are_left_alone() -> None:
    frames = frames_of(SigeFilm("noisy", seed=3), 9)
    assert find_bad_pixels(frames).usable.all()
    spectra = np.zeros((40, 1, 100))
    spectra[:, 0, 50] = 1000.0
    assert find_bad_pixels(spectra).usable.all()
    assert not find_zingers(spectra).any()


@pytest.mark.parametrize("mean", [0.02, 0.2, 1.0])
def test_no_pixel_is_hot_by_chance_where_frames_count_next_to_nothing(mean: float) -> None:
    frames = np.random.default_rng(1).poisson(mean, (61, 128, 96))
    assert not find_bad_pixels(frames).hot.any()
    frames[:, 40, 50] += np.random.default_rng(2).poisson(6.0, 61)
    assert np.argwhere(find_bad_pixels(frames).hot).tolist() == [[40, 50]]
