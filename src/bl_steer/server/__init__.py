"""The analysis server: upload, choose an analysis, get the result; reviewed packages; nothing lost.

Start at `bl_steer.server.db.tables` (what is kept), then `bl_steer.server.jobs.queue` (how a job
goes from queued to done). Three parts run it, each a process or more: the web application
(`web`), the workers (`jobs.worker`) and the housekeeping (`operations.housekeeping`, the part
``keeper``). `client` is for programs that use a server.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
