"""The same picture and the same stack in files of many programs, and what each file states."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from vtkmodules.vtkIOImage import vtkBMPWriter, vtkPNGWriter, vtkTIFFWriter

from bl_steer.files.volumes import write_volume
from tests.bl_steer.files.programs import (
    Array,
    in_folder,
    with_h5py,
    with_imageio,
    with_matplotlib,
    with_nrrd,
    with_numpy,
    with_palette,
    with_pillow,
    with_skimage,
    with_tifffile,
    with_vtk,
    with_zarr,
)

STACK = np.random.default_rng(0).integers(0, 200, (5, 33, 41)).astype(np.uint8)
GREY = STACK[0]
LABELS = (STACK % 3).astype(np.uint8)
VOXEL = (40.0, 10.0, 10.0)
PER_CM = (1e6, 1e6)


class Written(NamedTuple):
    """A file, and what it holds.

    Parameters
    ----------
    write : given a path without its ending, writes the file and returns its path
    truth : pixels, (H, W) or (Z, H, W)
    voxel : edges z, y, x, nm, that the file states; None for each that it does not
    """

    program: str
    write: Callable[[Path], Path]
    truth: Array
    voxel: tuple[float | None, float | None, float | None] = (None, None, None)
    shown: Array | None = None
    """Grey levels, where what is stored is shown in other ones."""


def of_ours(stack: Array, form: str) -> Callable[[Path], Path]:
    return lambda stem: write_volume(stem, stack, VOXEL, form)


def imagej(**known: Any) -> dict[str, Any]:
    return {"imagej": True, "metadata": {"axes": "ZYX", **known}}


def ome(**known: Any) -> dict[str, Any]:
    return {"ome": True, "metadata": {"axes": "ZYX", **known}}


def sizes(z: float, x: float, unit: str) -> dict[str, Any]:
    edges = {"Z": z, "Y": x, "X": x}
    return {f"PhysicalSize{axis}": edge for axis, edge in edges.items()} | {
        f"PhysicalSize{axis}Unit": unit for axis in edges
    }


PIXEL = (None, 10.0, 10.0)
NM = [40.0, 10.0, 10.0]
CM = {"resolution": PER_CM, "resolutionunit": "CENTIMETER"}


def files_of(stack: Array, wide: Array, real: Array) -> dict[str, Written]:
    """Return files that hold a stack, its first plane, or its remainders by 3 as labels.

    Parameters
    ----------
    stack : (Z, Y, X) of 8 bits
    wide, real : what is written as 16 bits and as real numbers
    """
    grey, labels = stack[0], (stack % 3).astype(np.uint8)
    greys = np.array([119, 213, 66], np.uint8)[labels]  # luminance of the palette's colours
    return {
        "imagej, um": Written(
            "tifffile",
            with_tifffile(stack, resolution=(100, 100), **imagej(unit="um", spacing=0.04)),
            stack,
            VOXEL,
        ),
        "imagej, micron, 16 bits": Written(
            "tifffile",
            with_tifffile(wide, resolution=(100, 100), **imagej(unit="micron", spacing=0.04)),
            wide,
            VOXEL,
        ),
        "imagej, nm, real": Written(
            "tifffile",
            with_tifffile(real, resolution=(0.1, 0.1), **imagej(unit="nm", spacing=40)),
            real,
            VOXEL,
        ),
        "imagej, escaped unit": Written(
            "tifffile",
            with_tifffile(stack, resolution=(100, 100), **imagej(unit="\\u00B5m", spacing=0.04)),
            stack,
            VOXEL,
        ),
        "imagej, no unit": Written("tifffile", with_tifffile(stack, **imagej()), stack),
        "imagej, pixels": Written(
            "tifffile", with_tifffile(stack, **imagej(unit="pixel", spacing=1)), stack
        ),
        "imagej, one plane": Written(
            "tifffile",
            with_tifffile(grey, resolution=(100, 100), imagej=True, metadata={"unit": "um"}),
            grey,
            PIXEL,
        ),
        "ome, nm": Written(
            "tifffile", with_tifffile(stack, **ome(**sizes(40, 10, "nm"))), stack, VOXEL
        ),
        "ome, µm": Written(
            "tifffile", with_tifffile(wide, **ome(**sizes(0.04, 0.01, "µm"))), wide, VOXEL
        ),
        "ome, Å": Written(
            "tifffile", with_tifffile(real, **ome(**sizes(400, 100, "Å"))), real, VOXEL
        ),
        "ome, no unit": Written(
            "tifffile",
            with_tifffile(
                stack,
                **ome(PhysicalSizeX=0.01, PhysicalSizeY=0.01, PhysicalSizeZ=0.04),
            ),
            stack,
            VOXEL,
        ),
        "ome, no z": Written(
            "tifffile",
            with_tifffile(
                stack,
                **ome(PhysicalSizeX=0.01, PhysicalSizeY=0.01),
            ),
            stack,
            PIXEL,
        ),
        "ome, zlib": Written(
            "tifffile",
            with_tifffile(stack, compression="zlib", **ome(**sizes(40, 10, "nm"))),
            stack,
            VOXEL,
        ),
        "ome, nothing": Written("tifffile", with_tifffile(stack, **ome()), stack),
        "dots per cm": Written("tifffile", with_tifffile(stack, **CM), stack, PIXEL),
        "dots per inch of a printer": Written(
            "tifffile",
            with_tifffile(stack, resolution=(300, 300), resolutionunit="INCH"),
            stack,
        ),
        "tiles": Written("tifffile", with_tifffile(stack, tile=(16, 16)), stack),
        "BigTIFF": Written("tifffile", with_tifffile(stack, bigtiff=True), stack),
        "big-endian": Written("tifffile", with_tifffile(wide, byteorder=">"), wide),
        "LZW": Written("tifffile", with_tifffile(stack, compression="lzw"), stack),
        "LZW, predictor": Written(
            "tifffile", with_tifffile(wide, compression="lzw", predictor=True), wide
        ),
        "PackBits": Written("tifffile", with_tifffile(stack, compression="packbits"), stack),
        "Zstandard": Written("tifffile", with_tifffile(stack, compression="zstd"), stack),
        "strips": Written("tifffile", with_tifffile(stack, rowsperstrip=5), stack),
        "pages without description": Written(
            "tifffile", with_tifffile(stack, metadata=None), stack
        ),
        "32 bits": Written("tifffile", with_tifffile(stack.astype(np.uint32)), stack),
        "signed": Written("tifffile", with_tifffile(stack.astype(np.int16)), stack),
        "white is zero": Written(
            "tifffile",
            with_tifffile(255 - stack, photometric="miniswhite"),
            255 - stack,
            shown=stack,
        ),
        "one bit": Written("tifffile", with_tifffile(stack > 99), stack > 99),
        "grey as RGB": Written(
            "tifffile", with_tifffile(np.stack([stack] * 3, axis=-1), photometric="rgb"), stack
        ),
        "PNG": Written("Pillow", with_pillow(grey, ".png"), grey),
        "PNG, 16 bits": Written("Pillow", with_pillow(wide[0], ".png"), wide[0]),
        "PNG, one bit": Written("Pillow", with_pillow(grey > 99, ".png"), grey > 99),
        "PNG, dots per inch": Written(
            "Pillow", with_pillow(grey, ".png", dpi=(2.54e6, 2.54e6)), grey, PIXEL
        ),
        "PNG, interlaced by nobody": Written(
            "Pillow", with_pillow(grey, ".png", optimize=True), grey
        ),
        "BMP": Written("Pillow", with_pillow(grey, ".bmp"), grey),
        "TIFF of Pillow": Written("Pillow", with_pillow(grey, ".tif"), grey),
        "pages of Pillow": Written("Pillow", with_pillow(stack, ".tif"), stack),
        "pages of Pillow, LZW": Written(
            "Pillow", with_pillow(stack, ".tif", compression="tiff_lzw"), stack
        ),
        "pages of Pillow, deflate": Written(
            "Pillow", with_pillow(stack, ".tif", compression="tiff_deflate"), stack
        ),
        "pages of Pillow, real": Written("Pillow", with_pillow(real, ".tif"), real),
        "slices, PNG": Written(
            "Pillow", in_folder(lambda plane: with_pillow(plane, ".png"), stack), stack
        ),
        "slices, BMP": Written(
            "Pillow", in_folder(lambda plane: with_pillow(plane, ".bmp"), stack), stack
        ),
        "slices, PNG with palette": Written(
            "Pillow",
            in_folder(lambda plane: with_palette(plane, ".png"), labels),
            labels,
            shown=greys,
        ),
        "slices, TIFF with palette": Written(
            "Pillow",
            in_folder(lambda plane: with_palette(plane, ".tif"), labels),
            labels,
            shown=greys,
        ),
        "PNG of imageio": Written("imageio", with_imageio(grey, ".png"), grey),
        "BMP of imageio": Written("imageio", with_imageio(grey, ".bmp"), grey),
        "TIFF of imageio": Written("imageio", with_imageio(grey, ".tif"), grey),
        "pages of imageio": Written("imageio", with_imageio(stack, ".tif"), stack),
        "pages of imageio, 16 bits": Written("imageio", with_imageio(wide, ".tif"), wide),
        "slices of imageio": Written(
            "imageio", in_folder(lambda plane: with_imageio(plane, ".png"), wide), wide
        ),
        "PNG of scikit-image": Written("scikit-image", with_skimage(grey, ".png"), grey),
        "TIFF of scikit-image": Written("scikit-image", with_skimage(wide[0], ".tif"), wide[0]),
        "pages of scikit-image": Written("scikit-image", with_skimage(stack, ".tif"), stack),
        "PNG of matplotlib": Written("matplotlib", with_matplotlib(grey, ".png"), grey),
        "TIFF of matplotlib": Written("matplotlib", with_matplotlib(grey, ".tiff"), grey),
        "slices of matplotlib": Written(
            "matplotlib", in_folder(lambda plane: with_matplotlib(plane, ".png"), stack), stack
        ),
        "PNG of VTK": Written("VTK", with_vtk(grey, vtkPNGWriter, ".png"), grey),
        "TIFF of VTK": Written("VTK", with_vtk(grey, vtkTIFFWriter, ".tif"), grey),
        "BMP of VTK": Written("VTK", with_vtk(grey, vtkBMPWriter, ".bmp"), grey),
        "slices of VTK": Written(
            "VTK", in_folder(lambda plane: with_vtk(plane, vtkTIFFWriter, ".tif"), stack), stack
        ),
        "npy": Written("NumPy", with_numpy(stack), stack),
        "npy, one plane": Written("NumPy", with_numpy(grey), grey),
        "npy, real": Written("NumPy", with_numpy(real), real),
        "npz": Written("NumPy", with_numpy(labels, voxel_size_nm=NM), labels, VOXEL),
        "Zarr 2": Written("Zarr", with_zarr(stack, 2), stack),
        "Zarr 3": Written("Zarr", with_zarr(wide, 3, voxel_size_nm=NM), wide, VOXEL),
        "NRRD, nm": Written(
            "pynrrd", with_nrrd(stack, spacings=NM[::-1], units=["nm"] * 3), stack, VOXEL
        ),
        "NRRD, gzip, µm": Written(
            "pynrrd",
            with_nrrd(wide, spacings=[0.01, 0.01, 0.04], units=["um"] * 3, encoding="gzip"),
            wide,
            VOXEL,
        ),
        "NRRD, no unit": Written("pynrrd", with_nrrd(real, spacings=[1.0, 1.0, 4.0]), real),
        "ilastik": Written("h5py", with_h5py((labels + 1)[..., None], "zyxc"), labels + 1),
        "ilastik, other order": Written(
            "h5py", with_h5py((labels + 1).transpose(2, 1, 0), "xyz"), labels + 1
        ),
        **{
            f"ours, {form}": Written("bl_steer", of_ours(stack, form), stack, VOXEL)
            for form in ("imagej", "ome-tiff", "ome-zarr", "nrrd")
        },
    }


FILES = files_of(STACK, STACK.astype(np.uint16) * 257, STACK.astype(np.float32) / 8)
