"""A pixel classifier behind the interface of the networks: a random forest of local features.

It learns in seconds, from scribbles too, and sees no farther than its largest Gaussian: a first
look. The trees are arrays of numbers, stored and loaded like any network's weights; scikit-learn
makes them (`bl_steer.analysis.segmentation.training.forest`), and is not needed to run them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from skimage.feature import multiscale_basic_features
from torch import Tensor

from bl_steer.analysis.segmentation.networks.layers import SegmentationNetwork

__all__ = ["Forest", "local_features"]

SIGMAS_PX = (0.5, 16.0)
"""Of the finest and the coarsest Gaussian; each is twice the one before."""
LEAST_PROBABILITY = 1e-4
"""Of a phase for which no tree votes: logits are finite."""


class Forest(SegmentationNetwork):
    """Decision trees of the grey levels around a pixel; their mean vote is the probability.

    Parameters
    ----------
    n_phases : channels of the output
    widths : number of trees, and of leaves that each has at most

    Notes
    -----
    Node i of a tree sends a pixel to ``left[i]`` where its feature ``feature[i]`` is at most
    ``threshold[i]``, else to ``right[i]``; ``vote[i]`` are the shares of the phases among the
    training pixels that came to the leaf i, whose ``left`` is negative.

    References
    ----------
    L. Breiman (2001), "Random forests", doi:10.1023/A:1010933404324; as a pixel classifier:
    S. Berg et al. (2019), "ilastik", doi:10.1038/s41592-019-0582-9.
    """

    stride = 2
    halo = 4 * int(SIGMAS_PX[1]) + 4
    left: Tensor
    right: Tensor
    feature: Tensor
    threshold: Tensor
    vote: Tensor

    def __init__(self, n_phases: int, widths: Sequence[int]) -> None:
        super().__init__()
        trees, leaves = widths
        shape = (trees, 2 * leaves - 1)
        for name in ("left", "right", "feature"):
            self.register_buffer(name, torch.full(shape, -1, dtype=torch.int32))
        self.register_buffer("threshold", torch.zeros(shape))
        self.register_buffer("vote", torch.full((*shape, n_phases), 1.0 / n_phases))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logarithms of the votes, shape (B, n_phases, H, W)."""
        left, right, feature, threshold, vote = (
            tensor.cpu().numpy()
            for tensor in (self.left, self.right, self.feature, self.threshold, self.vote)
        )
        height, width = x.shape[2:]
        votes = np.empty((len(x), height * width, vote.shape[2]), np.float32)
        for image, out in zip(x[:, 0].detach().cpu().numpy(), votes, strict=True):
            add_votes(local_features(image), left, right, feature, threshold, vote, out)
        shares = torch.from_numpy(votes).to(x).clamp(min=LEAST_PROBABILITY)
        return shares.log().movedim(2, 1).reshape(len(x), -1, height, width)


def local_features(image: NDArray[Any]) -> NDArray[np.float32]:
    """Return grey level, slope and curvatures around each pixel, shape (H · W, n_features).

    Parameters
    ----------
    image : standardised, shape (H, W), at least two pixels along each edge
    """
    features = multiscale_basic_features(
        np.asarray(image, np.float32), sigma_min=SIGMAS_PX[0], sigma_max=SIGMAS_PX[1], workers=1
    )
    return np.ascontiguousarray(features.reshape(image.size, -1), np.float32)


@njit(nogil=True, cache=True)
def add_votes(
    features: NDArray[np.float32],
    left: NDArray[np.int32],
    right: NDArray[np.int32],
    feature: NDArray[np.int32],
    threshold: NDArray[np.float32],
    vote: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """Write the mean vote of the trees for each pixel, (n_pixels, n_phases), into `out`."""
    out[:] = 0.0
    # Tree by tree: one fits into the processor's nearest memory, all together do not.
    for tree in range(left.shape[0]):
        for pixel in range(features.shape[0]):
            node = 0
            while left[tree, node] >= 0:
                if features[pixel, feature[tree, node]] <= threshold[tree, node]:
                    node = left[tree, node]
                else:
                    node = right[tree, node]
            for phase in range(vote.shape[2]):
                out[pixel, phase] += vote[tree, node, phase]
    out /= left.shape[0]
