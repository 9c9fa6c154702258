"""From a measured pattern to the number that the agent maximises."""

from bl_steer.features.factory import make_feature
from bl_steer.features.nmf import NMFFeature, propose
from bl_steer.features.reference import ReferenceFeature, freeze, matched_filter, reference_pattern
from bl_steer.features.roi import MapFeature, RoiFeature, TotalFeature
from bl_steer.features.target import DEFAULT_TARGET, Target, parse_reference, parse_target

__all__ = [
    "DEFAULT_TARGET",
    "MapFeature",
    "NMFFeature",
    "ReferenceFeature",
    "RoiFeature",
    "Target",
    "TotalFeature",
    "freeze",
    "make_feature",
    "matched_filter",
    "parse_reference",
    "parse_target",
    "propose",
    "reference_pattern",
]
