"""A peer for super-resolution: features of a section, and a decoder of any place between its rows.

Re-implemented from the description of niiv, at a size that a processor trains in minutes. Encoder
and decoder learn from slices that are thinned along one of their own axes, as `SRRAM` does; one
network serves every factor.

References
----------
J. Troidl, Y. Liang, J. Beyer, M. Tavakoli, J. Danzl, M. Hadwiger, H. Pfister, J. Tompkin (2024),
"niiv: Interactive self-supervised neural implicit isotropic volume reconstruction",
doi:10.1101/2024.09.07.611785.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bl_steer.analysis.superresolution.phase_choice import PhaseChoice

CHANNELS, BLOCKS = 32, 8
"""Of the encoder; published are 64 and 16."""
NEURONS, LAYERS = 64, 3
"""Of the decoder; published are 256 and 5."""
OCTAVES = 4
"""Of the encoded coordinate."""
BATCH, ROWS, COLUMNS, PLACES = 6, 21, 64, 3
"""Of a lesson: sections, measured rows, columns, and places between two rows."""
LEARNING_RATE, AVERAGING, MAX_GRADIENT = 2e-3, 0.98, 5.0
AT_A_TIME = 8
"""Sections."""

Values = NDArray[np.float32]


class ImplicitSections(nn.Module):
    """A section (B, n_values, N, W), and what lies at any share of the way between its rows.

    Parameters
    ----------
    n_values : 1 for grey levels, the number of phases for labels, as shares of each
    """

    def __init__(self, n_values: int) -> None:
        super().__init__()
        self.n_values = n_values
        self.head = nn.Conv2d(n_values, CHANNELS, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1),
            )
            for _ in range(BLOCKS)
        )
        self.tail = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        layers: list[nn.Module] = []
        n_in = CHANNELS + n_values + 1 + 2 * OCTAVES
        for _ in range(LAYERS):
            layers += [nn.Conv2d(n_in, NEURONS, 1), nn.ReLU()]
            n_in = NEURONS
        # A perceptron for each place: convolutions of one pixel.
        self.decoder = nn.Sequential(*layers, nn.Conv2d(NEURONS, n_values, 1))

    def encoded(self, x: Tensor) -> Tensor:
        """Return the latent code of each pixel, (B, C, N, W)."""
        first = features = self.head(x)
        for block in self.blocks:
            features = features + block(features)
        codes: Tensor = self.tail(features) + first
        return codes

    def decoded(self, x: Tensor, codes: Tensor, share: float) -> Tensor:
        """Return rows at one share of the way from each row to the next, (B, n_values, N-1, W)."""
        code = (1 - share) * codes[:, :, :-1] + share * codes[:, :, 1:]
        value = (1 - share) * x[:, :, :-1] + share * x[:, :, 1:]
        angles = share * torch.pi * 2.0 ** torch.arange(OCTAVES)
        place = torch.cat([torch.tensor([share]), angles.sin(), angles.cos()])
        everywhere = place.view(1, -1, 1, 1).expand(len(x), -1, *value.shape[2:])
        answer: Tensor = self.decoder(torch.cat([code, value, everywhere], dim=1))
        return answer


def trained(slices: Values, pitch: int, *, seconds: float, seed: int = 0) -> ImplicitSections:
    """Return a network that has learnt for so many CPU seconds.

    Parameters
    ----------
    slices : (n, H, W, n_values), as `SuperResolutionModel.values_of` gives them
    pitch : of the slices, px of their plane
    """
    torch.manual_seed(seed)
    network = ImplicitSections(slices.shape[3])
    averaged = ImplicitSections(slices.shape[3])
    optimiser = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    began, done, step = time.process_time(), 0.0, 0
    while done < 1.0:
        for group in optimiser.param_groups:
            rise = min(1.0, done / 0.05 + 0.01)
            group["lr"] = LEARNING_RATE * rise * (0.5 + 0.5 * np.cos(np.pi * done))
        rng = np.random.default_rng((seed, step))
        lessons = np.stack([_lesson(slices, pitch, rng) for _ in range(BATCH)])
        x = torch.from_numpy(np.ascontiguousarray(lessons[:, :, ::pitch]))
        codes = network.encoded(x)
        loss = torch.zeros(())
        for offset in rng.permutation(np.arange(1, pitch))[:PLACES]:
            answer = network.decoded(x, codes, float(offset) / pitch)
            truth = torch.from_numpy(np.ascontiguousarray(lessons[:, :, offset::pitch]))
            loss = loss + _loss(answer, truth)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), MAX_GRADIENT)
        optimiser.step()
        keep = min(AVERAGING, step / (step + 10))
        with torch.no_grad():
            for old, new in zip(averaged.parameters(), network.parameters(), strict=True):
                old.lerp_(new, 1 - keep)
        step += 1
        done = (time.process_time() - began) / seconds
    print(f"implicit peer: {step} steps in {time.process_time() - began:.0f} CPU s", flush=True)
    return averaged.eval()


def super_resolved(
    network: ImplicitSections, slices: Values, factor: int
) -> tuple[Values, PhaseChoice | None]:
    """Return the mean of xz and yz sections, (n_values, N, H, W), and how phases are chosen.

    The choice is the one that `SRRAM` has; None for grey levels.
    """
    values = slices.transpose(3, 0, 1, 2)
    xz = _sections(network, values.transpose(2, 0, 1, 3), factor).transpose(1, 2, 0, 3)
    yz = _sections(network, values.transpose(3, 0, 1, 2), factor).transpose(1, 2, 3, 0)
    mean = np.asarray(0.5 * (xz + yz), np.float32)
    if network.n_values == 1:
        return mean, None
    step = max(1, mean.shape[3] // 64)
    some = slices[:, :, ::step].argmax(axis=3)
    return mean, PhaseChoice.fitted(mean[..., ::step], some, factor)


def _sections(network: ImplicitSections, measured: Values, factor: int) -> Values:
    """Return sections (B, n_values, N, W) with factor - 1 rows put into each interval."""
    batch, n_values, n, width = measured.shape
    fine = np.empty((batch, n_values, (n - 1) * factor + 1, width), np.float32)
    fine[:, :, ::factor] = measured
    with torch.inference_mode():
        for first in range(0, batch, AT_A_TIME):
            some = slice(first, first + AT_A_TIME)
            x = torch.from_numpy(np.ascontiguousarray(measured[some]))
            codes = network.encoded(x)
            for offset in range(1, factor):
                answer = network.decoded(x, codes, offset / factor)
                rows = answer if n_values == 1 else answer.softmax(dim=1)
                fine[some, :, offset::factor] = rows.numpy()
    return fine


def _lesson(slices: Values, pitch: int, rng: np.random.Generator) -> Values:
    """Return a piece of a slice with the rows of whole intervals, (n_values, rows, columns)."""
    plane: NDArray[Any] = slices[rng.integers(len(slices))]
    if rng.random() < 0.5:
        plane = plane.swapaxes(0, 1)
    plane = plane[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])]
    shortest = min(slices.shape[1:3])
    rows = (min(ROWS, (shortest - 1) // pitch + 1) - 1) * pitch + 1
    columns = min(COLUMNS, shortest)
    top = rng.integers(plane.shape[0] - rows + 1)
    left = rng.integers(plane.shape[1] - columns + 1)
    return np.asarray(plane[top : top + rows, left : left + columns].transpose(2, 0, 1))


def _loss(answer: Tensor, truth: Tensor) -> Tensor:
    if truth.shape[1] == 1:
        return functional.smooth_l1_loss(answer, truth, beta=0.5)
    return functional.cross_entropy(answer, truth)
