import numpy as np
import pytest

from bl_steer.diffraction import FrameAxes
from bl_steer.features import DEFAULT_TARGET, NMFFeature, make_feature, parse_reference, propose
from bl_steer.features.reference import matched_filter, reference_pattern
from bl_steer.protocols import Array
from simulators.film.sige_film import SigeFilm

GE_RICH = parse_reference("x=0.45,R=0.9,tilt=0")
WINDOW = np.linspace(2.24, 2.345, 33)
FRAME = FrameAxes(WINDOW, WINDOW)


def normalised(film: SigeFilm, exposure_s: float) -> Array:
    """All grid points of a film as measured; dead frames are measured again."""
    patterns = []
    for shot, (x, y) in enumerate(zip(*film.grid, strict=True)):
        frame = np.zeros(1)
        attempt = 0
        while not frame.any():
            frame, monitor = film.expose(
                x, y, exposure_s=exposure_s, time_s=0.0, shot=shot + 10_000 * attempt
            )
            attempt += 1
        patterns.append(frame.ravel() * film.nominal_monitor * exposure_s / monitor)
    return np.array(patterns)


@pytest.fixture(scope="module", params=["multi-domain", "smooth"])
def film(request: pytest.FixtureRequest) -> tuple[SigeFilm, Array]:
    film = SigeFilm(request.param, seed=2)
    return film, normalised(film, 10.0)


def mixed(n_points: int, seed: int) -> tuple[Array, Array]:
    """Poisson mixtures of four peaks: patterns, and the true heights of the Ge-rich one."""
    rng = np.random.default_rng(seed)
    names = ("x=0.45", "x=0.22,tilt=0.3", "x=0.22,tilt=-0.3", "x=0.3")
    basis = np.stack([reference_pattern(parse_reference(name), FRAME) for name in names])
    heights = rng.gamma(0.6, 150.0, (n_points, 4))
    return rng.poisson(heights @ basis).astype(float), heights[:, 0]


def loss(patterns: Array, feature: NMFFeature) -> float:
    return float(((patterns - feature.coefficients(patterns) @ feature.components_) ** 2).sum())


def test_before_the_first_fit_the_outcome_is_the_matched_filter() -> None:
    patterns, _ = mixed(9, seed=0)
    feature = NMFFeature(4, GE_RICH, FRAME).partial_fit(patterns)
    assert (feature.version, feature.anchor_) == (0, None)
    np.testing.assert_allclose(
        feature.transform(patterns), make_feature("ref:x=0.45", FRAME).transform(patterns)
    )
    assert not feature.residual(patterns).any()
    assert not feature.alarm(patterns).any()
    assert feature.partial_fit(patterns[:1]).version == 1


def test_first_fit_waits_for_two_patterns_a_component() -> None:
    patterns, _ = mixed(16, seed=0)
    feature = NMFFeature(8, GE_RICH, FRAME)
    assert feature.partial_fit(patterns[:15]).version == 0
    assert feature.partial_fit(patterns[15:]).version == 1


def test_fits_come_whenever_the_patterns_have_grown_by_a_fifth() -> None:
    patterns, _ = mixed(65, seed=1)
    feature = NMFFeature(2, GE_RICH, FRAME)
    fits = []
    for n, pattern in enumerate(patterns, start=1):
        before = feature.version
        if feature.partial_fit(pattern[None]).version > before:
            fits.append(n)
    assert fits == [10, 15, 20, 25, 30, 36, 44, 53, 64]
    assert feature.version == len(fits)


def test_everything_at_once_without_masks_equals_batch_nmf_of_scikit_learn() -> None:
    from sklearn.decomposition import NMF

    patterns, _ = mixed(40, seed=2)
    feature = NMFFeature(4, GE_RICH, FRAME, seed=7, masks=False).partial_fit(patterns)
    named = np.sqrt(0.2) * np.linalg.norm(patterns) * feature.pattern
    rows = np.vstack([patterns, named / np.linalg.norm(feature.pattern)])
    model = NMF(4, init="nndsvda", tol=1e-4, max_iter=200, random_state=7).fit(rows)
    batch = model.components_ / model.components_.max(axis=1, keepdims=True)
    np.testing.assert_array_equal(feature.components_, batch)


def test_online_basis_depends_on_the_patterns_and_not_on_earlier_fits() -> None:
    patterns, _ = mixed(30, seed=3)
    one_by_one = NMFFeature(4, GE_RICH, FRAME)
    for pattern in patterns:
        one_by_one.partial_fit(pattern[None])
    at_once = NMFFeature(4, GE_RICH, FRAME).partial_fit(patterns)
    np.testing.assert_array_equal(one_by_one.components_, at_once.components_)


def test_same_calls_give_the_same_state_bit_for_bit() -> None:
    patterns, _ = mixed(33, seed=4)
    features = [NMFFeature(4, GE_RICH, FRAME, seed=1) for _ in range(2)]
    for feature in features:
        feature.partial_fit(patterns[:7]).partial_fit(patterns[7:12])
        feature.partial_fit(patterns[12:])
    first, second = features
    np.testing.assert_array_equal(first.components_, second.components_)
    np.testing.assert_array_equal(first.transform(patterns), second.transform(patterns))
    np.testing.assert_array_equal(first.alarm(patterns), second.alarm(patterns))


def test_all_is_non_negative_and_negative_values_count_as_zero() -> None:
    patterns, _ = mixed(30, seed=5)
    feature = NMFFeature(4, GE_RICH, FRAME, masks=False).partial_fit(patterns - 3.0)
    assert feature.components_.min() >= 0
    assert feature.coefficients(patterns).min() >= 0
    assert feature.transform(patterns).min() >= 0
    share = feature.residual(patterns)
    assert ((share >= 0) & (share <= 1)).all()
    clipped = NMFFeature(4, GE_RICH, FRAME, masks=False)
    clipped.partial_fit(np.maximum(patterns - 3.0, 0.0))
    np.testing.assert_array_equal(feature.components_, clipped.components_)


