"""Micrographs into phases: networks, training, inference, and planning of the training set."""
