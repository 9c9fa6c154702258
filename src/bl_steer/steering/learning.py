"""From patterns to outcomes, and to what the agent is told of them.

`bl_steer.steering.loop` decides; it hands on here what a point gave.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bl_steer.agents import Space
from bl_steer.features.memory import memory_of
from bl_steer.protocols import Agent, Array, Feature, LearnsNoise, Point, RaisesAlarm, WantsNoise
from bl_steer.runs import PointResult
from bl_steer.single_thread import single_thread
from bl_steer.steering.confirming import Confirmation
from bl_steer.steering.measurements import Measurements, SeenOutcomes
from bl_steer.steering.stopping.lookout import Lookout

__all__ = ["Learner", "outcomes_again"]

N_DRAWN = 8
"""Patterns that a point might as well have given."""


class Learner:
    """Turn patterns into outcomes, all anew where the basis is new, and tell the agent.

    Parameters
    ----------
    agent, feature : of the search
    space : what may be reported lies in it; None for anything
    lookout, confirmation : are told what the agent is told; None without
    noise : tell the agent how much noisier a point is that had less beam
    exact : see `bl_steer.steering.measurements.Measurements`

    Attributes
    ----------
    known : all that was measured
    residual, alarm : of the latest pattern, see `bl_steer.steering.Decision`
    wall_s, cpu_s : time that it took, s
    """

    def __init__(
        self,
        agent: Agent,
        feature: Feature,
        space: Space | None,
        lookout: Lookout | None,
        confirmation: Confirmation | None,
        *,
        noise: bool,
        exact: bool = True,
    ) -> None:
        self.agent = agent
        self.feature = feature
        self.known = Measurements(space, exact=exact)
        self._lookout = lookout
        self._confirmation = confirmation
        self._noise, self.exact = noise, exact
        self.residual, self.alarm = math.nan, False
        self.wall_s = self.cpu_s = 0.0
        self._seen_version = -1

    def new_seen(self, n_observed: int) -> SeenOutcomes | None:
        """Return the outcomes of earlier runs, if there are any, and new since the last call."""
        version = self.feature.version
        if version == self._seen_version or not self.known.n_seen:
            return None
        self._seen_version = version
        return self.known.seen(n_observed, version)

    def begin(self, result: PointResult) -> None:
        """Take note of what came back: of what it says of earlier points, and nothing of itself."""
        self.wall_s = self.cpu_s = 0.0
        if result.withdrawn:
            self._withdraw(result.withdrawn)
        if result.pattern is None:
            self.residual, self.alarm = math.nan, False

    def take(self, position: Point, result: PointResult, number: int) -> None:
        """Take the pattern of a point, with its number."""
        if result.pattern is None:
            return
        self.known.add(position, result.pattern, result.noise_ratio if self._noise else 1.0, number)
        wall, cpu = time.perf_counter(), time.thread_time()
        self._learn(result, result.pattern, number + 1)
        self.wall_s, self.cpu_s = time.perf_counter() - wall, time.thread_time() - cpu

    @single_thread()
    def _learn(self, result: PointResult, pattern: Array, n_observed: int) -> None:
        """Turn the latest pattern into its outcome, and those before where the basis is new."""
        version = self.feature.version
        if result.variance is not None and isinstance(self.feature, LearnsNoise):
            self.feature.learn_noise(pattern[None], result.variance[None])
        self.feature.partial_fit(pattern[None])
        if self._confirmation is not None and (memory := memory_of(self.feature)) is not None:
            memory.exposures_differ = True
        if isinstance(self.agent, WantsNoise) and self.agent.wants_noise:
            again = outcomes_again(self.feature, result, n_observed)
            if again is not None:
                self.agent.learn_noise(again, result.noise_ratio)
        self._label(1, anew=self.feature.version != version)
        self.residual = float(self.feature.residual(pattern[None])[0])
        self.alarm = result.alarm or (
            isinstance(self.feature, RaisesAlarm) and bool(self.feature.alarm(pattern[None])[0])
        )

    def _label(self, n_new: int, *, anew: bool) -> None:
        """Tell the outcomes of the latest points, or those of all where the basis is new."""
        known = self.known
        if anew:
            # A new basis gives every earlier point another outcome: the agent gets them all again.
            known.outcomes = self.feature.transform(np.stack(known.patterns))
        else:
            latest = self.feature.transform(np.stack(known.patterns[-n_new:]))
            known.outcomes = np.append(known.outcomes, latest)
        self._tell(known.told(range(0 if anew else len(known) - n_new, len(known))))
        if self._lookout is not None and (rows := known.within()):
            self._lookout.look(known.where()[rows], known.outcomes[rows], known.takes(rows))

    @single_thread()
    def see(self, positions: Array, results: Sequence[PointResult]) -> None:
        """Take points of earlier runs, see `bl_steer.steering.Steering.see`."""
        if not results:
            return
        if any(result.noise_ratio != 1.0 for result in results):
            # What has no shape before the first frame has one now.
            memory = memory_of(getattr(self.feature, "feature", self.feature))
            if memory is not None:
                memory.exposures_differ = True
        repeats = self._confirmation is not None
        self.known.see(positions, results, noise=self._noise, repeats=repeats)
        if isinstance(self.feature, LearnsNoise):
            for result in results:
                if result.pattern is not None and result.variance is not None:
                    self.feature.learn_noise(result.pattern[None], result.variance[None])
        patterns = np.stack(self.known.patterns)
        self.feature.partial_fit(patterns)
        self._label(len(results), anew=True)

    def _withdraw(self, points: Sequence[int]) -> None:
        """Take back the outcomes of points that were not measured as they seemed."""
        gone, told = self.known.take_back(points)
        self._tell(told)
        if (memory := memory_of(self.feature)) is not None:
            memory.forget(gone)

    def _tell(self, points: Sequence[Mapping[str, Any]]) -> None:
        self.agent.ingest(points)
        if self._lookout is not None:
            self._lookout.ingest(points)


def outcomes_again(feature: Feature, result: PointResult, number: int) -> Array | None:
    """Return outcomes that a point might as well have had, by counting alone; None where unknown.

    Photons are counted by chance: the outcome of the same look, taken again, is that of a pattern
    whose counts are drawn from Poisson's distribution around those that were counted.

    Parameters
    ----------
    number : of the point, which seeds the draws
    """
    pattern, worth = result.pattern, np.array(result.count)
    if pattern is None:
        return None
    if result.variance is not None:
        worth = np.divide(
            result.variance, pattern, out=np.full(len(pattern), np.nan), where=pattern > 0
        )
    worth = np.where(np.isfinite(worth) & (worth > 0), worth, np.nanmean([*worth.flat, 0.0]))
    if not (worth > 0).all():
        return None
    rng = np.random.default_rng([number, 7])
    counts = np.nan_to_num(np.maximum(pattern, 0.0)) / worth
    again = rng.poisson(counts, (N_DRAWN, len(pattern))) * worth
    again[:, np.isnan(pattern)] = np.nan
    return feature.transform(again)
