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
WIDE = STACK.astype(np.uint16) * 257
REAL = STACK.astype(np.float32) / 8
VOXEL = (40.0, 10.0, 10.0)
PER_CM = (1e6, 1e6)
GREYS = np.array([119, 213, 66], np.uint8)[LABELS]
"""Luminance of the palette's colours."""


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


def of_ours(form: str) -> Callable[[Path], Path]:
    return lambda stem: write_volume(stem, STACK, VOXEL, form)


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
FILES: dict[str, Written] = {
    "imagej, um": Written(
        "tifffile",
        with_tifffile(STACK, resolution=(100, 100), **imagej(unit="um", spacing=0.04)),
        STACK,
        VOXEL,
    ),
    "imagej, micron, 16 bits": Written(
        "tifffile",
        with_tifffile(WIDE, resolution=(100, 100), **imagej(unit="micron", spacing=0.04)),
        WIDE,
        VOXEL,
    ),
    "imagej, nm, real": Written(
        "tifffile",
        with_tifffile(REAL, resolution=(0.1, 0.1), **imagej(unit="nm", spacing=40)),
        REAL,
        VOXEL,
    ),
    "imagej, escaped unit": Written(
        "tifffile",
        with_tifffile(STACK, resolution=(100, 100), **imagej(unit="\\u00B5m", spacing=0.04)),
        STACK,
        VOXEL,
    ),
    "imagej, no unit": Written("tifffile", with_tifffile(STACK, **imagej()), STACK),
    "imagej, pixels": Written(
        "tifffile", with_tifffile(STACK, **imagej(unit="pixel", spacing=1)), STACK
    ),
    "imagej, one plane": Written(
        "tifffile",
        with_tifffile(GREY, resolution=(100, 100), imagej=True, metadata={"unit": "um"}),
        GREY,
        PIXEL,
    ),
    "ome, nm": Written(
        "tifffile", with_tifffile(STACK, **ome(**sizes(40, 10, "nm"))), STACK, VOXEL
    ),
    "ome, µm": Written(
        "tifffile", with_tifffile(WIDE, **ome(**sizes(0.04, 0.01, "µm"))), WIDE, VOXEL
    ),
    "ome, Å": Written(
        "tifffile", with_tifffile(REAL, **ome(**sizes(400, 100, "Å"))), REAL, VOXEL
    ),
    "ome, no unit": Written(
        "tifffile",
        with_tifffile(
            STACK,
            **ome(PhysicalSizeX=0.01, PhysicalSizeY=0.01, PhysicalSizeZ=0.04),
        ),
        STACK,
        VOXEL,
    ),
    "ome, no z": Written(
        "tifffile",
        with_tifffile(
            STACK,
            **ome(PhysicalSizeX=0.01, PhysicalSizeY=0.01),
        ),
        STACK,
        PIXEL,
    ),
    "ome, zlib": Written(
        "tifffile",
        with_tifffile(STACK, compression="zlib", **ome(**sizes(40, 10, "nm"))),
        STACK,
        VOXEL,
    ),
    "ome, nothing": Written("tifffile", with_tifffile(STACK, **ome()), STACK),
    "dots per cm": Written("tifffile", with_tifffile(STACK, **CM), STACK, PIXEL),
    "dots per inch of a printer": Written(
        "tifffile",
        with_tifffile(STACK, resolution=(300, 300), resolutionunit="INCH"),
        STACK,
    ),
    "tiles": Written("tifffile", with_tifffile(STACK, tile=(16, 16)), STACK),
    "BigTIFF": Written("tifffile", with_tifffile(STACK, bigtiff=True), STACK),
    "big-endian": Written("tifffile", with_tifffile(WIDE, byteorder=">"), WIDE),
    "LZW": Written("tifffile", with_tifffile(STACK, compression="lzw"), STACK),
    "LZW, predictor": Written(
        "tifffile", with_tifffile(WIDE, compression="lzw", predictor=True), WIDE
    ),
    "PackBits": Written("tifffile", with_tifffile(STACK, compression="packbits"), STACK),
    "Zstandard": Written("tifffile", with_tifffile(STACK, compression="zstd"), STACK),
    "strips": Written("tifffile", with_tifffile(STACK, rowsperstrip=5), STACK),
    "pages without description": Written("tifffile", with_tifffile(STACK, metadata=None), STACK),
    "32 bits": Written("tifffile", with_tifffile(STACK.astype(np.uint32)), STACK),
    "signed": Written("tifffile", with_tifffile(STACK.astype(np.int16)), STACK),
    "white is zero": Written(
        "tifffile", with_tifffile(255 - STACK, photometric="miniswhite"), 255 - STACK, shown=STACK
    ),
    "one bit": Written("tifffile", with_tifffile(STACK > 99), STACK > 99),
    "grey as RGB": Written(
        "tifffile", with_tifffile(np.stack([STACK] * 3, axis=-1), photometric="rgb"), STACK
    ),
    "PNG": Written("Pillow", with_pillow(GREY, ".png"), GREY),
    "PNG, 16 bits": Written("Pillow", with_pillow(WIDE[0], ".png"), WIDE[0]),
    "PNG, one bit": Written("Pillow", with_pillow(GREY > 99, ".png"), GREY > 99),
    "PNG, dots per inch": Written(
        "Pillow", with_pillow(GREY, ".png", dpi=(2.54e6, 2.54e6)), GREY, PIXEL
    ),
    "PNG, interlaced by nobody": Written("Pillow", with_pillow(GREY, ".png", optimize=True), GREY),
    "BMP": Written("Pillow", with_pillow(GREY, ".bmp"), GREY),
    "TIFF of Pillow": Written("Pillow", with_pillow(GREY, ".tif"), GREY),
    "pages of Pillow": Written("Pillow", with_pillow(STACK, ".tif"), STACK),
    "pages of Pillow, LZW": Written(
        "Pillow", with_pillow(STACK, ".tif", compression="tiff_lzw"), STACK
    ),
    "pages of Pillow, deflate": Written(
        "Pillow", with_pillow(STACK, ".tif", compression="tiff_deflate"), STACK
    ),
    "pages of Pillow, real": Written("Pillow", with_pillow(REAL, ".tif"), REAL),
    "slices, PNG": Written(
        "Pillow", in_folder(lambda plane: with_pillow(plane, ".png"), STACK), STACK
    ),
    "slices, BMP": Written(
        "Pillow", in_folder(lambda plane: with_pillow(plane, ".bmp"), STACK), STACK
    ),
    "slices, PNG with palette": Written(
        "Pillow", in_folder(lambda plane: with_palette(plane, ".png"), LABELS), LABELS, shown=GREYS
    ),
    "slices, TIFF with palette": Written(
        "Pillow", in_folder(lambda plane: with_palette(plane, ".tif"), LABELS), LABELS, shown=GREYS
    ),
    "PNG of imageio": Written("imageio", with_imageio(GREY, ".png"), GREY),
    "BMP of imageio": Written("imageio", with_imageio(GREY, ".bmp"), GREY),
    "TIFF of imageio": Written("imageio", with_imageio(GREY, ".tif"), GREY),
    "pages of imageio": Written("imageio", with_imageio(STACK, ".tif"), STACK),
    "pages of imageio, 16 bits": Written("imageio", with_imageio(WIDE, ".tif"), WIDE),
    "slices of imageio": Written(
        "imageio", in_folder(lambda plane: with_imageio(plane, ".png"), WIDE), WIDE
    ),
    "PNG of scikit-image": Written("scikit-image", with_skimage(GREY, ".png"), GREY),
    "TIFF of scikit-image": Written("scikit-image", with_skimage(WIDE[0], ".tif"), WIDE[0]),
    "pages of scikit-image": Written("scikit-image", with_skimage(STACK, ".tif"), STACK),
    "PNG of matplotlib": Written("matplotlib", with_matplotlib(GREY, ".png"), GREY),
    "TIFF of matplotlib": Written("matplotlib", with_matplotlib(GREY, ".tiff"), GREY),
    "slices of matplotlib": Written(
        "matplotlib", in_folder(lambda plane: with_matplotlib(plane, ".png"), STACK), STACK
    ),
    "PNG of VTK": Written("VTK", with_vtk(GREY, vtkPNGWriter, ".png"), GREY),
    "TIFF of VTK": Written("VTK", with_vtk(GREY, vtkTIFFWriter, ".tif"), GREY),
    "BMP of VTK": Written("VTK", with_vtk(GREY, vtkBMPWriter, ".bmp"), GREY),
    "slices of VTK": Written(
        "VTK", in_folder(lambda plane: with_vtk(plane, vtkTIFFWriter, ".tif"), STACK), STACK
    ),
    "npy": Written("NumPy", with_numpy(STACK), STACK),
    "npy, one plane": Written("NumPy", with_numpy(GREY), GREY),
    "npy, real": Written("NumPy", with_numpy(REAL), REAL),
    "npz": Written("NumPy", with_numpy(LABELS, voxel_size_nm=NM), LABELS, VOXEL),
    "Zarr 2": Written("Zarr", with_zarr(STACK, 2), STACK),
    "Zarr 3": Written("Zarr", with_zarr(WIDE, 3, voxel_size_nm=NM), WIDE, VOXEL),
    "NRRD, nm": Written(
        "pynrrd", with_nrrd(STACK, spacings=NM[::-1], units=["nm"] * 3), STACK, VOXEL
    ),
    "NRRD, gzip, µm": Written(
        "pynrrd",
        with_nrrd(WIDE, spacings=[0.01, 0.01, 0.04], units=["um"] * 3, encoding="gzip"),
        WIDE,
        VOXEL,
    ),
    "NRRD, no unit": Written("pynrrd", with_nrrd(REAL, spacings=[1.0, 1.0, 4.0]), REAL),
    "ilastik": Written("h5py", with_h5py((LABELS + 1)[..., None], "zyxc"), LABELS + 1),
    "ilastik, other order": Written(
        "h5py", with_h5py((LABELS + 1).transpose(2, 1, 0), "xyz"), LABELS + 1
    ),
    **{f"ours, {form}": Written("bl_steer", of_ours(form), STACK, VOXEL)
       for form in ("imagej", "ome-tiff", "ome-zarr", "nrrd")},
}  # fmt: skip
