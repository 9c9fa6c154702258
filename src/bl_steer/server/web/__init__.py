"""The web application: pages and REST interface.

`routes` has a module for each noun, `pages` their templates; `app` puts it together, `process`
serves it. A new page is a route with a row in `bl_steer.server.auth.permissions.ACCESS`, a
template, and its texts in `bl_steer.server.languages`.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
