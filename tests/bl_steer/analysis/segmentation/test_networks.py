from __future__ import annotations

import pytest
import torch

from bl_steer.analysis.segmentation.networks import SegmentationNetwork, build_network

SIZES = {
    "segnet": (3, 4, 5),
    "segnet-vgg": (3, 3, 4),
    "unet": (3, 4, 5, 6),
    "pspnet": (3, 4, 6),
}


def network(name: str) -> SegmentationNetwork:
    torch.manual_seed(2)
    built = build_network(name, 3, widths=SIZES[name])
    built.train()
    for _ in range(3):
        built(torch.randn(2, 1, 64, 64))
    return built.eval().double()


@pytest.mark.parametrize("name", SIZES)
def test_the_output_has_the_size_of_the_micrograph(name: str) -> None:
    built = network(name)
    x = torch.randn(2, 1, 4 * built.stride, 6 * built.stride, dtype=torch.float64)
    assert built(x).shape == (2, 3, *x.shape[2:])


@pytest.mark.parametrize("name", SIZES)
def test_a_pixel_depends_on_nothing_beyond_the_halo(name: str) -> None:
    built = network(name)
    edge = 2 * built.halo + 4 * built.stride
    x = torch.randn(1, 1, edge, edge, dtype=torch.float64, requires_grad=True)
    at = built.halo + 2 * built.stride
    # Every pixel of one cell of the coarsest pooling: the worst of them counts.
    cell = slice(at, at + built.stride)
    built(x)[0, :, cell, cell].pow(2).sum().backward()
    seen = x.grad[0, 0].nonzero()
    assert seen.numel()
    assert seen.min() >= at - built.halo
    assert seen.max() < at + built.stride + built.halo


@pytest.mark.parametrize("name", SIZES)
def test_the_output_shifts_with_the_micrograph(name: str) -> None:
    built = network(name)
    margin = built.halo + built.stride
    x = torch.randn(1, 1, 2 * margin + 32, 2 * margin + 32, dtype=torch.float64)
    step = built.stride
    moved = torch.roll(x, (step, step), (2, 3))
    inner = slice(margin, margin + 32)
    behind = slice(margin + step, margin + 32 + step)
    torch.testing.assert_close(
        built(moved)[..., behind, behind], built(x)[..., inner, inner], atol=1e-9, rtol=0
    )


def test_segnet_puts_maxima_back_where_pooling_found_them() -> None:
    built = build_network("segnet", 2, widths=(2, 2))
    outputs = []
    built.decoder[1].register_forward_pre_hook(lambda _, x: outputs.append(x[0]))
    pooled = []
    built.encoder[0].register_forward_hook(lambda _, x, y: pooled.append(y))
    built.eval()(torch.randn(1, 1, 16, 16))
    maxima = torch.nn.functional.max_pool2d(pooled[0], 2, return_indices=True)[1]
    where = torch.zeros(2, 256).scatter(1, maxima.reshape(2, -1), 1.0).reshape(2, 16, 16)
    assert not outputs[0][0][where == 0].any()


@pytest.mark.parametrize("name", SIZES)
def test_every_parameter_learns(name: str) -> None:
    built = build_network(name, 3, widths=SIZES[name]).train()
    x = torch.randn(2, 1, 2 * built.stride, 2 * built.stride)
    built(x).pow(2).sum().backward()
    assert not [key for key, p in built.named_parameters() if p.grad is None]


def test_an_unknown_network_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"segnet, segnet-vgg, unet, pspnet, forest, got 'resnet'"):
        build_network("resnet", 3)


def test_widths_that_make_no_network_are_refused() -> None:
    with pytest.raises(ValueError, match=r"two positive numbers, got \(4,\)"):
        build_network("unet", 3, widths=(4,))


def test_the_large_segnet_has_the_layers_of_vgg16() -> None:
    with torch.device("meta"):
        built = build_network("segnet-vgg", 3)
    convolutions = [m for m in built.encoder.modules() if isinstance(m, torch.nn.Conv2d)]
    assert [c.out_channels for c in convolutions] == [64] * 2 + [128] * 2 + [256] * 3 + [512] * 6