def test_loss_never_rises_with_more_components() -> None:
    patterns, _ = mixed(40, seed=6)
    losses = [
        loss(patterns, NMFFeature(k, GE_RICH, FRAME).partial_fit(patterns)) for k in (1, 2, 4)
    ]
    assert losses[0] > losses[1] > losses[2]


def test_component_is_named_by_the_reference_and_not_by_its_index() -> None:
    patterns, _ = mixed(40, seed=7)
    feature = NMFFeature(4, GE_RICH, FRAME).partial_fit(patterns)
    before = feature.transform(patterns)
    for order in ([3, 2, 1, 0], [1, 0, 3, 2], [2, 3, 0, 1]):
        feature.basis.components_ = feature.components_[order]
        np.testing.assert_allclose(feature.transform(patterns), before, rtol=1e-8, atol=1e-8)


def test_identity_and_scale_last_across_versions() -> None:
    patterns, heights = mixed(120, seed=8)
    feature = NMFFeature(4, GE_RICH, FRAME)
    for pattern in patterns:
        version = feature.version
        feature.partial_fit(pattern[None])
        if feature.version > version:
            assert feature.anchor_ is not None
            assert feature.anchor_cosine_ > 0.95
            outcomes = feature.transform(patterns)
            assert np.corrcoef(outcomes, heights)[0, 1] > 0.98
            assert np.polyfit(heights, outcomes, 1)[0] == pytest.approx(1.0, abs=0.1)


def test_reference_without_its_phase_keeps_a_component_and_stays_near_zero() -> None:
    rng = np.random.default_rng(9)
    matrix = reference_pattern(parse_reference("x=0.2"), FRAME)
    patterns = rng.poisson(np.outer(rng.uniform(50, 300, 30), matrix)).astype(float)
    feature = NMFFeature(3, GE_RICH, FRAME).partial_fit(patterns)
    assert feature.anchor_cosine_ > 0.9
    assert feature.transform(patterns).max() < 3.0


def test_map_without_counts_is_no_error() -> None:
    feature = NMFFeature(4, GE_RICH, FRAME).partial_fit(np.zeros((12, 33 * 33)))
    assert (feature.version, feature.anchor_) == (1, None)
    assert not feature.transform(np.zeros((2, 33 * 33))).any()


def test_zingers_do_not_become_components() -> None:
    patterns, heights = mixed(30, seed=10)
    rng = np.random.default_rng(10)
    hit = patterns.copy()
    rows = rng.choice(30, 8, replace=False)
    hit[rows, rng.choice(33 * 33, 8, replace=False)] += 4000.0
    hit[:, 777] += 400.0
    feature = NMFFeature(4, GE_RICH, FRAME).partial_fit(hit)
    assert np.corrcoef(feature.transform(hit), heights)[0, 1] > 0.98
    assert not feature.alarm(hit).any()


def test_unseen_phase_raises_the_alarm_and_ordinary_patterns_do_not() -> None:
    patterns, _ = mixed(330, seed=11)
    feature = NMFFeature(4, GE_RICH, FRAME)
    for pattern in patterns[:30]:
        feature.partial_fit(pattern[None])
    ordinary = patterns[30:]
    assert feature.alarm(ordinary).mean() < 0.03
    unseen = reference_pattern(parse_reference("x=0.62"), FRAME)
    walked = reference_pattern(parse_reference("x=0.45,tilt=0.4"), FRAME)
    for phase in (unseen, walked):
        with_phase = ordinary + np.random.default_rng(0).poisson(100 * phase, ordinary.shape)
        assert feature.alarm(with_phase).mean() > 0.95
        assert feature.residual(with_phase).mean() > 2 * feature.residual(ordinary).mean()


def test_alarm_ends_once_the_phase_has_been_learned() -> None:
    patterns, _ = mixed(60, seed=12)
    phase = reference_pattern(parse_reference("x=0.62"), FRAME)
    patterns[30:] += np.random.default_rng(1).poisson(100 * phase, (30, 33 * 33))
    feature = NMFFeature(5, GE_RICH, FRAME).partial_fit(patterns[:30])
    assert feature.alarm(patterns[30:]).all()
    assert feature.partial_fit(patterns[30:]).alarm(patterns[30:]).mean() < 0.1


@pytest.mark.parametrize("n_patterns", [10, 20, 50, 100])
def test_film_outcome_follows_the_truth_from_few_patterns(
    film: tuple[SigeFilm, Array], n_patterns: int
) -> None:
    sample, patterns = film
    x, y = sample.grid
    reference = reference_pattern(GE_RICH, sample.axes)
    truth = matched_filter(sample.rates(x, y).reshape(len(x), -1) * 10.0, reference)
    feature = make_feature(DEFAULT_TARGET, sample.axes)
    chosen = np.random.default_rng(n_patterns).permutation(len(x))[:n_patterns]
    for index in chosen:
        feature.partial_fit(patterns[index][None])
    outcomes = feature.transform(patterns)
    assert np.corrcoef(outcomes, truth)[0, 1] > 0.95
    best = int(outcomes.argmax())
    away = np.hypot(x[best] - x[truth.argmax()], y[best] - y[truth.argmax()])
    assert truth[best] >= 0.95 * truth.max() or away <= 5.0


def test_proposals_ask_for_as_many_patterns_as_components() -> None:
    with pytest.raises(ValueError, match=r"must lie in 1 … 3 for 3 patterns of 1089 pixels, got 4"):
        propose(np.ones((3, 33 * 33)), 4)
