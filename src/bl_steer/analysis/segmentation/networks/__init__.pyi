from .calibrated import CalibratedNetwork as CalibratedNetwork
from .forest import Forest as Forest
from .layers import SegmentationNetwork as SegmentationNetwork
from .network import build_network as build_network
from .widths import NETWORKS as NETWORKS
