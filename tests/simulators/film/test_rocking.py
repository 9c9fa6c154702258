"""The film as a circle rocks it: rocking curves, in steps and in a sweep, and shots that keep
their noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import numpy as np
import pytest
from bluesky import RunEngine

from bl_steer.features import make_feature
from simulators.film.beamline import SPEED, SimulatedBeamline
from simulators.film.film_fields import PRESETS
from simulators.film.rocking import RESOLUTION_SIGMA_DEG, rocking_factor
from simulators.film.sige_film import SigeFilm
from simulators.film.truth import true_map

ANGLES = np.linspace(-1.0, 1.0, 41)
GE_RICH = "ref:x=0.45,R=0.9,tilt=0"


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SimulatedBeamline:
    """A beamline whose beam is steady and whose frames have neither zingers nor losses."""
    for name in ("DRIFT", "TOP_UP_LOSS", "DEAD_PROBABILITY", "ZINGER_PROBABILITY"):
        monkeypatch.setattr(f"simulators.film.sige_film.{name}", 0.0)
    return SimulatedBeamline(SigeFilm("smooth", seed=1), frames_dir=tmp_path)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_at_the_aligned_angle_a_frame_is_what_it_is_without_circles(preset: str) -> None:
    film = SigeFilm(preset, seed=3)
    x, y = (positions[::31] for positions in film.grid)
    np.testing.assert_array_equal(film.rates(x, y, rocking_deg=0.0), film.rates(x, y))
    tilts, (q, _) = film.tilts(x, y), film.peaks(x, y)
    assert (rocking_factor(0.0, tilts, q, np.full(4, 0.01)) == 1.0).all()
    nearly = film.rates(x, y, rocking_deg=1e-9)
    np.testing.assert_allclose(nearly, film.rates(x, y), rtol=1e-6)


def test_background_does_not_follow_the_circle() -> None:
    film = SigeFilm("smooth", seed=1)
    x, y = film.grid
    far = film.rates(x[:20], y[:20], rocking_deg=30.0)
    np.testing.assert_allclose(far, film.settings.background_rate, rtol=1e-12)


@pytest.mark.parametrize("side", [-1, 0, 1])
def test_a_domain_is_brightest_where_the_circle_has_turned_by_its_tilt(side: int) -> None:
    film = SigeFilm("multi-domain", seed=0)
    x, y = film.grid
    tilt = film.fields.matrix_tilt_deg(x, y)
    spot = int(np.abs(tilt - 0.3 * side).argmin())
    # Far from the other populations' peaks: the substrate and the Ge-rich one do not lean.
    matrix = make_feature(f"ref:x=0.18,R=0.86,tilt={tilt[spot]:.4f}", film.axes)
    angles = np.linspace(-1.0, 1.0, 201)
    curve = [
        matrix.transform(
            film.rates(x[spot : spot + 1], y[spot : spot + 1], rocking_deg=a).reshape(1, -1)
        )[0]
        for a in angles
    ]
    assert angles[int(np.argmax(curve))] == pytest.approx(tilt[spot], abs=0.05)


def test_mosaic_spread_and_resolution_add_in_squares() -> None:
    q, still = np.array([[[2.0, 2.0]]]), np.zeros((1, 1))
    for mosaic_deg in (0.0, 0.2):
        across = np.array([np.radians(mosaic_deg) * np.sqrt(8.0)])
        sigma = np.hypot(mosaic_deg, RESOLUTION_SIGMA_DEG)
        for turned in (-1.0, 2.0):
            factor = rocking_factor(turned * sigma, still, q, across)
            assert factor.item() == pytest.approx(np.exp(-0.5 * turned**2))


@pytest.mark.parametrize("preset", ["smooth", "multi-domain", "needle"])
def test_sum_over_a_rocking_scan_has_its_maximum_where_the_true_map_has_it(preset: str) -> None:
    film = SigeFilm(preset, seed=1)
    x, y = film.grid
    truth = true_map(film, GE_RICH)
    near = truth > 0.5 * truth.max()  # the frames of the whole map take half a minute
    scan = sum(film.rates(x[near], y[near], rocking_deg=angle) for angle in ANGLES)
    values = make_feature(GE_RICH, film.axes).transform(np.reshape(scan, (near.sum(), -1)))
    assert truth[near][values.argmax()] == truth.max()


def sweep(beamline: SimulatedBeamline, start: float, stop: float, n: int) -> Any:
    """Turn the circle at constant speed while the detector takes its series."""
    eta, det = beamline.diffractometer.eta, beamline.det
    exposure_s = float(det.exposure_time.get())
    yield from bps.mv(det.n_frames, n)
    yield from bps.mv(eta.velocity, SPEED)
    yield from bps.mv(eta, start)
    yield from bps.mv(eta.velocity, (stop - start) / (n * exposure_s))

    @bpp.stage_decorator([det])
    @bpp.run_decorator()
    def series() -> Any:
        yield from bps.abs_set(eta, stop, group="sweep")
        yield from bps.trigger(det, group="sweep")
        yield from bps.wait("sweep")
        yield from bps.create("primary")
        yield from bps.read(det)
        yield from bps.read(eta)
        yield from bps.save()

    yield from series()


def test_every_frame_of_a_sweep_is_taken_at_an_angle_of_its_own(
    RE: RunEngine, steady: SimulatedBeamline
) -> None:
    eta = steady.diffractometer.eta
    encoder: list[tuple[float, float]] = []
    RE(sweep(steady, -1.0, -1.0 + 1e-9, 1))
    eta.user_readback.subscribe(
        lambda value, timestamp, **_: encoder.append((timestamp, value)), run=False
    )
    begun = steady.clock.now
    RE(sweep(steady, -1.0, 1.0, 10))
    assert eta.position == 1.0
    middles = np.linspace(-0.9, 0.9, 10)
    film = steady.sample
    expected = [
        10.0 * film.rates(np.array([0.0]), np.array([0.0]), rocking_deg=a)[0].sum() for a in middles
    ]
    totals = steady.det.frames().sum(axis=(1, 2)) - 10.0 * film._hot.sum()  # type: ignore[attr-defined]
    np.testing.assert_allclose(totals, expected, atol=6.0 * np.sqrt(max(expected)))
    # The encoder's values with its time stamps give the same angles, in the middle of the frames.
    times, angles = np.array(encoder).T
    moving = (angles > -1.0) & (angles < 1.0)
    assert np.polyfit(times[moving], angles[moving], 1)[0] == pytest.approx(0.02)
    for middle in middles:
        assert np.abs(angles - middle).min() < 1e-9
    assert steady.clock.now - begun == pytest.approx(0.9 + 100.0 + 0.9)


def test_steps_and_sweep_see_the_same_rocking_curve(
    RE: RunEngine, steady: SimulatedBeamline
) -> None:
    eta, det = steady.diffractometer.eta, steady.det
    middles = np.linspace(-0.9, 0.9, 10)
    totals: list[float] = []
    RE(
        bp.list_scan([det], eta, middles.tolist()),
        lambda name, doc: totals.append(doc["data"]["det_total"]) if name == "event" else None,
    )
    RE(sweep(steady, -1.0, 1.0, 10))
    swept = det.frames().sum(axis=(1, 2))
    np.testing.assert_allclose(totals, swept, atol=6.0 * np.sqrt(max(totals)))
    assert max(totals) > 1.5 * min(totals)


def test_a_motion_that_the_plan_waits_for_is_over_before_the_exposure(
    RE: RunEngine, steady: SimulatedBeamline
) -> None:
    eta = steady.diffractometer.eta
    begun = steady.clock.now
    RE(bps.mv(eta, 50.0))
    assert steady.clock.now - begun == pytest.approx(1.0 + 0.9)
    RE(bps.mv(eta, 0.0))
    RE(bps.trigger(steady.det, wait=True))
    assert steady.clock.now - begun == pytest.approx(2 * 1.9 + 10.2)


def test_a_stopped_circle_stays_where_it_is(RE: RunEngine, steady: SimulatedBeamline) -> None:
    eta, det = steady.diffractometer.eta, steady.det

    def stopped() -> Any:
        yield from bps.mv(eta.velocity, 0.1)
        yield from bps.abs_set(eta, 10.0, group="turn")
        yield from bps.trigger(det, group="exposure")
        yield from bps.stop(eta)
        yield from bps.wait("exposure")

    RE(stopped())
    assert eta.position == pytest.approx(0.1 * 10.2)
    assert eta.user_setpoint.get() == eta.position
    RE(bps.mv(eta.velocity, SPEED))
    RE(bps.mv(eta, 0.0))
    assert eta.position == 0.0


def test_steps_of_a_point_have_noise_of_their_own_and_keep_it_when_repeated(
    steady: SimulatedBeamline,
) -> None:
    """Many exposures for one row of the file; after a pause all of them are taken again."""
    eta, det = steady.diffractometer.eta, steady.det
    det.stage()

    def steps() -> list[bytes]:
        frames = []
        for angle in (-0.1, 0.0, 0.1):
            eta.set(angle).wait(60.0)
            det.trigger().wait(60.0)
            frames.append(det.frames().tobytes())
        return frames

    first, again = steps(), steps()
    list(det.collect_asset_docs())
    following = steps()
    det.unstage()
    assert first == again
    assert len({*first, *following}) == 6
