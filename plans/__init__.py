"""The experiments, as Bluesky plans: they know messages and protocols, not models."""

from plans.find_hotspot import Hotspot, find_hotspot
from plans.find_level_set import LevelSet, find_level_set
from plans.fly_map import FlownMap, fly_map
from plans.map_adaptively import AdaptiveMap, map_adaptively
from plans.map_sample import map_sample
from plans.slice_and_view import SlicesTaken, slice_and_view
from plans.take_micrographs import take_micrographs

__all__ = [
    "AdaptiveMap",
    "FlownMap",
    "Hotspot",
    "LevelSet",
    "SlicesTaken",
    "find_hotspot",
    "find_level_set",
    "fly_map",
    "map_adaptively",
    "map_sample",
    "slice_and_view",
    "take_micrographs",
]
