from .axes import FrameAxes as FrameAxes
from .reduction import Reduction as Reduction
from .reduction import SummedFrames as SummedFrames
from .sige import elastic_constants as elastic_constants
from .sige import lattice_parameter as lattice_parameter
from .sige import peak_position as peak_position
from .sige import strained_lattice as strained_lattice
