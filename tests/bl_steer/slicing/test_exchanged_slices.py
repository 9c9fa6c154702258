"""Order told in images as microscopes take them: unevenly lit, charged, of varying contrast."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bl_steer.analysis import find_analysis, make_params
from bl_steer.protocols import Inputs
from bl_steer.slicing.order import order_warnings
from simulators.electron import FibsemSpecimen, ImagingConditions, micrograph

N = 12


def taken(family: str, pitch: int, noise: float, *, seed: int) -> Any:
    """Return images of neighbouring sections, so many voxels of 10 nm apart."""
    specimen = FibsemSpecimen(family, seed=seed, shape=(N * pitch, 160, 160), voxel_nm=10.0)
    conditions = ImagingConditions(noise=noise)
    return np.stack(
        [
            micrograph(labels, conditions, seed=[seed, number])
            for number, labels in enumerate(specimen.labels[::pitch])
        ]
    )


@pytest.fixture(
    scope="module",
    params=[(family, *how) for family in ("grains", "network") for how in ((3, 2.0), (6, 1.0))],
    ids=str,
)
def images(request: pytest.FixtureRequest) -> Any:
    family, pitch, noise = request.param
    return taken(family, pitch, noise, seed=103)


def exchanged(first: int) -> list[int]:
    order = [*range(N)]
    order[first], order[first + 1] = order[first + 1], order[first]
    return order


def test_unevenly_lit_slices_in_order_are_not_doubted(images: Any) -> None:
    assert list(order_warnings(images)) == []


@pytest.mark.parametrize("first", [3, 5, 8])
def test_two_neighbours_that_were_exchanged_are_named(images: Any, first: int) -> None:
    (warning,) = order_warnings(images[exchanged(first)], [f"{k}.tif" for k in range(N)])
    assert warning.startswith(f"slices {first}.tif and {first + 1}.tif stand as if they were")
    assert "look at the names of the files" in warning


def test_labels_of_neighbours_that_were_exchanged_are_named() -> None:
    labels = FibsemSpecimen("network", seed=3, shape=(4 * N, 160, 160), voxel_nm=10.0).labels[::4]
    assert list(order_warnings(labels, labels=True)) == []
    (warning,) = order_warnings(labels[exchanged(6)], labels=True)
    assert warning.startswith("slices 6 and 7 stand as if they were exchanged")


def test_two_pairs_are_named_together(images: Any) -> None:
    order = exchanged(2)
    order[7], order[8] = order[8], order[7]
    (warning,) = order_warnings(images[order])
    assert warning.startswith("slices 2 and 3, 7 and 8 stand as if they were exchanged")


def test_a_slice_from_elsewhere_is_named_in_unevenly_lit_ones(images: Any) -> None:
    foreign = images.copy()
    foreign[5] = taken("grains", 1, 1.0, seed=104)[4]
    (warning,) = order_warnings(foreign)
    assert "5 is unlike both beside" in warning


def test_aligned_slices_with_two_exchanged_are_named() -> None:
    analysis = find_analysis("align-slices")
    images = taken("grains", 6, 1.0, seed=103)[exchanged(5)]
    inputs = Inputs({"slices": images}, {"pixel_size_nm": 10.0, "pitch_nm": 60.0})
    result = analysis.run(inputs, make_params(analysis, {}))
    assert any(w.startswith("slices 5 and 6 stand as if they were") for w in result.warnings)
