"""The pages of docs/ as a site: ``make docs`` writes it to docs/_build/html, warnings as errors.

The tutorials are the notebooks of the repository, executed as the site is built; the reference is
made from docstrings and from the command line's own help.
"""

from __future__ import annotations

import os
import shutil
from importlib.metadata import version as installed_version
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent

project = "bl_steer"
author = "bl_steer developers"
copyright = "bl_steer developers, BSD-3-Clause"
version = release = installed_version("bl-steer")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
default_role = "code"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

nb_execution_mode = os.environ.get("BL_STEER_DOCS_NOTEBOOKS", "force")
nb_execution_timeout = 900
nb_execution_raise_on_error = True
nb_merge_streams = True

autosummary_generate = True
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": False}
napoleon_google_docstring = False
napoleon_use_param = True
napoleon_use_rtype = False

html_theme = "furo"
html_title = "bl_steer"
html_static_path: list[str] = []
html_theme_options = {"navigation_with_keys": True}


def copy_notebooks() -> None:
    """Bring the notebooks to where the site is built from; git does not track the copies."""
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        shutil.copy(path, HERE / "tutorials" / path.name)


copy_notebooks()
