from .learning import curve_of as curve_of
from .learning import measure_learning as measure_learning
from .planner import design_conditions as design_conditions
from .planner import next_to_label as next_to_label
