from .beamline import SimulatedBeamline as SimulatedBeamline
from .recorded_map import Interpolation as Interpolation
from .recorded_map import RecordedMap as RecordedMap
from .sample import Sample as Sample
from .sige_film import PRESETS as PRESETS
from .sige_film import SigeFilm as SigeFilm
from .truth import true_map as true_map
