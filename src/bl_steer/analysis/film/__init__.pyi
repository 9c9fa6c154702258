from .pattern_model import Patterns as Patterns
from .shapes import PeakShape as PeakShape
from .whole_pattern import PatternFit as PatternFit
from .whole_pattern import fit_patterns as fit_patterns
