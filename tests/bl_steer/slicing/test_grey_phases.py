"""A phase that is lost in half of the grey slices, or fades, is told; a sound stack is not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from bl_steer.analysis.superresolution.checks import stack_warnings
from bl_steer.slicing.grey_phases import changing_phases, grey_phase_warnings
from simulators.electron import FibsemSpecimen, ImagingConditions, micrograph

GREYS = np.array([200.0, 110.0, 30.0])
N = 20


@pytest.fixture(scope="module")
def labels() -> NDArray[np.int_]:
    rough = gaussian_filter(np.random.default_rng(0).normal(size=(4 * N, 128, 128)), 4)[::4]
    return np.digitize(rough / rough.std(), [-0.5, 0.4])


def imaged(labels: NDArray[np.int_], without: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return slices whose middle phase has lost so much of its contrast to the darkest one."""
    noise = np.random.default_rng(1).normal(0, 12, labels.shape)
    share = without[:, None, None] * (labels == 1)
    grey = GREYS[labels] - share * (GREYS[1] - GREYS[2]) + noise
    return np.clip(gaussian_filter(grey, (0, 0.7, 0.7)), 0, 255).astype(np.uint8)


DEPTH = np.arange(N)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_phase_that_half_of_the_slices_lack_is_told(
    labels: NDArray[np.int_], dtype: type
) -> None:
    for lacks in (DEPTH >= N // 2, DEPTH % 2 == 1):
        factor = 1 if dtype is np.uint8 else 3
        stack = imaged(labels, lacks.astype(float)).astype(dtype) * dtype(factor)
        (phase,) = (p for p in changing_phases(stack) if abs(p.level / factor - 110) < 10)
        assert phase.lost == np.flatnonzero(lacks).tolist()


def test_a_phase_that_fades_is_told(labels: NDArray[np.int_]) -> None:
    told = list(grey_phase_warnings(imaged(labels, DEPTH / (N - 1))))
    assert any("grey levels about" in text for text in told)


def test_slices_are_named_by_their_files_where_these_are_known(labels: NDArray[np.int_]) -> None:
    stack = imaged(labels, (DEPTH >= N // 2).astype(float))
    files = [f"s_{100 + place}.tif" for place in DEPTH]
    told = list(stack_warnings(stack, None, (40.0, 10.0, 10.0), files))
    (line,) = (text for text in told if "next to none of the grey levels about 1" in text)
    first, last = f"0 ({files[0]})", f"{N - 1} ({files[-1]})"
    assert f"of slices {first} … {last} ({N // 2} ({files[N // 2]}), " in line
    stack[3] = stack[2]
    (line,) = (t for t in stack_warnings(stack, None, (40.0, 10.0, 10.0), files) if "twice" in t)
    assert f"3 ({files[3]}) shows the same face" in line


def test_a_sound_stack_is_not_told_nor_one_of_varying_brightness(
    labels: NDArray[np.int_],
) -> None:
    sound = imaged(labels, np.zeros(N))
    assert changing_phases(sound) == []
    brightness = np.random.default_rng(2).normal(1, 0.02, (N, 1, 1))
    assert changing_phases(sound * brightness) == []
    assert changing_phases(sound[:4]) == []
    assert changing_phases(np.full((N, 32, 32), 7, np.uint8)) == []


def test_the_checks_of_a_grey_stack_say_so(labels: NDArray[np.int_]) -> None:
    stack = imaged(labels, (DEPTH >= N // 2).astype(float))
    told = list(stack_warnings(stack, None, (40.0, 10.0, 10.0)))
    assert any("a phase may be lost there" in text for text in told)
    sound = stack_warnings(imaged(labels, np.zeros(N)), None, (40.0, 10.0, 10.0))
    assert not any("a phase may be lost" in text for text in sound)


def test_grey_levels_that_some_slices_clip_are_no_phase_that_others_lost() -> None:
    specimen = FibsemSpecimen("grains", seed=0, shape=(40, 144, 160)).labels[::5]
    conditions = ImagingConditions(drift=0.0, gain_spread=0.2)
    every = [micrograph(face, conditions, seed=[0, k]) for k, face in enumerate(specimen)]
    assert changing_phases(np.stack(every)) == []
