"""Which of eight orientations a detector has, found again from two frames."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bl_steer.diffraction import Detector, Goniometer, find_orientation, goniometer

DETECTOR = Detector((120, 160), ("z-", "x+"), (0.172, 0.172), 600.0, (57.3, 81.6))
ARM = {"nu": [24.5, 25.2], "delta": [24.1, 24.35]}


def frames_of(g: Goniometer, arm: dict[str, Any], *, seed: int = 0) -> np.ndarray:
    """Return frames of a Bragg peak that leaves the sample near nu 24.88, delta 24.16."""
    rng = np.random.default_rng(seed)
    zero = dict.fromkeys(g.circles, 0.0)
    spot = g.arm_turns(g.angle_table({**zero, "nu": 24.9, "delta": 24.2}))[0] @ [0.0, 1.0, 0.0]
    frames = []
    for turn in g.arm_turns(g.angle_table({**zero, **arm})):
        # directions of the pixels, turned with the arm
        apart = np.linalg.norm(g.directions() @ turn.T - spot, axis=-1)
        frames.append(rng.poisson(2000.0 * np.exp(-0.5 * (apart / 6e-4) ** 2) + 0.5))
    return np.stack(frames)


@pytest.mark.parametrize("truth", DETECTOR.orientations(), ids="".join)
def test_the_true_orientation_is_found_whatever_was_thought(truth: tuple[str, ...]) -> None:
    frames = frames_of(goniometer("4S+2D", detector=DETECTOR.oriented(*truth)), ARM)
    thought = goniometer("4S+2D", detector=DETECTOR)
    orientation = find_orientation(thought, frames, ARM)
    assert orientation.is_proven
    assert orientation.detector.directions == truth
    assert orientation.note == ""
    assert sorted(orientation.mismatch_px.values())[0] < 0.5
    assert sorted(orientation.mismatch_px.values())[1] > 6.0
    assert replace(thought, detector=orientation.detector).notes == ()


def test_a_move_in_one_direction_leaves_a_mirror_image_and_says_so() -> None:
    truth = goniometer("4S+2D", detector=DETECTOR)
    arm = {"nu": 24.9, "delta": [24.0, 24.4]}
    orientation = find_orientation(truth, frames_of(truth, arm), arm)
    assert not orientation.is_proven
    assert "2 orientations fit as the arm moved by nu 0°, delta 0.4°" in orientation.note
    assert "may be exchanged" in orientation.note
    assert orientation.detector.directions == truth.detector.directions
    assert replace(truth, detector=orientation.detector).notes != ()


def test_a_hot_pixel_and_a_masked_region_are_no_spot() -> None:
    truth = goniometer("4S+2D", detector=DETECTOR)
    frames = frames_of(truth, ARM)
    frames[:, 5, 7] = 10**6
    frames[:, 100:, 140:] = 10**5
    mask = np.zeros(DETECTOR.shape, dtype=bool)
    mask[100:, 140:] = True
    assert find_orientation(truth, frames, ARM, mask=mask).is_proven


def test_a_spot_that_did_not_move_with_the_arm_fits_no_orientation() -> None:
    truth = goniometer("4S+2D", detector=DETECTOR)
    frames = frames_of(truth, ARM)[[0, 0]]
    with pytest.raises(ValueError, match="one of the orientations must fit within 2 pixels, got"):
        find_orientation(truth, frames, ARM)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.ones((1, 120, 160)), r"two or more of the shape \(120, 160\)"),
        (np.ones((2, 120, 161)), r"got \(2, 120, 161\)"),
        (np.zeros((2, 120, 160)), "each frame must show the beam"),
        (np.ones((3, 120, 160)), "for each of 3 frames, got 2"),
    ],
)
def test_frames_that_cannot_prove_anything_are_refused(frames: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_orientation(goniometer("4S+2D", detector=DETECTOR), frames, ARM)
