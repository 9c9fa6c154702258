"""The simulated FIB-SEM: faults come from the seed, and the truth of each slice is exact."""

from __future__ import annotations

import numpy as np
import pytest

from simulators.electron.fibsem import SimulatedFibSem
from simulators.electron.imaging import ImagingConditions
from simulators.electron.slice_faults import SliceFaults
from simulators.electron.tracking_marks import NotchedCap


def test_faults_come_from_the_seed_alone() -> None:
    cuts = [SliceFaults(seed=3).cut(number, 100.0) for number in range(1, 400)]
    assert cuts[5] == SliceFaults(seed=3).cut(6, 100.0)
    assert cuts[5] != SliceFaults(seed=4).cut(6, 100.0)
    offsets = np.array([cut.offset_nm for cut in cuts])
    assert offsets.std() == pytest.approx(20.0, rel=0.15)
    assert 0 < sum(not cut.removes for cut in cuts) < 40
    assert SliceFaults.none().cut(1, 100.0)[:3] == (True, False, 0.0)


def test_a_shifted_beam_shows_the_same_specimen_shifted() -> None:
    fibsem = SimulatedFibSem("network", seed=2, shape=(48, 48), faults=SliceFaults.none())
    here = fibsem.truth([0.0])[0]
    moved = fibsem.truth([0.0], displacement_nm=(50.0, -100.0))[0]
    np.testing.assert_array_equal(moved[5:, :-10], here[:-5, 10:])
    fibsem.sem.beam_shift_y.put(-50.0)
    fibsem.sem.trigger().wait(60.0)
    assert fibsem.views()[-1].displacement_nm == (50.0, 0.0)


def test_truth_at_voxels_is_that_of_the_specimen_at_their_centres() -> None:
    fibsem = SimulatedFibSem("grains", seed=2, shape=(32, 32))
    volume = fibsem.truth(5.0 + 10.0 * np.arange(3))
    from simulators.electron.fibsem_sample import FibsemSpecimen

    expected = FibsemSpecimen("grains", seed=2, shape=(3, 32, 32)).labels
    np.testing.assert_array_equal(volume, expected)


def test_failed_and_double_cuts_remove_nothing_and_two_slices() -> None:
    faults = SliceFaults(0.0, 0.0, (0.0, 0.0), 0.0, 0.0, 0.0, 0.0, (1,), (2,))
    fibsem = SimulatedFibSem("network", shape=(32, 32), faults=faults)
    depths = []
    for target in (100.0, 200.0, 300.0):
        fibsem.mill.set(target).wait(60.0)
        depths.append(fibsem.z_nm)
    assert depths == [0.0, 200.0, 300.0]


def test_slanted_notches_move_with_depth_and_straight_ones_do_not() -> None:
    cap = NotchedCap(slope=0.5)
    y = x = 10.0 * (np.arange(128) + 0.5)
    labels = np.ones((128, 128), dtype=np.uint8)
    top, deeper = (cap.paint(labels, y=y, x=x, z=z, middle=640.0) for z in (0.0, 200.0))
    np.testing.assert_array_equal(top[:, :64], deeper[:, :64])
    np.testing.assert_array_equal(top[:, 66:118], deeper[:, 76:128])
    assert (top[70:] == 1).all()


def test_image_belongs_to_the_state_of_the_instrument_and_bad_settings_are_refused() -> None:
    fibsem = SimulatedFibSem("network", seed=2, shape=(96, 96), faults=SliceFaults.none())
    images = []
    for shift_nm in (0.0, 0.0, 100.0):
        fibsem.sem.working_distance.put(5.0)
        fibsem.sem.beam_shift_x.put(shift_nm)
        fibsem.sem.trigger().wait(60.0)
        images.append(fibsem.sem.frames()[0].astype(float))
    np.testing.assert_array_equal(images[0], images[1])  # nothing has changed
    assert (images[0][:, 10:] != images[2][:, :-10]).mean() > 0.5
    assert ImagingConditions(defocus_um=10.0).probe_nm == pytest.approx(
        np.hypot(ImagingConditions().probe_nm, 25.0)
    )
    with pytest.raises(ValueError, match="pitch_jitter must be 0 or above and finite, got -1"):
        SliceFaults(pitch_jitter=-1.0)
    with pytest.raises(ValueError, match="notches must lie within the cap"):
        NotchedCap(notch_nm=900.0)
