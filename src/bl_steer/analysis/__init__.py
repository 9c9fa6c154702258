"""Analyses that run after a measurement: one contract, the same result wherever they run."""
