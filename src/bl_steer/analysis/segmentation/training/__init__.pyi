from .loop import TrainingSettings as TrainingSettings
from .pairs import Pair as Pair
from .pairs import describe_samples as describe_samples
from .pairs import find_pairs as find_pairs
from .pairs import load_pair as load_pair
from .pairs import masks_among as masks_among
from .pairs import split_by_sample as split_by_sample
from .training_set import TrainingSet as TrainingSet
