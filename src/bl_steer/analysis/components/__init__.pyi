from .analysis import ComponentParams as ComponentParams
from .analysis import MapComponents as MapComponents
