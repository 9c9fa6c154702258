"""Slices of a FIB-SEM: where they lie, how sharp they are, and how to make one volume of them.

The plan `plans.slice_and_view` judges each slice with this as it comes; the analysis
``align-slices`` does it for the whole stack afterwards.
"""

from bl_steer.analysis.slices.focus import best_focus, blur_against, log_sharpness
from bl_steer.analysis.slices.levels import gain_and_offset, phase_levels
from bl_steer.analysis.slices.marks import TrackingMarks
from bl_steer.analysis.slices.recorded_slices import RecordedSlices, slices_of, stack_of
from bl_steer.analysis.slices.registration import depth_advance, displacement, drift_by_marks
from bl_steer.analysis.slices.spacing import Comparison, compare, spacing_by_correlation
from bl_steer.analysis.slices.stripes import remove_stripes
from bl_steer.analysis.slices.trajectory import Trajectory, smooth_trajectory, track

__all__ = [
    "Comparison",
    "RecordedSlices",
    "TrackingMarks",
    "Trajectory",
    "best_focus",
    "blur_against",
    "compare",
    "depth_advance",
    "displacement",
    "drift_by_marks",
    "gain_and_offset",
    "log_sharpness",
    "phase_levels",
    "remove_stripes",
    "slices_of",
    "smooth_trajectory",
    "spacing_by_correlation",
    "stack_of",
    "track",
]
