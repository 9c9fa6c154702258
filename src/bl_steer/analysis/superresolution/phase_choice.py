"""From shares of phases to phases, so that inserted planes look like the slices on the whole.

The most probable phase is a biased guess: thin phases lose, the more the farther a plane lies from
its slices, and boundaries come out too smooth. Where it is not known on which side of a film a
voxel lies, either side is more probable than the film itself: films get holes, and what they part
touches. Slices are thin planes through the sample. So inserted planes must on the whole have the
slices' fractions (Delesse, 1847), their length of boundary, and no more of it between two phases.
All three are known without a ground truth, and the choice is fitted to them. The outermost slices
bound one interval instead of two, so they count half.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter1d

__all__ = ["RULE", "PhaseChoice"]

FLOOR = 1e-3
"""Of a phase's share before its logarithm is taken."""
SHARPENING_PX = 1.0
"""Standard deviation of the mean that the logarithms are compared with."""
MAX_SHARPENING = 0.5
"""More would make boundaries ragged where nothing is missing."""
HALVINGS = 6
"""Of the interval in which the sharpening is sought."""
SAMPLE = 200_000
"""Voxels from which the offsets of a distance are found, at most."""
MAX_ROUNDS = 60
MAX_OFFSET = 2.0
"""What is all but certain stays as it is, even where the slices have other fractions by chance."""
CLOSE_ENOUGH = 5e-4
"""Of the fractions, when the offsets are sought."""
RULE = 2
"""Number of this way to choose: a volume that another one began is not gone on with."""
COST_OF_PARTED = 2.0
"""Of mistaking two phases that a film parts, over that of others: what lies between the two then
begins where either is as probable as all others together, as the median of its edge does."""
LEAST_SHARE, AROUND_PX = 0.15, 1.5
"""Of a phase around a voxel, by a Gaussian of this standard deviation in the section, that it must
have where costs differ: films would else run out in wedges finer than a voxel."""

TINY = 1e-6
"""In place of no contact at all, before a logarithm is taken."""

Values = NDArray[np.float32]


