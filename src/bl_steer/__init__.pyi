from .agents import BayesianAgent as BayesianAgent
from .agents import Space as Space
from .agents import make_agent as make_agent
from .analysis import analysis_names as analysis_names
from .analysis import digest_of as digest_of
from .analysis import find_analysis as find_analysis
from .analysis import make_params as make_params
from .analysis import open_analysis as open_analysis
from .analysis.segmentation import find_model as find_model
from .analysis.segmentation import segment as segment
from .analysis.structure import measure_structure as measure_structure
from .analysis.superresolution import super_resolve as super_resolve
from .diffraction import FrameAxes as FrameAxes
from .diffraction import peak_position as peak_position
from .features import DEFAULT_TARGET as DEFAULT_TARGET
from .features import freeze as freeze
from .features import make_feature as make_feature
from .features import propose as propose
from .files import read_map as read_map
from .files import read_micrographs as read_micrographs
from .plotting import draw_run as draw_run
from .protocols import Agent as Agent
from .protocols import Analysis as Analysis
from .protocols import AnalysisResult as AnalysisResult
from .protocols import Feature as Feature
from .protocols import Inputs as Inputs
from .runs import Run as Run
from .runs import list_runs as list_runs
from .runs import open_run as open_run
from .session import Instrument as Instrument
from .session import Session as Session
from .session import open_session as open_session
from .slicing import TrackingMarks as TrackingMarks
from .steering import Steering as Steering
from .store import Store as Store

__version__: str
"""Version of the installed distribution, as ``bl-steer --version`` prints it."""
