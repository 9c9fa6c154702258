"""Patches of micrographs, varied as a microscope and a sample may vary them.

How far, `bl_steer.analysis.segmentation.training.settings.Augmentation` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from monai.transforms.compose import Compose
from monai.transforms.croppad.dictionary import CenterSpatialCropd
from monai.transforms.intensity.dictionary import RandGaussianNoised, RandGaussianSmoothd
from monai.transforms.spatial.dictionary import RandAffined, RandFlipd, RandRotate90d
from numpy.typing import NDArray
from skimage.transform import resize

from bl_steer.analysis.segmentation.phases import UNLABELLED
from bl_steer.analysis.segmentation.training.orientation import axis_across_layers
from bl_steer.analysis.segmentation.training.settings import Augmentation

__all__ = ["PatchSampler"]

FORESHORTENING = (0.7, 0.9)
"""Rows that are seen of those of a face: the sine of the angle to it, 52° or 54° as a rule."""
SCRIBBLED = 0.5
"""Share of labelled pixels below which a mask is taken for scribbles."""


class PatchSampler:
    """Batches of patches, each determined by the seed and the number of the step alone.

    Parameters
    ----------
    images : standardised micrographs (H, W), float32
    labels : label maps (H, W), `UNLABELLED` where nobody painted
    patch_px, batch : edge and number of the patches
    rare_share : share of patches centred on a pixel of a phase drawn evenly, so that a rare phase
        is seen as often as a common one

    Notes
    -----
    The spatial and grey-level transforms are MONAI's; a generator made from (seed, step) drives
    them, so that a training that was killed goes on with the same patches.
    """

    def __init__(
        self,
        images: Sequence[NDArray[np.float32]],
        labels: Sequence[NDArray[np.uint8]],
        *,
        n_phases: int,
        patch_px: int,
        batch: int,
        augmentation: Augmentation,
        rare_share: float = 0.5,
        seed: int = 0,
    ) -> None:
        margin = patch_px // 2 + patch_px // 4
        self.images = [np.pad(image, margin, mode="reflect") for image in images]
        self.labels = [np.pad(mask, margin, mode="reflect") for mask in labels]
        self.margin = margin
        self.patch_px, self.batch, self.seed = patch_px, batch, seed
        self.rare_share = rare_share
        self.augmentation = augmentation
        self._transform = _transform(augmentation, patch_px, axis_across_layers(labels, n_phases))
        self._positions = _positions(labels, n_phases)
        self._painted = [_painted(mask) for mask in labels]

    def __call__(self, step: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Return patches (batch, 1, patch_px, patch_px) and their labels (batch, …)."""
        rng = np.random.default_rng((self.seed, step))
        patches = [self._patch(rng) for _ in range(self.batch)]
        return (
            np.stack([image for image, _ in patches])[:, None],
            np.stack([labels for _, labels in patches]),
        )

    def _patch(self, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        number, row, column = self._centre(rng)
        half = self.patch_px // 2 + self.patch_px // 4
        at = np.s_[row : row + 2 * half, column : column + 2 * half]
        self._transform.set_random_state(int(rng.integers(2**31)))
        varied = self._transform(
            {
                "image": self.images[number][at][None],
                "labels": self.labels[number][at][None].astype(np.float32),
            }
        )
        image = np.asarray(varied["image"], np.float32)[0]
        labels = np.asarray(varied["labels"])[0].round().astype(np.uint8)
        image = _shaded(image, self.augmentation, rng)
        if self.augmentation.foreshortened_share:
            image = _foreshortened(image, self.augmentation.foreshortened_share, rng)
        return image, labels

    def _centre(self, rng: np.random.Generator) -> tuple[int, int, int]:
        """Return image, row and column (without the margin) of a patch's centre."""
        if rng.random() < self.rare_share:
            phase = self._positions[rng.integers(len(self._positions))]
            number, *place = phase[rng.integers(len(phase))]
            return self._near(int(number), np.array(place), rng)
        number = int(rng.integers(len(self.images)))
        if (painted := self._painted[number]) is not None:
            return self._near(number, painted[rng.integers(len(painted))], rng)
        shape = np.array(self.images[number].shape) - 2 * self.margin
        row, column = rng.integers(shape)
        return number, int(row), int(column)

    def _near(
        self, number: int, place: NDArray[Any], rng: np.random.Generator
    ) -> tuple[int, int, int]:
        """Return a centre from which a place lies within the patch, turned or not."""
        jitter = rng.integers(-self.patch_px // 4, self.patch_px // 4, size=2)
        shape = np.array(self.labels[number].shape) - 2 * self.margin
        row, column = np.clip(place + jitter, 0, shape - 1)
        return number, int(row), int(column)


def _painted(mask: NDArray[np.uint8]) -> NDArray[np.intp] | None:
    """Return (row, column) of the labelled pixels of a mask that is mostly unlabelled, else None.

    Most patches of it at random places would hold nothing to learn from.
    """
    labelled = mask != UNLABELLED
    return np.argwhere(labelled) if 0 < labelled.mean() < SCRIBBLED else None


def _positions(labels: Sequence[NDArray[np.uint8]], n_phases: int) -> list[NDArray[np.int32]]:
    """Return (image, row, column) of the pixels of each phase that occurs, thinned by chance."""
    rng = np.random.default_rng(0)
    positions = []
    for phase in range(n_phases):
        rows = [
            np.column_stack([np.full(len(pixels), number), pixels])
            for number, mask in enumerate(labels)
            if len(pixels := np.argwhere(mask == phase))
        ]
        if rows:
            every = np.concatenate(rows).astype(np.int32)
            positions.append(every[rng.permutation(len(every))[:100_000]])
    return positions


def _transform(augmentation: Augmentation, patch_px: int, across: int | None) -> Any:
    """Return the chain of MONAI's transforms; labels outside the patch are `UNLABELLED`.

    Parameters
    ----------
    across : axis across layers, if the phases lie in such: it keeps its direction
    """
    both = ["image", "labels"]
    turn = augmentation.turn and across is None
    angle = np.pi if turn else 0.0
    steps: list[Any] = []
    if augmentation.warp_share:
        steps.append(
            RandAffined(
                both,
                prob=augmentation.warp_share,
                rotate_range=angle,
                scale_range=(augmentation.scale, augmentation.scale),
                mode=["bilinear", "nearest"],
                padding_mode="reflection",
            )
        )
    steps.append(CenterSpatialCropd(both, (patch_px, patch_px)))
    if augmentation.flip:
        axes = [axis for axis in (0, 1) if axis != across]
        steps += [RandFlipd(both, prob=0.5, spatial_axis=axis) for axis in axes]
    if turn:
        steps.append(RandRotate90d(both, prob=0.75))
    if augmentation.blur_px:
        sigma = (0.1, augmentation.blur_px)
        steps.append(RandGaussianSmoothd("image", prob=0.3, sigma_x=sigma, sigma_y=sigma))
    if augmentation.noise:
        steps.append(RandGaussianNoised("image", prob=0.5, std=augmentation.noise))
    return Compose(steps)


def _shaded(
    image: NDArray[np.float32], augmentation: Augmentation, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Change contrast, brightness and slow background."""
    a = augmentation
    ramp = np.linspace(-1.0, 1.0, image.shape[0], dtype=np.float32)
    slow = rng.normal(0, a.shading / 2, 3).astype(np.float32)
    background = slow[0] * ramp[:, None] + slow[1] * ramp + slow[2] * ramp[:, None] * ramp
    power = np.float32(np.exp(rng.uniform(-a.gamma, a.gamma)))
    bent = np.sign(image) * np.abs(image) ** power
    gain = np.float32(np.exp(rng.uniform(-a.gain, a.gain)))
    varied = bent * gain + background + np.float32(rng.uniform(-a.offset, a.offset))
    return np.asarray(varied, np.float32)


def _foreshortened(
    image: NDArray[np.float32], share: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return a share of images as a face seen at an angle is recorded, and stretched again."""
    if rng.random() >= share:
        return image
    rows = round(len(image) * rng.uniform(*FORESHORTENING))
    seen = resize(image, (rows, image.shape[1]), order=1, mode="edge", anti_aliasing=False)
    return np.asarray(resize(seen, image.shape, order=3, mode="edge"), np.float32)
