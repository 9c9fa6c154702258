from .circles import CIRCLES as CIRCLES
from .reading import SCAN_FORMATS as SCAN_FORMATS
from .reading import open_scan as open_scan
from .scan import Scan as Scan
