from __future__ import annotations

import numpy as np
import pytest
import torch

from bl_steer.analysis.superresolution.network import SRRAM, make_network
from bl_steer.analysis.superresolution.sections import (
    Running,
    insert_rows,
    interleaved,
    rows_between,
)


def lively(n_values: int = 1, blocks: int = 3, channels: int = 16) -> SRRAM:
    """Return a network whose branches count, as after training."""
    network = make_network(n_values, blocks, channels, seed=7).eval()
    generator = torch.Generator().manual_seed(8)
    with torch.no_grad():
        for value in network.parameters():
            value.copy_(0.12 * torch.randn(value.shape, generator=generator))
    return network


def sections(n_values: int = 1, rows: int = 12, columns: int = 400) -> torch.Tensor:
    return torch.randn(2, n_values, rows, columns, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("n_values", [1, 3])
def test_strips_leave_no_trace(n_values: int) -> None:
    network, x = lively(n_values), sections(n_values).abs()
    x = x / x.sum(dim=1, keepdim=True) if n_values > 1 else x
    with torch.inference_mode():
        whole = rows_between(network, x, Running(strip_px=1 << 20))
        strips = rows_between(network, x, Running(strip_px=1024))
    assert whole.std() > 0.05
    torch.testing.assert_close(strips, whole, rtol=1e-5, atol=1e-5)


def test_the_strips_compute_what_the_network_says() -> None:
    network, x = lively(), sections()
    with torch.inference_mode():
        torch.testing.assert_close(
            rows_between(network, x, Running(strip_px=1024)), network(x), rtol=1e-5, atol=1e-5
        )


def test_measured_rows_pass_bit_for_bit_through_all_stages() -> None:
    measured = sections(rows=5, columns=40).numpy()
    fine = insert_rows([lively(), lively(), lively()], measured)
    assert fine.shape == (2, 1, 33, 40)
    np.testing.assert_array_equal(fine[:, :, ::8], measured)


@pytest.mark.parametrize("factor", [3, 5, 6, 7, 8, 10])
def test_any_factor_keeps_measured_rows_and_has_those_of_the_stages_between(factor: int) -> None:
    measured, stages = sections(rows=5, columns=40).numpy(), [lively(), lively(), lively()]
    fine = insert_rows(stages, measured, factor=factor)
    assert fine.shape == (2, 1, 4 * factor + 1, 40)
    np.testing.assert_array_equal(fine[:, :, ::factor], measured)
    doubled = insert_rows(stages, measured)
    row = factor + 1  # the first behind the second measured one
    at = 8 * row / factor
    below, share = int(at), np.float32(at - int(at))
    between = (1 - share) * doubled[:, :, below] + share * doubled[:, :, below + 1]
    np.testing.assert_allclose(fine[:, :, row], between, rtol=1e-4, atol=1e-5)


def test_a_pixel_reaches_no_farther_than_the_halo_but_for_the_variance() -> None:
    network = lively(blocks=2)
    for block in network.ram_blocks():
        torch.nn.init.zeros_(block.excite.weight)  # the variance has no say
    x = sections(rows=40, columns=60).requires_grad_()
    network(x)[0, 0, 20, 30].backward()
    rows, columns = np.nonzero(x.grad[0, 0].numpy())  # type: ignore[index]
    reach = max(np.abs(columns - 30).max(), (20 - rows).max(), (rows - 21).max())
    assert 5 < reach <= network.halo


def test_the_variance_of_the_whole_section_counts() -> None:
    network, x = lively(), sections()
    far = x.clone()
    far[..., 350:] *= 4
    with torch.inference_mode():
        change = (rows_between(network, x) - rows_between(network, far))[..., :100].abs().max()
    assert change > 1e-3


def test_bf16_is_close_to_f32_with_variances_in_f32() -> None:
    network, x = lively(blocks=2), sections()
    with torch.inference_mode():
        exact = rows_between(network, x)
        half = rows_between(network, x, Running(precision="bf16"))
    assert half.dtype == torch.float32
    assert (half - exact).abs().mean() < 0.02 * exact.std()


def test_an_untrained_network_starts_near_the_mean_of_the_rows_around() -> None:
    network, x = make_network(1, 4, 24, seed=0).eval(), sections()
    with torch.inference_mode():
        apart = (network(x) - network.between(x)).std()
    assert apart < 0.2 * x.std()


@pytest.mark.parametrize(("blocks", "channels", "millions"), [(4, 24, 0.06), (8, 32, 0.18)])
def test_the_sizes_have_the_parameters_that_they_should(
    blocks: int, channels: int, millions: float
) -> None:
    network = SRRAM(1, blocks, channels)
    n = sum(value.numel() for value in network.parameters())
    assert n == pytest.approx(1e6 * millions, rel=0.15)


def test_a_strip_must_not_be_tiny() -> None:
    with pytest.raises(ValueError, match="got 10; try"):
        Running(strip_px=10)


@pytest.mark.parametrize("strip_px", [1 << 20, 1024])
@pytest.mark.parametrize("n_values", [1, 3])
def test_all_is_computed_where_the_sections_are(n_values: int, strip_px: int) -> None:
    # torch refuses to mix this device, which every build has, with the processor, as it does a GPU.
    network = lively(n_values).to("meta")
    x = sections(n_values).to("meta")
    with torch.inference_mode():
        between = rows_between(network, x, Running(strip_px=strip_px))
        assert interleaved(x, between).device.type == "meta"
        with pytest.raises(RuntimeError, match="device"):
            rows_between(lively(n_values), x, Running(strip_px=strip_px))
