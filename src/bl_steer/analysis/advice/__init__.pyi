from .analysis import AdviceParams as AdviceParams
from .analysis import SteeringAdvice as SteeringAdvice
