"""The pretend world: samples with known truth, and beamlines to measure them with."""
