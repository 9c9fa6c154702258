"""Slices that do not stand in the order in which they were cut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bl_steer.analysis import find_analysis, make_params
from bl_steer.protocols import Inputs
from bl_steer.slicing.order import order_warnings
from simulators.electron.fibsem_sample import FibsemSpecimen

N = 18
ORDERS: dict[str, tuple[list[int], str]] = {
    "one elsewhere": ([*range(4), 12, *range(4, 12), *range(13, N)], "4.tif is unlike both beside"),
    "two exchanged": ([*range(5), 9, 6, 7, 8, 5, *range(10, N)], "unlike both beside"),
    "a part reversed": ([*range(6), *range(11, 5, -1), *range(12, N)], "6.tif and 12.tif"),
    "names that do not count": (sorted(range(N), key=str), "parts of the stack are out of order"),
    "begun in the middle": ([*range(9, N), *range(9)], "slices 0.tif and 17.tif are as alike"),
}
SOUND = {
    "as cut": [*range(N)],
    "from below": [*range(N - 1, -1, -1)],
    "with gaps": [0, 1, 2, 5, 6, 7, 8, 12, 13, 14, 15, 17],
}


def gyroid(pitch: int, period: float = 24.0) -> Any:
    z, y, x = (2 * np.pi / period * axis for axis in np.ogrid[: 40 * pitch : pitch, :160, :160])
    return (np.sin(x) * np.cos(y) + np.sin(y) * np.cos(z) + np.sin(z) * np.cos(x) > 0.3).astype(
        np.uint8
    )


def opal(pitch: int, diameter: float = 24.0) -> Any:
    """Return spheres in layers of closest packing, A B C, parallel to the faces."""
    z, y, x = np.ogrid[: 40 * pitch : pitch, :160, :160]
    labels = np.zeros((40, 160, 160), np.uint8)
    rise, row = diameter * np.sqrt(2 / 3), diameter * np.sqrt(3) / 2
    for layer in range(int(40 * pitch / rise) + 2):
        # The nearest centre of two lattices of rectangles.
        for half in (0.0, 0.5):
            across = x - diameter * (0.5 * layer + half)
            along = y - row * (layer / 1.5 + 2.0 * half)
            across = across - diameter * np.rint(across / diameter)
            along = along - 2.0 * row * np.rint(along / (2.0 * row))
            labels |= across**2 + along**2 + (z - rise * layer) ** 2 < (0.49 * diameter) ** 2
    return labels


@pytest.fixture(scope="module", params=["grains", "network"])
def labels(request: pytest.FixtureRequest) -> Any:
    specimen = FibsemSpecimen(
        request.param, seed=1, shape=(8 * N, 160, 160), voxel_nm=12.0, origin_um=(3.0, 3.0, 3.0)
    )
    return specimen.labels[::8]


def told(labels: Any, order: list[int], *, grey: bool) -> list[str]:
    slices = labels[order]
    if grey:
        slices = np.asarray([0.75, 0.4, 0.12])[slices]
        slices = slices + np.random.default_rng(0).normal(0, 0.1, slices.shape)
    names = [f"{place}.tif" for place in range(len(order))]
    return list(order_warnings(slices, names, labels=not grey))


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("name", ORDERS)
def test_slices_that_are_out_of_order_are_named(labels: Any, name: str, grey: bool) -> None:
    order, words = ORDERS[name]
    (warning,) = told(labels, order, grey=grey)
    assert words in warning
    assert "look at the names of the files" in warning


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("name", SOUND)
def test_slices_in_order_are_not_doubted(labels: Any, name: str, grey: bool) -> None:
    assert told(labels, SOUND[name], grey=grey) == []


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize(("structure", "pitch"), [(gyroid, 1), (gyroid, 2), (opal, 1)])
def test_a_structure_that_repeats_itself_is_not_out_of_order(
    structure: Callable[[int], Any], pitch: int, grey: bool
) -> None:
    labels = structure(pitch)
    assert told(labels, [*range(len(labels))], grey=grey) == []


def test_planes_are_read_once_and_in_order(labels: Any) -> None:
    order, words = ORDERS["a part reversed"]
    names = [f"{place}.tif" for place in range(N)]
    (warning,) = order_warnings(iter(labels[order]), names, labels=True)
    assert words in warning


def test_blank_slices_are_passed_over(labels: Any) -> None:
    slices = labels.copy()
    slices[4] = slices[9] = 1
    assert list(order_warnings(slices, labels=True)) == []


def test_a_volume_whose_planes_were_exchanged_is_told(labels: Any) -> None:
    order, _ = ORDERS["two exchanged"]
    analysis = find_analysis("structure")
    params = make_params(analysis, {"voxel_size_nm": (96.0, 12.0, 12.0), "n_bootstrap": 100})
    for planes, told in ((labels, 0), (labels[order], 1)):
        result = analysis.run(Inputs({"labels": planes}), params)
        assert sum("unlike both beside" in warning for warning in result.warnings) == told
