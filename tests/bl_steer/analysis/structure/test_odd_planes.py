"""Planes that show no face of their own are named, and the specimen's are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from bl_steer.analysis import find_analysis, make_params
from bl_steer.analysis.structure.checks import white_notes
from bl_steer.analysis.structure.odd_planes import odd_plane_warnings
from bl_steer.protocols import Inputs


def network() -> NDArray[np.uint8]:
    noise = gaussian_filter(np.random.default_rng(3).standard_normal((32, 40, 48)), 4.0)
    return np.digitize(noise, np.quantile(noise, [0.4, 0.75])).astype(np.uint8)


def changed(place: Any, planes: Any) -> NDArray[np.uint8]:
    labels = network()
    labels[place] = planes
    return labels


def test_a_specimen_has_no_odd_planes() -> None:
    labels = network()
    assert not list(odd_plane_warnings(labels))
    inside = np.pad(labels, ((4, 4), (6, 6), (6, 6)))  # a body wholly inside the box
    assert not list(odd_plane_warnings(inside))
    assert not list(odd_plane_warnings(np.repeat(labels, 3, axis=0)))  # stretched along z
    layers = np.zeros((20, 12, 12), np.uint8)
    layers[6:12] = 1
    assert not list(odd_plane_warnings(layers))


@pytest.mark.parametrize("label", [0, 2, 255])
def test_planes_of_one_label_between_others_are_named(label: int) -> None:
    (told,) = odd_plane_warnings(changed(9, label))
    assert told.startswith("plane 9 (from 0) holds one label alone")
    (told,) = odd_plane_warnings(changed(slice(9, 11), label))
    assert told.startswith("planes 9, 10 (from 0) hold one label alone")


def test_a_plane_that_is_stored_twice_is_named_by_the_analysis() -> None:
    labels = changed(9, network()[8])
    analysis = find_analysis("structure")
    given = Inputs({"labels": labels}, {"voxel_size_nm": [20.0, 10.0, 10.0]}, {})
    result = analysis.run(given, make_params(analysis, {"n_bootstrap": 100}))
    (told,) = [one for one in result.warnings if "once more" in one]
    assert told.startswith("plane 9 (from 0) is that before it once more")


def test_names_in_another_order_are_no_labels_of_0_and_255() -> None:
    used = {0: "pore", 1: "carbon", 2: "binder"}
    assert not list(white_notes({1: "carbon", 2: "binder", 0: "pore"}, used))
    assert list(white_notes({0: "pore", 1: "carbon"}, {0: "pore", 255: "carbon"}))
