"""Models that are trained further on what users gave, and reviewed like any other package.

`pairs` says which data may be used, `snapshots` keeps them as they were at one time, `schedule`
begins a retraining when it is due, `run` has it done in the sandbox, where `process` trains the
candidate and `comparison` holds it against the champion; `candidate` makes it a package.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
