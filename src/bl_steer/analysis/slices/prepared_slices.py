"""Slices that are read, cut and resampled one at a time, and some of them chosen by number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.transform import resize

from bl_steer.analysis.slices.levels import stored_grey
from bl_steer.protocols import Inputs

__all__ = ["PreparedSlices", "subset"]


@dataclass(frozen=True)
class PreparedSlices:
    """Images (n, H, W), each read, cut and resampled when it is asked for.

    Parameters
    ----------
    images : (n, h, w), whatever is indexed alike
    order : of the images, (n,)
    rows : that are left of each, from the top
    height : rows after resampling
    """

    images: Any
    order: NDArray[np.intp]
    rows: int
    height: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the stack."""
        return len(self.order), self.height, int(self.images.shape[2])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the grey levels, which resampling keeps."""
        dtype: np.dtype[Any] = np.dtype(self.images.dtype)
        return dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return 3

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return (self[number] for number in range(len(self)))

    def __getitem__(self, index: Any) -> NDArray[Any]:
        chosen = self.order[index]
        if np.ndim(chosen):
            return np.stack([self._image(int(number)) for number in chosen])
        return self._image(int(chosen))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype=dtype)

    def as_stored(self) -> Iterator[NDArray[Any]]:
        """Yield each image above its bar, not resampled."""
        return (np.asarray(self.images[int(number)])[: self.rows] for number in self.order)

    def _image(self, number: int) -> NDArray[Any]:
        image = np.asarray(self.images[number])[: self.rows]
        if self.height == self.rows:
            return image
        shape = (self.height, image.shape[1])
        grey = resize(
            image.astype(np.float64),
            shape,
            order=3,
            mode="edge",
            anti_aliasing=self.height < self.rows,
            preserve_range=True,
        )
        return stored_grey(grey, self.dtype)


def subset(inputs: Inputs, kept: Sequence[int]) -> Inputs:
    """Return some of the slices, with what belongs to each."""
    arrays: dict[str, Any] = dict(inputs.arrays)
    images: Any = arrays["slices"]
    of_each = {k: v for k, v in arrays.items() if k != "slices" and len(v) == len(images)}
    chosen = np.asarray(kept, dtype=np.intp)
    numbers = arrays.get("slice", np.arange(len(images)))
    arrays |= {k: np.asarray(v)[chosen] for k, v in of_each.items()}
    arrays["slice"] = np.asarray(numbers)[chosen]
    whole = images if isinstance(images, PreparedSlices) else None
    if whole is not None:
        arrays["slices"] = replace(whole, order=whole.order[chosen])
    else:
        rows = int(images.shape[1])
        arrays["slices"] = PreparedSlices(images, chosen, rows, rows)
    n_slices = int(inputs.metadata.get("n_slices", 0)) or int(np.max(numbers)) + 1
    known = {**inputs.metadata, "n_slices": n_slices}
    if "slice_files" in known:
        known["slice_files"] = [known["slice_files"][number] for number in chosen]
    return replace(inputs, arrays=arrays, metadata=known)
