"""Cells measured in flight: by a detector that takes a series, or by the beamline's own flyer."""
