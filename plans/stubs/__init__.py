"""The pieces that plans are made of: they open no run."""

from plans.stubs.per_point import expose_at, rocking_scan, rocking_sweep

__all__ = ["expose_at", "rocking_scan", "rocking_sweep"]
