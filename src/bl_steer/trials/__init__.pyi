from .trial import AGENTS as AGENTS
from .trial import Trial as Trial
from .trial import check_trial as check_trial
from .trial import replay_trials as replay_trials
from .trial import sample_space as sample_space
from .trial import steer as steer
