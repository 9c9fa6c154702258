"""Boundaries in the loss of a training: counted as `structure` does, and brought to the truth."""

from itertools import combinations, product

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from bl_steer.analysis.segmentation.phases import UNLABELLED
from bl_steer.analysis.segmentation.training.boundaries import (
    BoundaryLoss,
    boundary_densities,
    one_hot,
)
from bl_steer.analysis.structure import LabelVolume, contact_areas, triple_line_lengths


def labels_of(n_phases: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    fields = [gaussian_filter(rng.standard_normal((40, 50)), 3.0) for _ in range(n_phases)]
    return np.argmax(fields, axis=0).astype(np.uint8)


def as_tensor(labels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(labels.astype(np.int64))[None]


@pytest.mark.parametrize("n_phases", [2, 3, 4])
def test_boundaries_and_triple_points_are_those_that_structure_measures(n_phases: int) -> None:
    labels = labels_of(n_phases)
    *lengths, points = boundary_densities(one_hot(as_tensor(labels), n_phases))[0].tolist()
    volume = LabelVolume.of(labels[None], (1.0, 1.0, 1.0), dict(enumerate("abcd"[:n_phases])))
    areas = contact_areas(volume, blocks=1, n_draws=1).area_nm2 / labels.size
    # A plane cuts isotropic surfaces in π/4 of their area, lines in points, half their length.
    assert lengths == pytest.approx(
        [np.pi / 4 * areas[pair] for pair in combinations(range(n_phases), 2)], rel=1e-5
    )
    lines = triple_line_lengths(volume, blocks=1, n_draws=1).length_nm.sum() / labels.size
    assert points == pytest.approx(lines / 2, rel=1e-5)


def test_shares_give_what_is_expected_of_independent_pixels() -> None:
    shares = torch.rand(1, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    shares /= shares.sum(dim=1, keepdim=True)
    expected = torch.zeros(1, 4)
    for labels in product(range(3), repeat=4):
        shown = torch.tensor(labels).reshape(1, 2, 2)
        chance = shares.gather(1, shown[:, None]).prod()
        expected += chance * boundary_densities(one_hot(shown, 3))
    torch.testing.assert_close(boundary_densities(shares), expected)


def test_a_false_rim_and_a_false_speck_are_forgotten() -> None:
    truth = np.zeros((24, 24), np.uint8)
    truth[:, 12:] = 2
    truth[18:, 8:16] = 1
    seen = truth.copy()
    seen[:14, 12] = 1
    seen[4, 4] = 2
    logits = (1.5 * one_hot(as_tensor(seen), 3) + one_hot(as_tensor(truth), 3)).requires_grad_()
    loss = BoundaryLoss([truth], 3)
    before = loss(logits, as_tensor(truth)).item()
    optimiser = torch.optim.Adam([logits], lr=0.05)
    for _ in range(60):
        optimiser.zero_grad()
        loss(logits, as_tensor(truth)).backward()
        optimiser.step()
    anew = BoundaryLoss([truth], 3)
    assert anew(logits, as_tensor(truth)).item() < 0.05 * before
    assert float(BoundaryLoss([truth], 3)(10 * one_hot(as_tensor(truth), 3), as_tensor(truth))) == 0


def test_a_phase_gets_its_fraction_back() -> None:
    truth = labels_of(3)
    chances = gaussian_filter(one_hot(as_tensor(truth), 3)[0].numpy(), (0, 1.0, 1.0))
    logits = torch.from_numpy(np.log(chances + 1e-3))[None]
    logits[:, 1] -= 1.0  # a phase that is seen too seldom, as thin parts are
    loss = BoundaryLoss([truth], 3)
    offset = torch.zeros(1, 3, 1, 1, requires_grad=True)
    optimiser = torch.optim.Adam([offset], lr=0.05)
    for _ in range(80):
        optimiser.zero_grad()
        loss(logits + offset, as_tensor(truth)).backward()
        optimiser.step()

    def lost(shown: torch.Tensor) -> float:
        return 1 - float((shown.argmax(dim=1) == 1).sum()) / (truth == 1).sum()

    assert lost(logits) > 0.15
    assert abs(lost(logits + offset.detach())) < 0.03


def test_an_error_that_entropy_holds_on_to_goes_in_the_end() -> None:
    truth = labels_of(3)
    chances = gaussian_filter(one_hot(as_tensor(truth), 3)[0].numpy(), (0, 1.5, 1.5))
    chances[1] *= 0.4
    logits = torch.from_numpy(np.log(chances / chances.sum(axis=0) + 1e-3))[None]

    def fraction_after(persistence: float) -> float:
        loss = BoundaryLoss([truth], 3, persistence=persistence)
        offset = torch.zeros(1, 3, 1, 1, requires_grad=True)
        optimiser = torch.optim.Adam([offset], lr=0.02)
        for _ in range(150):
            optimiser.zero_grad()
            # As entropy does, the square holds what was learnt, here the phase that is missed.
            (loss(logits + offset, as_tensor(truth)) + offset.square().sum()).backward()
            optimiser.step()
        shown = (logits + offset.detach()).argmax(dim=1)
        return float((shown == 1).sum()) / int((truth == 1).sum()) - 1

    assert fraction_after(0.0) < -0.1
    assert abs(fraction_after(0.3)) < 0.05


def test_pixels_without_label_have_no_boundary() -> None:
    labels = labels_of(3)
    labels[:, 20:30] = UNLABELLED
    whole = boundary_densities(one_hot(as_tensor(labels), 3))
    blank = labels.copy()
    blank[:, 30:] = UNLABELLED
    left = boundary_densities(one_hot(as_tensor(blank), 3))
    right = boundary_densities(one_hot(as_tensor(labels[:, 30:]), 3))
    assert 0 < float(left[0, 0]) < float(whole[0, 0])
    rows, columns = 40, 50
    points = [float(d[0, 3]) * area for d, area in (
        (whole, (rows - 1) * (columns - 1)),
        (left, (rows - 1) * (columns - 1)),
        (right, (rows - 1) * 19),
    )]  # fmt: skip
    assert points[0] == pytest.approx(points[1] + points[2], rel=1e-4)
    logits = torch.randn(1, 3, rows, columns, generator=torch.Generator().manual_seed(0))
    changed = logits.clone()
    changed[..., 20:30] = 0
    first, second = (
        float(BoundaryLoss([labels], 3)(seen, as_tensor(labels))) for seen in (logits, changed)
    )
    assert first == pytest.approx(second)
