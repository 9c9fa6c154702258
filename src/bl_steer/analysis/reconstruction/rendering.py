"""A label volume as a picture in three dimensions, drawn by PyVista without a screen.

VTK and OpenGL take half a GiB for a large volume, and keep it: that is drawn in a process of its
own, which ends.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from ctypes.util import find_library
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.segmentation.phases import Phases
from bl_steer.files.large_arrays import let_go
from bl_steer.processing.executors.part_processes import each_result

__all__ = ["LARGEST_VX", "can_render", "render"]

LARGEST_VX = 160
"""Voxels along an edge that are drawn: more would not be seen."""
SMALL_VX = 2**20
"""Voxels that are drawn in this process: of so few, surfaces take little memory."""
VIEW = (-1.35, -0.8, -1.05)
"""From where the volume is seen, as x, y, z: the first face in front, the first row on top."""


def can_render() -> bool:
    """Return whether this machine has an OpenGL to draw with; it needs no screen."""
    return any(find_library(name) for name in ("EGL", "GL", "OSMesa"))


def render(
    labels: NDArray[np.uint8],
    voxel_nm: tuple[float, float, float],
    phases: Phases,
    *,
    size_px: tuple[int, int] = (900, 780),
) -> NDArray[np.uint8]:
    """Return a picture (H, W, 3) of a volume, its last phase left out to be looked through.

    Parameters
    ----------
    labels : (N, H, W), the first plane in front
    voxel_nm : edges z, y, x

    Raises
    ------
    RuntimeError
        Where the machine has no OpenGL.
    """
    if not can_render():
        raise RuntimeError(
            "a volume must be drawn with OpenGL, got a machine without; install libegl1 and "
            "libgl1-mesa-dri ('make system' does)"
        )
    step = max(1, -(-max(labels.shape) // LARGEST_VX))
    thin = _thinned(labels, step)
    edges_um = tuple(1e-3 * step * edge for edge in voxel_nm)
    colours = tuple(phases[label].show for label in range(len(phases) - 1))
    draw = partial(_drawn, edges_um=edges_um, colours=colours, size_px=size_px)
    ((_, picture),) = each_result(draw, [thin], apart=thin.size > SMALL_VX)
    return _without_margins(picture)


def _thinned(labels: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    """Return every so manyth voxel along each axis, read plane by plane."""
    planes = range(0, len(labels), step)
    shape = (len(planes), *(len(range(0, n, step)) for n in labels.shape[1:]))
    thin = np.empty(shape, np.uint8)
    for number, plane in enumerate(planes):
        thin[number] = labels[plane, ::step, ::step]
        let_go(labels)
    return thin


def _drawn(
    thin: NDArray[np.uint8],
    edges_um: tuple[float, ...],
    colours: tuple[tuple[int, int, int], ...],
    size_px: tuple[int, int],
) -> NDArray[np.uint8]:
    """Return a picture (H, W, 3) of those phases that have a colour."""
    with _quiet_graphics():
        import pyvista  # not before: it loads OpenGL, and fails on a machine without

        plotter: Any = pyvista.Plotter(off_screen=True, window_size=list(size_px))
        plotter.set_background("white")
        for label, (red, green, blue) in enumerate(colours):
            surface = _surface(thin == label, edges_um)
            if surface is not None:
                plotter.add_mesh(
                    surface,
                    color=(red / 255, green / 255, blue / 255),
                    smooth_shading=False,
                    ambient=0.42,
                    diffuse=0.66,
                    specular=0.08,
                )
        box = pyvista.Box(_bounds(thin.shape, edges_um))
        plotter.add_mesh(box, style="wireframe", color="#7a8791", line_width=1.5)
        plotter.camera_position = [VIEW, (0.0, 0.0, 0.0), (0.0, -1.0, 0.0)]
        plotter.reset_camera()
        picture = np.ascontiguousarray(plotter.screenshot(return_img=True)[..., :3])
        plotter.close()
    return picture


def _without_margins(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the part of a picture that is not white, with a little around it."""
    rows, columns = (np.flatnonzero((picture < 255).any(axis=(2, other))) for other in (1, 0))
    if not len(rows):
        return picture
    (top, bottom), (left, right) = ((max(0, k[0] - 8), k[-1] + 9) for k in (rows, columns))
    return np.ascontiguousarray(picture[top:bottom, left:right])


def _surface(inside: NDArray[np.bool_], edges_um: tuple[float, ...]) -> Any:
    """Return the closed surface of what is inside, x, y, z in µm; None where there is none."""
    import pyvista  # as in `render`

    if not inside.any():
        return None
    padded = np.pad(inside.astype(np.uint8), 1)
    z, y, x = edges_um
    grid = pyvista.ImageData(
        dimensions=padded.shape[::-1], spacing=(x, y, z), origin=(-0.5 * x, -0.5 * y, -0.5 * z)
    )
    grid.point_data["inside"] = padded.ravel()
    return grid.contour_labels(boundary_style="all", smoothing=True, output_mesh_type="triangles")


def _bounds(shape: tuple[int, ...], edges_um: tuple[float, ...]) -> tuple[float, ...]:
    (z, y, x), (dz, dy, dx) = shape, edges_um
    return 0.0, x * dx, 0.0, y * dy, 0.0, z * dz


@contextlib.contextmanager
def _quiet_graphics() -> Iterator[None]:
    """Keep VTK from saying on the error stream that it found no screen and does without."""
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
