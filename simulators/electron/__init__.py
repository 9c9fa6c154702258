"""Simulated specimens, and the electron microscope and FIB-SEM that image them.

Battery electrodes are `FibsemSpecimen`, imaged by `micrograph`; etched steel under the light
microscope is `optical_field`, a layered coating with cracks `coating_field`. `SimulatedMicroscope`
and `SimulatedFibSem` are the instruments.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
