"""What looks scatter by is told apart: counting, the flicker of the beam, the sample's texture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from bl_steer.agents import Space
from bl_steer.agents.ensemble.scatter import (
    Noise,
    by_sums,
    learned_flicker,
    learned_texture,
    texture_of,
)
from bl_steer.agents.looks import LOOK_NUGGETS
from bl_steer.agents.surrogate import GridEnsembleGP

AXIS = np.arange(0.0, 105.0, 5.0)
FILM = Space.grid(AXIS, AXIS)


def test_repeated_looks_tell_a_flicker_from_counting() -> None:
    rng = np.random.default_rng(2)
    which = np.repeat(np.arange(20), 8)
    levels = rng.uniform(5.0, 9.0, 20)[which]
    counting = np.full(160, 0.04)
    counted = levels + 0.2 * rng.standard_normal(160)
    assert learned_flicker(which, counted, counting) < 0.02
    flickering = counted + 0.5 * 0.12 * levels * rng.standard_normal(160)
    assert learned_flicker(which, flickering, counting) == pytest.approx(0.06, rel=0.25)
    assert learned_flicker(np.arange(160), flickering, counting) == 0.0  # nothing is repeated


def test_what_neither_counting_nor_flicker_explains_is_the_sample_s_own() -> None:
    levels, ratios = np.full(9, 20.0), np.full(9, 50.0)
    of_looks = Noise(0.01, 0.05)
    assert texture_of(of_looks, 0.1, 0.3, levels, ratios) == pytest.approx(5.0 - 0.5 - 1.0)
    assert texture_of(of_looks, 0.02, 0.3, levels, ratios) == pytest.approx(0.09)  # the least


def test_few_counts_at_a_place_are_summed_before_the_root() -> None:
    rng = np.random.default_rng(1)
    n_places, each, mean = 4000, 4, 3.0
    counts = rng.poisson(mean, n_places * each).astype(float)
    which = np.repeat(np.arange(n_places), each)
    one = np.ones(len(counts))
    together = by_sums(which, counts, one, 0.25 * one, warp="sqrt")
    assert together.mean() == pytest.approx(np.sqrt(mean), rel=0.01)
    roots = np.bincount(which, np.sqrt(counts)) / each
    assert roots.mean() < 0.95 * np.sqrt(mean)  # a look without a count would count as darkness
    assert together.var() == pytest.approx(0.25 / each, rel=0.15)
    assert_allclose(by_sums(which, counts, one, one, warp="none"), counts.reshape(-1, 4).mean(1))
    scaled = by_sums(which, counts, 2.0**700 * one, 0.25 * one, warp="sqrt")  # hardly any noise
    assert scaled.tolist() == together.tolist()


def textured(texture: float) -> tuple[float, float, float]:
    """Return the texture learned of 250 looks at two hills, as before, and as it is: variances.

    Looks at the dark between them give no count more often than a normal distribution would have.
    """
    rng = np.random.default_rng(2)
    X = FILM.points[rng.choice(len(FILM), 250, replace=False)]
    squared = [((X - centre) ** 2).sum(axis=1) for centre in ([25.0, 25.0], [70.0, 65.0])]
    root = 4.5 * np.maximum(*(np.exp(-s / 800) for s in squared))
    root = root * (1.0 + texture * rng.standard_normal(250))
    y = np.maximum(rng.poisson(root**2 + 3.0) - 3.0, 0.0)
    counting = np.full(250, 0.25)
    model = GridEnsembleGP(
        torch.tensor(FILM.points), metrics=FILM.metrics, kernel="rbf", nuggets=LOOK_NUGGETS
    )
    model.condition(torch.tensor(X), torch.tensor(np.sqrt(y)), torch.full((250,), 10.0).double())
    members = torch.nonzero(model.log_weights.exp() > 0.01)[:, 0]
    means, _, log_weights = model.weighted_moments(torch.tensor(X))
    levels = np.maximum((log_weights.exp() @ means).numpy(), 0.0)
    together = by_sums(np.arange(250), y, 1.0 / counting, counting, warp="sqrt")
    learned = learned_texture(model, members, (X, together, counting), levels, power=0.5)
    scatter = float(model.log_weights.exp() @ model.noise_variance)
    least = 0.015 * float(levels.max())
    earlier = texture_of(Noise(0.025, 0.0), scatter, least, levels, np.full(250, 10.0))
    return learned, earlier, (texture * float(levels.max())) ** 2


def test_the_noise_of_dark_places_is_no_texture_of_bright_ones() -> None:
    learned, earlier, _ = textured(0.0)
    assert learned < 0.06
    assert earlier > 3.0 * learned


def test_texture_of_bright_places_is_learned() -> None:
    learned, _, true = textured(0.1)
    assert learned == pytest.approx(true, rel=0.6)
