"""Packages: analyses that users bring, reviewed before they run.

A package is a folder: ``package.toml`` that its author writes, a script, weights, and tests. Built,
it also has ``manifest.json``, which names every file with its sha256. What others may run was
checked, approved by someone else, signed, and released (`bl_steer.server.packages.review`); what
runs is exactly that, byte for byte (`bl_steer.server.packages.approval`). `commands` is for the
command line, `bl_steer.server.web.routes.packages` for browsers and programs.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
