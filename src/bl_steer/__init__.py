"""Steer a measurement to the spot that matters.

The names below load on first use, so that ``import bl_steer`` stays light (no torch).
"""

__version__ = "0.1.0"
