from .calibrated import CalibratedNetwork as CalibratedNetwork
from .films import FilmNetwork as FilmNetwork
from .forest import Forest as Forest
from .layers import SegmentationNetwork as SegmentationNetwork
from .network import build_network as build_network
from .widths import NETWORKS as NETWORKS
