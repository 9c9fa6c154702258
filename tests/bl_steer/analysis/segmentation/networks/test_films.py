"""Thin films: a phase is more probable where two others meet, and nowhere else."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from bl_steer.analysis.segmentation import Passes, SegmentationModel
from bl_steer.analysis.segmentation.networks import FilmNetwork, SegmentationNetwork
from bl_steer.analysis.segmentation.tiles import iterate_tiles, standardise

OXIDE, CARBON, VOID = range(3)


class Levels(SegmentationNetwork):
    """Phases told by their levels of grey, pixel by pixel."""

    stride, halo = 1, 0

    def __init__(self, *levels: float) -> None:
        super().__init__()
        self._levels = torch.tensor(levels)[:, None, None]

    def forward(self, x: Tensor) -> Tensor:
        return -10 * (x - self._levels).square()


def labels_of(network: SegmentationNetwork, grey: NDArray[np.float32]) -> NDArray[np.int64]:
    with torch.inference_mode():
        logits = network(torch.from_numpy(grey)[None, None])
    return np.asarray(logits[0].argmax(dim=0).numpy())


def test_a_film_is_found_between_two_phases_and_not_in_the_midst_of_one() -> None:
    # Left oxide, right void; a column of .53 is nearer to oxide (1) than to carbon (0).
    grey = np.where(np.arange(12) < 6, np.float32(1.0), np.float32(-1.0)) * np.ones((5, 1), "f4")
    grey[:, [2, 6]] = 0.53
    plain = Levels(1.0, 0.0, -1.0)
    assert (labels_of(plain, grey) != CARBON).all()
    found = labels_of(FilmNetwork(plain, (0.0, 0.8, 0.0)), grey)
    assert (found[:, 6] == CARBON).all()
    assert (np.delete(found, 6, axis=1) == np.delete(labels_of(plain, grey), 6, axis=1)).all()


def test_each_phase_has_its_own_log_odds_and_gains_where_two_others_are_sure() -> None:
    grey = torch.tensor([[[[1.0, 1.0, -1.0, -1.0]]]])
    plain = Levels(1.0, 0.0, -1.0)
    gained = FilmNetwork(plain, (0.3, 0.8, -0.5))(grey) - plain(grey).log_softmax(dim=1)
    middle = gained[0, :, 0, 1:3]
    torch.testing.assert_close(middle[CARBON], torch.full((2,), 0.8), atol=0.001, rtol=0)
    assert abs(middle[[OXIDE, VOID]]).max() < 0.001  # where no carbon is, nothing meets it
    assert abs(gained[0, :, 0, [0, 3]]).max() < 0.001


def test_of_four_phases_any_two_others_count_and_two_have_no_third() -> None:
    grey = torch.tensor([[[[3.0, -3.0]]]])
    four = Levels(3.0, 1.0, -1.0, -3.0)
    gained = FilmNetwork(four, (0.0, 0.5, 0.7, 0.0))(grey) - four(grey).log_softmax(dim=1)
    expected = torch.tensor([0.0, 0.5, 0.7, 0.0])[:, None].expand(4, 2)
    torch.testing.assert_close(gained[0, :, 0], expected, atol=0.001, rtol=0)
    two = Levels(3.0, -3.0)
    gained = FilmNetwork(two, (0.5, 0.5))(grey) - two(grey).log_softmax(dim=1)
    torch.testing.assert_close(gained, torch.zeros_like(gained))


@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_films_have_no_seams_where_tiles_meet(
    model: SegmentationModel, image: NDArray[np.uint8], precision: Literal["f32", "bf16"]
) -> None:
    network = FilmNetwork(model.network, (1.0, 2.0, -1.0)).eval()
    grey = standardise(image)

    def probability(tile_px: int) -> NDArray[np.float32]:
        out = np.empty((3, *grey.shape), np.float32)
        for window, here in iterate_tiles(network, grey, Passes(tile_px, precision=precision)):
            out[:, *window] = here
        return out

    narrow = 2 * network.halo + network.stride
    assert narrow < min(grey.shape)
    close = 1e-5 if precision == "f32" else 0.05
    np.testing.assert_allclose(probability(narrow), probability(512), atol=close)
