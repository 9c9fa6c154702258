from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bl_steer.analysis.segmentation import FIBSEM_PHASES, UNLABELLED, Passes, SegmentationModel
from bl_steer.analysis.segmentation.model import prepared
from bl_steer.analysis.segmentation.networks import (
    CalibratedNetwork,
    SegmentationNetwork,
    build_network,
)
from bl_steer.analysis.segmentation.tiles import iterate_tiles, standardise
from bl_steer.analysis.segmentation.training import (
    Labelled,
    LabelledField,
    TrainingSet,
    TrainingSettings,
    calibrated,
    calibrated_if_better,
    train_model,
)

SHAPE = (160, 176)


class SmoothEdges(SegmentationNetwork):
    """Two phases told apart by a blurred grey level: sure inside, unsure near the edges."""

    stride, halo = 8, 8

    def __init__(self, bias: float = 0.0) -> None:
        super().__init__()
        self.bias = torch.nn.Parameter(torch.tensor(bias))

    def forward(self, x: Tensor) -> Tensor:
        level = torch.nn.functional.avg_pool2d(x, 5, stride=1, padding=2, count_include_pad=False)
        return torch.cat([6.0 * level + self.bias, -6.0 * level], dim=1)


def painted(seed: int) -> Labelled:
    """Return a micrograph whose expert painted each pixel by its own, noisy grey level."""
    rng = np.random.default_rng(seed)
    rows, columns = np.indices(SHAPE)
    smooth = np.sin(rows / 9.0 + seed) * np.sin(columns / 11.0)
    grey = smooth + rng.normal(0, 0.25, SHAPE)
    return (grey * 1000).astype(np.int32), (grey < 0).astype(np.uint8)


def labels_of(network: SegmentationNetwork, pair: Labelled) -> np.ndarray:
    corrected = np.empty(SHAPE, np.uint8)
    for window, p in iterate_tiles(network, standardise(pair[0])):
        corrected[window] = p.argmax(axis=0)
    return corrected


def test_a_calibrated_network_follows_the_experts_edges() -> None:
    network = SmoothEdges().eval()
    better = calibrated(network, [painted(seed) for seed in range(3)], 2)
    unseen = painted(7)
    before = (labels_of(network, unseen) != unseen[1]).mean()
    after = (labels_of(better, unseen) != unseen[1]).mean()
    assert before > 0.05
    assert after < 0.4 * before


def test_a_calibrated_network_has_less_bias_in_its_fractions() -> None:
    network = SmoothEdges(bias=1.0).eval()
    better = calibrated(network, [painted(seed) for seed in range(3)], 2)
    unseen = painted(7)
    before, after = (
        abs((labels_of(candidate, unseen) == 0).mean() - (unseen[1] == 0).mean())
        for candidate in (network, better)
    )
    assert before > 0.03
    assert after < before / 2


def test_pixels_of_which_the_network_is_sure_keep_their_phase() -> None:
    network = SmoothEdges().eval()
    image, labels = painted(0)
    better = calibrated(network, [(image, 1 - labels)], 2)
    x = torch.from_numpy(standardise(image))[None, None]
    with torch.inference_mode():
        p, q = network(x).softmax(dim=1), better(x).softmax(dim=1)
    sure = p.max(dim=1).values > 0.9999
    assert sure.float().mean() > 0.1
    assert (p.argmax(dim=1) == q.argmax(dim=1))[sure].all()
    assert (p.argmax(dim=1) != q.argmax(dim=1)).any()


def test_without_a_labelled_pixel_nothing_changes() -> None:
    image, labels = painted(0)
    network = SmoothEdges().eval()
    corrected = calibrated(network, [(image, np.full_like(labels, UNLABELLED))], 2)
    x = torch.randn(1, 1, 32, 40)
    assert (corrected.weight == 0).all()
    torch.testing.assert_close(corrected(x).softmax(1), network(x).softmax(1))


def test_tiles_of_a_calibrated_network_agree_with_the_whole() -> None:
    torch.manual_seed(3)
    network = prepared(build_network("unet", 3, widths=(4, 6)))
    corrected = CalibratedNetwork(network, 3).eval()
    with torch.no_grad():
        corrected.weight.normal_(std=0.3)
    image = np.random.default_rng(1).normal(size=(130, 141)).astype(np.float32)
    out = {}
    for tile_px in (2 * corrected.halo + 8 * corrected.stride, 1024):
        out[tile_px] = np.empty((3, *image.shape), np.float32)
        for window, p in iterate_tiles(corrected, image, Passes(tile_px)):
            out[tile_px][:, *window] = p
    tiled, untiled = out.values()
    np.testing.assert_allclose(tiled, untiled, atol=1e-5)


def test_a_trained_model_is_calibrated_and_comes_back_the_same(
    pairs: list[Labelled], tmp_path: Path
) -> None:
    fields = [LabelledField(*pair, f"s{i}") for i, pair in enumerate(pairs)]
    data = TrainingSet(FIBSEM_PHASES, fields[:2], fields[2:], [])
    settings = TrainingSettings(
        network="unet", widths=(4, 6), steps=8, batch=2, patch_px=32, evaluate_every=4
    )
    model = train_model(data, settings, folder=tmp_path)
    plain = train_model(data, settings.model_copy(update={"calibrate": False}))
    assert model.calibrated
    assert not plain.calibrated
    corrected = SegmentationModel.load(tmp_path)
    assert corrected.calibrated
    assert corrected.weights_sha256 == model.weights_sha256 != plain.weights_sha256
    x = torch.randn(1, 1, 32, 32)
    torch.testing.assert_close(corrected.network(x), model.network(x), rtol=0, atol=0)


def test_a_correction_is_taken_where_it_helps_on_pairs_left_out_of_its_fit() -> None:
    network = SmoothEdges().eval()
    alike = [painted(seed) for seed in range(3)]
    assert isinstance(calibrated_if_better(network, alike, 2), CalibratedNetwork)
    assert isinstance(calibrated_if_better(network, alike[:1], 2), CalibratedNetwork)


def test_a_correction_that_fits_its_own_pairs_alone_is_not_taken() -> None:
    """Each expert's habit is another's error: bright edges here, dark ones there."""
    network = SmoothEdges().eval()
    rows, columns = np.indices(SHAPE)
    unlike = []
    for seed, shift in ((0, 0.5), (1, -0.5)):
        smooth = np.sin(rows / 9.0 + seed) * np.sin(columns / 11.0)
        unlike.append(((smooth * 1000).astype(np.int32), (smooth < shift).astype(np.uint8)))
    assert calibrated_if_better(network, unlike, 2) is network
