"""What carries analyses out and stores their results, the same wherever they are asked for.

A run asks with ``md={"analyses": ["components"]}``; a session has them carried out in a process of
their own, and each result is stored as a run that names the raw run. What an analysis is,
`bl_steer.protocols.Analysis` says; those there are live in `bl_steer.analysis`.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
