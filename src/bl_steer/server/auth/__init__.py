"""Who may do what: accounts, keys of programs, OpenID Connect, permissions, rates.

`permissions.ACCESS` has a row for each route; `bl_steer.server.web.authorization` enforces it.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
