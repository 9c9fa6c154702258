from .analysis import AdviceParams as AdviceParams
from .analysis import SteeringAdvice as SteeringAdvice
from .figures import draw_advice as draw_advice
