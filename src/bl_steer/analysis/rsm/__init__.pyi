from .analysis import ReciprocalSpaceMap as ReciprocalSpaceMap
from .figures import draw_rsm as draw_rsm
from .from_files import inputs_from_files as inputs_from_files
from .from_files import map_files as map_files
from .params import RsmParams as RsmParams