@dataclass(frozen=True)
class PhaseChoice:
    """How the phase of a voxel follows from the shares of yz sections.

    Parameters
    ----------
    factor : planes for each interval between two slices
    offsets : (n_distances, n_phases), added to the logarithms of the shares: a row for each
        distance of a plane from the nearest slice, from 1 to half the factor
    sharpening : how much of its difference from the mean around is added to the logarithm of a
        share, within the section; it makes boundaries longer
    costs : (n_phases, n_phases), of taking one phase for another, symmetric, 0 on the diagonal; the
        phase of the least expected cost is chosen, which is the most probable one where all are 1
        (None)
    """

    factor: int
    offsets: NDArray[np.float64]
    sharpening: float = 0.0
    costs: NDArray[np.float64] | None = None

    @classmethod
    def free(cls, factor: int, n_phases: int) -> Self:
        """Return the choice of the most probable phase."""
        return cls(factor, np.zeros((factor // 2, n_phases)))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return what `to_dict` wrote."""
        costs = values["costs"]
        return cls(
            values["factor"],
            np.asarray(values["offsets"]),
            values["sharpening"],
            None if costs is None else np.asarray(costs),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the choice as JSON can have it."""
        costs = None if self.costs is None else self.costs.tolist()
        return {
            "factor": self.factor,
            "offsets": self.offsets.tolist(),
            "sharpening": self.sharpening,
            "costs": costs,
        }

    @classmethod
    def fitted(cls, shares: Values, slices: NDArray[Any], factor: int) -> Self:
        """Return the choice that gives inserted planes the fractions and boundaries of slices.

        Parameters
        ----------
        shares : (n_phases, N, H, n_sections): the mean of both directions
        slices : (n, H, n_sections): labels of the same sections
        """
        n_phases = len(shares)
        fractions = _of_intervals([(slices == k).mean((1, 2)) for k in range(n_phases)])
        contacts = _of_intervals(np.moveaxis(_contacts(slices, n_phases), 0, -1))
        whole = contacts / max(contacts.sum(), TINY)
        logarithms = _logarithms(shares)
        detail = _detail(logarithms)
        choice, found = cls._fair(logarithms, fractions=fractions, factor=factor)
        fit = partial(cls._fair, fractions=fractions, factor=factor)
        parted = _parted(_excess(choice._touching(logarithms), whole))
        if parted.any():
            costs = np.where(parted, COST_OF_PARTED, 1.0) * (1.0 - np.eye(n_phases))
            apart, found_apart = fit(logarithms, costs=costs)
            off, off_apart = (
                np.abs(np.log(_excess(one._touching(logarithms), whole)[parted] + TINY)).max()
                for one in (choice, apart)
            )
            if off_apart < off:
                choice, found, fit = apart, found_apart, partial(fit, costs=costs)
        if found.sum() >= contacts.sum():
            return choice
        # Sharpening lengthens boundaries, so the sharpening that gives the slices' length is found
        # by halving. It moves the fractions too: the offsets are fitted anew at every step.
        low, high = 0.0, MAX_SHARPENING
        for _ in range(HALVINGS):
            middle = 0.5 * (low + high)
            choice, found = fit(logarithms + np.float32(middle) * detail, sharpening=middle)
            low, high = (middle, high) if found.sum() < contacts.sum() else (low, middle)
        return choice

    @classmethod
    def _fair(
        cls,
        logarithms: Values,
        *,
        fractions: NDArray[np.float64],
        factor: int,
        sharpening: float = 0.0,
        costs: NDArray[np.float64] | None = None,
    ) -> tuple[Self, NDArray[np.float64]]:
        """Return the choice that keeps the fractions at each distance, and the contacts it gives.

        Parameters
        ----------
        logarithms : of the shares, sharpened
        """
        n_phases = len(logarithms)
        distances = _distances(logarithms.shape[1], factor)
        barred = None if costs is None else _barred(logarithms)
        offsets = []
        for distance in range(1, factor // 2 + 1):
            at = distances == distance
            voxels = logarithms[:, at].reshape(n_phases, -1)
            out = None if barred is None else barred[:, at].reshape(n_phases, -1)
            if voxels.shape[1] > SAMPLE:  # drawn: even steps would take some sections only
                drawn = np.random.default_rng(0).choice(voxels.shape[1], SAMPLE)
                voxels, out = voxels[:, drawn], None if out is None else out[:, drawn]
            offsets.append(offsets_for(voxels, fractions, costs, out))
        choice = cls(factor, np.stack(offsets), sharpening, costs)
        inserted = choice._chosen(logarithms)[np.arange(logarithms.shape[1]) % factor != 0]
        return choice, _contacts(inserted, len(fractions)).mean(axis=0)

    def _touching(self, logarithms: Values) -> NDArray[np.float64]:
        """Return the share of each two phases in the boundary, (n_phases, n_phases).

        Along the second axis, which stands for the third, and from plane to plane: films that lie
        along the slices are lost there.
        """
        phases, n_phases = self._chosen(logarithms), len(logarithms)
        along, across = (
            _contacts(labels, n_phases).mean(axis=0) for labels in (phases, phases.swapaxes(0, 1))
        )
        return np.asarray(
            (2.0 * along / max(along.sum(), TINY) + across / max(across.sum(), TINY)) / 3.0
        )

    def __call__(self, shares: Values) -> NDArray[np.uint8]:
        """Return the phases (N, H, n_sections) for shares (n_phases, N, H, n_sections)."""
        logarithms = _logarithms(shares)
        if self.sharpening:
            logarithms += np.float32(self.sharpening) * _detail(logarithms)
        return self._chosen(logarithms)

    def _chosen(self, logarithms: Values) -> NDArray[np.uint8]:
        rows = np.maximum(_distances(logarithms.shape[1], self.factor) - 1, 0)
        offsets = self.offsets.astype(np.float32)[rows].T[:, :, None, None]
        barred = None if self.costs is None else _barred(logarithms)
        return _best(logarithms + offsets, self.costs, barred).astype(np.uint8)


def offsets_for(
    logarithms: NDArray[np.float32],
    target: NDArray[np.float64],
    costs: NDArray[np.float64] | None = None,
    barred: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:
    """Return the offsets with which the phases that are chosen have the fractions of the target.

    Parameters
    ----------
    logarithms : (n_phases, n_voxels), of the shares
    target : (n_phases,)
    costs : of the choice (`PhaseChoice`)
    barred : (n_phases, n_voxels): what is too rare to be chosen, with costs
    """
    # The fraction of a phase rises with its own offset, in steps of a voxel and at a rate that the
    # other offsets change: there is no slope to follow, only a sign. That is Rprop's case
    # (Riedmiller and Braun, 1993, DOI 10.1109/ICNN.1993.298623).
    offsets, step = np.zeros(len(target), np.float32), np.full(len(target), 0.2, np.float32)
    last = np.zeros(len(target))
    for _ in range(MAX_ROUNDS):
        best = _best(logarithms + offsets[:, None], costs, barred)
        missing = target - np.bincount(best, minlength=len(target)) / best.size
        if np.abs(missing).max() < CLOSE_ENOUGH:
            break
        # A step of its own for each phase: it grows while the sign stays and halves when it turns.
        step = np.clip(step * np.where(missing * last < 0, 0.5, 1.3), 1e-4, 0.5).astype(np.float32)
        offsets += step * np.sign(missing).astype(np.float32)
        # A common shift of all offsets changes no choice; without it they could drift to the limit.
        offsets = np.clip(offsets - offsets.mean(), -MAX_OFFSET, MAX_OFFSET)
        last = missing
    return offsets.astype(np.float64)


def _logarithms(shares: Values) -> Values:
    return np.log(np.maximum(shares, np.float32(FLOOR)))


def _detail(logarithms: Values) -> Values:
    """Return what differs from the mean of the voxels around, within each section (N, H)."""
    return np.asarray(logarithms - _around(logarithms, SHARPENING_PX), np.float32)


def _around(values: Values, deviation_px: float) -> Values:
    """Return the mean of the voxels around, within each section (N, H)."""
    for axis in (1, 2):
        values = gaussian_filter1d(values, deviation_px, axis=axis, truncate=3.0)
    return values


def _barred(logarithms: Values) -> NDArray[np.bool_]:
    """Return which phases are too rare around each voxel to be chosen, where costs differ."""
    shares = np.exp(logarithms)
    shares /= shares.sum(axis=0)
    return np.asarray(_around(shares, AROUND_PX) < LEAST_SHARE)


def _best(
    logarithms: Values,
    costs: NDArray[np.float64] | None,
    barred: NDArray[np.bool_] | None,
) -> NDArray[np.intp]:
    """Return the phase of the least expected cost, (…), for logarithms (n_phases, …) of shares."""
    if costs is None:
        return np.asarray(logarithms.argmax(axis=0))
    expected = np.tensordot(costs.astype(np.float32), np.exp(logarithms), axes=1)
    if barred is not None:
        expected[barred] = np.inf
    return np.asarray(expected.argmin(axis=0))


def _distances(n_planes: int, factor: int) -> NDArray[np.int64]:
    """Return how far each plane is from the nearest slice."""
    beyond = np.arange(n_planes) % factor
    return np.minimum(beyond, factor - beyond)


def _contacts(labels: NDArray[Any], n_phases: int) -> NDArray[np.float64]:
    """Return the share of neighbours along the second axis in each two phases, of each plane.

    Returns
    -------
    contacts : (N, n_phases, n_phases), symmetric, 0 on the diagonal
    """
    pairs = labels[:, 1:].astype(np.intp) * n_phases + labels[:, :-1]
    counts = np.stack([np.bincount(plane.ravel(), minlength=n_phases**2) for plane in pairs])
    shares = counts.reshape(-1, n_phases, n_phases) / max(pairs[0].size, 1)
    return np.asarray(0.5 * (shares + shares.swapaxes(1, 2)) * (1.0 - np.eye(n_phases)))


def _excess(found: NDArray[np.float64], contacts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how many times its share of the boundary two phases have; NaN where they have none."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(found / contacts)


def _parted(excess: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return the phases that touch too much where another, which touches both less, is between."""
    less = excess[:, None, :] < excess[:, :, None]  # of i and k, than i and j
    return np.asarray((excess > 1.0) & (less & less.swapaxes(0, 1)).any(axis=2))


def _of_intervals(slices: ArrayLike) -> NDArray[np.float64]:
    """Return the mean over the intervals between slices (…, n): the outer slices count half."""
    values = np.asarray(slices, np.float64)
    return np.asarray(0.5 * (values[..., 1:] + values[..., :-1]).mean(-1))
