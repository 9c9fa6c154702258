"""Write arrays into files as programs do, by the library that each is made of, or its scripts use.

These are tifffile, Pillow, imageio, scikit-image, matplotlib, VTK, NumPy, Zarr, pynrrd and h5py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import imageio.v3 as imageio
import matplotlib.image
import nrrd
import numpy as np
import skimage.io
import tifffile
import zarr
from numpy.typing import NDArray
from PIL import Image
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkCommonDataModel import vtkImageData

Array = NDArray[Any]
Array = NDArray[Any]
PALETTE = [213, 94, 0, 240, 228, 66, 0, 90, 115]


def with_tifffile(array: Array, **options: Any) -> Callable[[Path], Path]:
    def write(stem: Path) -> Path:
        path = stem.with_suffix(".tif")
        tifffile.imwrite(path, array, **{"photometric": "minisblack", **options})
        return path

    return write


def with_pillow(array: Array, ending: str, **options: Any) -> Callable[[Path], Path]:
    def write(stem: Path) -> Path:
        path = stem.with_suffix(ending)
        first, *others = [Image.fromarray(page) for page in np.atleast_3d(array.T).T]
        more = {"save_all": True, "append_images": others} if others else {}
        first.save(path, **more, **options)
        return path

    return write


def with_palette(array: Array, ending: str) -> Callable[[Path], Path]:
    def write(stem: Path) -> Path:
        path = stem.with_suffix(ending)
        picture = Image.fromarray(array).convert("L")
        picture.putpalette(PALETTE + [0] * (768 - 9))
        picture.save(path)
        return path

    return write


def with_imageio(array: Array, ending: str, **options: Any) -> Callable[[Path], Path]:
    def write(stem: Path) -> Path:
        path = stem.with_suffix(ending)
        imageio.imwrite(path, array, **options)
        return path

    return write


def with_skimage(array: Array, ending: str) -> Callable[[Path], Path]:
    def write(stem: Path) -> Path:
        path = stem.with_suffix(ending)
        skimage.io.imsave(path, array, check_contrast=False)
        return path

    return write


def with_matplotlib(array: Array, ending: str) -> Callable[[Path], Path]:
    def write(stem: Path) -> Path:
        path = stem.with_suffix(ending)
        opaque = np.full(array.shape, 255, np.uint8)
        matplotlib.image.imsave(path, np.stack([array, array, array, opaque], axis=-1))
        return path

    return write


def with_vtk(array: Array, kind: Any, ending: str) -> Callable[[Path], Path]:
    def write(stem: Path) -> Path:
        path = stem.with_suffix(ending)
        image = vtkImageData()
        image.SetDimensions(array.shape[1], array.shape[0], 1)
        # VTK counts rows from below.
        image.GetPointData().SetScalars(numpy_to_vtk(array[::-1].ravel(), deep=True))
        writer = kind()
        writer.SetFileName(str(path))
        writer.SetInputData(image)
        writer.Write()
        return path

    return write


def with_numpy(array: Array, **more: Any) -> Callable[[Path], Path]:
    def write(stem: Path) -> Path:
        if not more:
            np.save(stem.with_suffix(".npy"), array)
            return stem.with_suffix(".npy")
        np.savez_compressed(stem.with_suffix(".npz"), labels=array, **more)
        return stem.with_suffix(".npz")

    return write


def with_zarr(array: Array, zarr_format: Any, **attributes: Any) -> Callable[[Path], Path]:
    def write(stem: Path) -> Path:
        path = stem.with_suffix(".zarr")
        stored: Any = zarr.create_array(
            str(path), shape=array.shape, dtype=array.dtype, zarr_format=zarr_format
        )
        stored[:] = array
        stored.attrs.update(attributes)
        return path

    return write


def with_nrrd(array: Array, **header: Any) -> Callable[[Path], Path]:
    def write(stem: Path) -> Path:
        path = stem.with_suffix(".nrrd")
        nrrd.write(str(path), array, header, index_order="C")
        return path

    return write


def with_h5py(array: Array, axes: str) -> Callable[[Path], Path]:
    def write(stem: Path) -> Path:
        path = stem.with_suffix(".h5")
        with h5py.File(path, "w") as file:
            stored = file.create_dataset("exported_data", data=array, compression="gzip")
            keys = ", ".join(f'{{"key": "{axis}"}}' for axis in axes)
            stored.attrs["axistags"] = f'{{"axes": [{keys}]}}'
        return path

    return write


def in_folder(
    write: Callable[[Array], Callable[[Path], Path]], planes: Array
) -> Callable[[Path], Path]:
    """Write each plane of a stack as a file of its own."""

    def write_all(folder: Path) -> Path:
        folder.mkdir()
        for number, plane in enumerate(planes):
            write(plane)(folder / f"slice_{number}")
        return folder

    return write_all
