from .any_map import MAP_ENDINGS as MAP_ENDINGS
from .any_map import read_any_map as read_any_map
from .map_file import MapFile as MapFile
from .map_file import read_map as read_map
from .points import map_inputs as map_inputs
from .points import point_inputs as point_inputs
from .tables import read_table as read_table
