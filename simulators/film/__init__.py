"""The simulated Si-Ge film, recorded maps, and the beamline that measures them.

`SimulatedBeamline` carries any `Sample`: a `SigeFilm` of known truth, which gives maps in q at
once, the same as a `FilmOnDetector`, which gives frames along a rocking scan, or a `RecordedMap`.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
