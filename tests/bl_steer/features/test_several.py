"""The features of several targets, which share what they can."""

from __future__ import annotations

import numpy as np
import pytest

from bl_steer.features import NMFFeature, check_targets, make_feature, make_features
from bl_steer.features.memory import memory_of
from bl_steer.protocols import Array
from simulators.film import SigeFilm

FILM = SigeFilm("multi-domain", seed=2)
RICH, TILTED = "nmf:4@x=0.45,R=0.9,tilt=0", "nmf:4@x=0.2,R=0.9,tilt=0.3"


@pytest.fixture(scope="module")
def patterns() -> Array:
    x, y = FILM.grid
    cells = np.random.default_rng(0).choice(len(x), 24, replace=False)
    shots = [FILM.expose(x[i], y[i], exposure_s=1.0, time_s=0.0, shot=int(i))[0] for i in cells]
    return np.stack([shot.ravel() for shot in shots]).astype(float)


def test_targets_with_as_many_components_share_one_factorisation(patterns: Array) -> None:
    rich, other, tilted = make_features([RICH, "total", TILTED], FILM.axes)
    assert isinstance(rich, NMFFeature)
    assert isinstance(tilted, NMFFeature)
    assert rich.basis is tilted.basis
    for pattern in patterns:
        for feature in (rich, other, tilted):
            feature.partial_fit(pattern[None])
    assert rich.basis.n_seen == len(patterns)
    assert rich.version == tilted.version > 0
    assert rich.anchor_ is not None
    assert tilted.anchor_ is not None
    assert rich.anchor_ != tilted.anchor_
    # Each follows its own reference, as it would alone.
    for feature, text in ((rich, RICH), (tilted, TILTED)):
        alone = make_feature(text, FILM.axes)
        for pattern in patterns:
            alone.partial_fit(pattern[None])
        together, by_itself = feature.transform(patterns), alone.transform(patterns)
        assert np.corrcoef(together, by_itself)[0, 1] > 0.95


def test_what_is_told_of_all_patterns_is_told_once() -> None:
    first, second = make_features([RICH, TILTED], FILM.axes)
    assert memory_of(first) is not None
    assert memory_of(second) is None


@pytest.mark.parametrize(
    ("targets", "shared"),
    [([RICH, "nmf:5@x=0.2"], False), (["nmf:1@x=0.45", "nmf:1@x=0.2"], False)],
)
def test_other_numbers_of_components_share_nothing(targets: list[str], shared: bool) -> None:
    first, second = make_features(targets, FILM.axes)
    assert isinstance(first, NMFFeature)
    assert isinstance(second, NMFFeature)
    assert (first.basis is second.basis) == shared


def test_features_of_late_frames_share_as_well(patterns: Array) -> None:
    early = make_features([RICH, TILTED], FILM.axes)
    late = make_features([RICH, TILTED], lambda: FILM.axes)
    for pattern in patterns[:12]:
        for feature in (*early, *late):
            feature.partial_fit(pattern[None])
    for one, other in zip(early, late, strict=True):
        np.testing.assert_array_equal(one.transform(patterns), other.transform(patterns))


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (["total", "total"], "several targets must differ"),
        (["ref:x=0.45", "ref:x=.45,R=0.9,tilt=0"], "several targets must differ"),
        (["total", "field:counts"], "one detector's frames"),
        (["total", "nothing"], "target must be"),
    ],
)
def test_targets_that_cannot_be_sought_together_are_refused(
    targets: list[str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        check_targets(targets)
