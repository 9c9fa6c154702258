import numpy as np
import pytest

from bl_steer.features.spikes import without_spikes
from simulators.film.sige_film import SigeFilm

RNG = np.random.default_rng(3)


def test_zinger_becomes_the_median_of_its_neighbours() -> None:
    frames = RNG.poisson(3.0, (4, 81)).astype(float)
    hit = frames.copy()
    for frame, pixel in ((0, 0), (1, 40), (3, 80)):
        hit[frame, pixel] = 900.0
    cleaned = without_spikes(hit, (9, 9))
    assert cleaned.max() < 15
    assert hit.max() == 900.0
    untouched = np.ones((4, 81), dtype=bool)
    untouched[[0, 1, 3], [0, 40, 80]] = False
    np.testing.assert_array_equal(cleaned[untouched], frames[untouched])


@pytest.mark.parametrize("exposure_s", [0.5, 10.0, 100.0])
def test_peaks_of_a_film_are_left_alone(exposure_s: float) -> None:
    film = SigeFilm("multi-domain", seed=1)
    x, y = film.grid
    patterns = film.rates(x[::9], y[::9]).reshape(-1, 33 * 33) * exposure_s
    np.testing.assert_array_equal(without_spikes(patterns, (33, 33)), patterns)


def test_lines_of_a_spectrum_are_left_alone() -> None:
    spectrum = np.zeros((2, 100))
    spectrum[:, 50] = 1e4
    assert without_spikes(spectrum, (1, 100)) is spectrum
