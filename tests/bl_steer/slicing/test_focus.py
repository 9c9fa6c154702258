"""The blur and the focus, from images of known defocus."""

from __future__ import annotations

import numpy as np
import pytest

from bl_steer.slicing import best_focus, blur_against, log_sharpness
from simulators.electron.fibsem_sample import FibsemSpecimen
from simulators.electron.imaging import ImagingConditions
from simulators.electron.micrographs import micrograph


def test_sharpness_gives_the_blur_and_the_focus() -> None:
    specimen = FibsemSpecimen("network", seed=2, shape=(1, 256, 256)).labels[0]
    defocus = np.array([-8.0, -4.0, 0.0, 4.0, 8.0])
    sharpness = np.array(
        [
            log_sharpness(micrograph(specimen, ImagingConditions(defocus_um=um), seed=5))
            for um in defocus
        ]
    )
    assert np.argmax(sharpness) == 2
    # 8 µm out of focus at a half angle of 5 mrad is a blur of 20 nm.
    assert blur_against(sharpness[4], sharpness[2]) == pytest.approx(2.0, abs=0.5)
    assert blur_against(sharpness[2], sharpness[4]) == 0.0
    assert abs(best_focus(defocus, sharpness)) < 1.0
    with pytest.raises(ValueError, match="focus must be judged by three images at least, got 1"):
        best_focus(defocus, np.array([np.nan, 1.0, np.nan, np.nan, np.nan]))
