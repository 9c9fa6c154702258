"""The tables of the server, the database that holds them, its migrations and the audit trail.

Start at `tables`: what the server knows is what stands there.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
