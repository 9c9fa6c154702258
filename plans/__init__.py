"""The experiments, as Bluesky plans: they know messages and protocols, not models."""

from plans.find_hotspot import Hotspot, find_hotspot
from plans.map_sample import map_sample
from plans.take_micrographs import take_micrographs

__all__ = ["Hotspot", "find_hotspot", "map_sample", "take_micrographs"]
