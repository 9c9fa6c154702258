"""Which cells count and what is a spike, told by all patterns of a run together."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bl_steer.agents import Space
from bl_steer.diffraction import FrameAxes
from bl_steer.features import DEFAULT_TARGET, make_feature
from bl_steer.features.memory import PatternMemory, memory_of
from bl_steer.features.reference import ReferenceFeature
from bl_steer.protocols import Array, Feature, RaisesAlarm
from bl_steer.steering import build_steering
from simulators.film.sige_film import SigeFilm

TARGETS = ("total", "roi:2.24,2.345,2.24,2.345", "ref:x=0.45,R=0.9,tilt=0", DEFAULT_TARGET)
GAP = 2.0**32 - 1.0


@pytest.fixture(scope="module")
def film() -> SigeFilm:
    return SigeFilm("multi-domain", seed=1)


def counts(film: SigeFilm, n: int, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    x, y = film.grid
    spots = rng.choice(len(x), n, replace=False)
    return rng.poisson(film.rates(x[spots], y[spots]).reshape(n, -1) * 10.0).astype(float)


def alarms(feature: Feature, patterns: Array) -> NDArray[np.bool_]:
    assert isinstance(feature, RaisesAlarm)
    return feature.alarm(patterns)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("value", [GAP, np.nan])
def test_a_gap_of_the_detector_takes_no_part(film: SigeFilm, target: str, value: float) -> None:
    patterns = counts(film, 40)
    broken = patterns.reshape(-1, 33, 33).copy()
    broken[:, :, 2:4] = value
    feature = make_feature(target, film.axes).partial_fit(broken.reshape(40, -1))
    outcomes = feature.transform(broken.reshape(40, -1))
    truth = make_feature(target, film.axes).partial_fit(patterns).transform(patterns)
    assert np.corrcoef(outcomes, truth)[0, 1] > 0.98
    assert outcomes.std() > 0.01 * outcomes.mean()
    memory = memory_of(feature)
    assert memory is not None
    assert not memory.usable.reshape(33, 33)[:, 2:4].any()


def test_a_gap_over_the_reference_raises_the_alarm(film: SigeFilm) -> None:
    for target in TARGETS[2:]:
        feature = make_feature(target, film.axes)
        broken = counts(film, 12)
        reference = make_feature(TARGETS[2], film.axes)
        assert isinstance(reference, ReferenceFeature)
        broken[:, reference.pattern > 0.1] = np.nan
        assert alarms(feature.partial_fit(broken), broken).all()


def test_a_peak_one_cell_wide_keeps_its_counts() -> None:
    rng = np.random.default_rng(2)
    z, x = np.mgrid[:33, :33]
    peak = 8000.0 * np.exp(-((x - 16) ** 2 + (z - 16) ** 2) / (2 * 0.6**2))
    broad = 300.0 * np.exp(-((x - 12) ** 2 + (z - 11) ** 2) / 50.0)
    patterns = rng.poisson((peak + broad).ravel(), (24, 33 * 33)).astype(float)
    memory = PatternMemory((33, 33))
    for pattern in patterns:
        memory.take(pattern[None])
        assert memory.cleaned(pattern[None]).sum() == pattern.sum()
    assert memory.cleaned(patterns).sum() >= 0.999 * patterns.sum()


def test_hot_pixels_and_zingers_of_a_noisy_film_are_told() -> None:
    told = false = hot = 0
    for seed in range(3):
        film = SigeFilm("noisy", seed=seed)
        x, y = film.grid
        memory = PatternMemory((33, 33))
        for shot, spot in enumerate(np.random.default_rng(seed).permutation(961)[:60]):
            frame, _ = film.expose(x[spot], y[spot], exposure_s=10.0, time_s=0.0, shot=shot)
            memory.take(frame.reshape(1, -1))
        is_hot = film._hot > 0
        hot += int(is_hot.sum())
        told += int((~memory.usable & is_hot).sum())
        false += int((~memory.usable & ~is_hot).sum())
    assert told == hot == 9
    assert false <= 6


def test_two_rays_on_one_cell_are_told_but_in_runs_of_earlier_versions() -> None:
    axes = FrameAxes(np.arange(8.0), np.arange(8.0), "1/Å")
    patterns = np.random.default_rng(4).poisson(0.3, (180, 64)).astype(float)
    before = patterns.sum(axis=1)
    patterns[[100, 120], 27] += 4500.0
    grid = Space.grid(np.arange(20.0), np.arange(20.0)).to_dict()
    settings = {"target": "total", "agent": "random", "agent_options": {}, "seed": 0, "grid": grid}
    rules = {"budget": 200, "masks": True, "careful": True}
    for selects in (True, False):
        made = build_steering({**settings, **rules, "selects": selects}, axes).feature
        for pattern in patterns:
            made.partial_fit(pattern[None])
        seen = made.transform(patterns)[[100, 120]]
        assert (seen < before.max() + 2.0).all() if selects else (seen > 4000.0).all()


def test_a_spike_is_told_once_five_patterns_are_there_and_changes_the_version(
    film: SigeFilm,
) -> None:
    patterns = counts(film, 5)
    patterns[0, 20] = 3000.0
    feature = make_feature("total", film.axes)
    for pattern in patterns[:4]:
        feature.partial_fit(pattern[None])
    assert feature.version == 0
    assert feature.transform(patterns[:1])[0] == patterns[0].sum()
    assert feature.partial_fit(patterns[4:]).version == 1
    assert feature.transform(patterns[:1])[0] < patterns[0].sum() - 2900.0


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e6])
def test_the_alarm_does_not_depend_on_the_unit(film: SigeFilm, scale: float) -> None:
    patterns = counts(film, 60) * scale
    new = np.zeros((33, 33))
    new[4:9, 24:29] = 0.8 * patterns.max()
    feature = make_feature(DEFAULT_TARGET, film.axes)
    feature.partial_fit(patterns[:40]).partial_fit(patterns[40:])
    unseen = patterns[:1] + new.ravel()
    assert alarms(feature, unseen).tolist() == [True]
    assert feature.residual(unseen)[0] > 0.5
    assert feature.residual(patterns).mean() < 0.15


def test_the_value_of_a_count_is_that_of_the_variances() -> None:
    memory = PatternMemory((3, 3))
    means = np.random.default_rng(0).poisson(8.0, (6, 9)) / 4.0
    memory.learn_noise(means, means / 4.0)
    memory.take(means)
    np.testing.assert_allclose(memory.count, 0.25)
