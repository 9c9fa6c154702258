"""The pages of docs/ as a site: ``make docs`` writes it to docs/_build/html, warnings as errors.

The tutorials are the notebooks of the repository, executed as the site is built; the reference is
made from docstrings and from the command line's own help.
"""

from __future__ import annotations

import argparse
import inspect
import os
import re
import shutil
from collections.abc import Iterator
from importlib.metadata import version as installed_version
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

import bl_steer
from bl_steer.cli import make_parser

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

suppress_warnings = ["ref.python"]  # types like "shape (n,)" are text, no names

nb_execution_mode = os.environ.get("BL_STEER_DOCS_NOTEBOOKS", "force")
nb_execution_timeout = 900
nb_execution_raise_on_error = True
nb_merge_streams = True

autosummary_generate = True
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
napoleon_google_docstring = False
napoleon_use_param = False
napoleon_use_rtype = False

html_theme = "furo"
html_title = "bl_steer"
html_static_path: list[str] = []
html_theme_options = {"navigation_with_keys": True}


def copy_notebooks() -> None:
    """Bring the notebooks to where the site is built from; git does not track the copies."""
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        shutil.copy(path, HERE / "tutorials" / path.name)


class CommandHelp(Directive):
    """Write the help of every command, as the command line prints it."""

    def run(self) -> list[nodes.Node]:
        """Return a section for each command."""
        return [_section(name, text) for name, text in COMMANDS]


class Names(Directive):
    """List the names of `bl_steer` with their homes."""

    def run(self) -> list[nodes.Node]:
        """Return a definition for each name."""
        rows = nodes.bullet_list()
        for name in bl_steer.__all__:
            value = getattr(bl_steer, name)
            text = (inspect.getdoc(value) or "").partition("\n")[0] if callable(value) else ""
            line = nodes.paragraph("", "", nodes.literal("", name))
            line += nodes.Text(f": {text}" if text else f": {value!r}")
            rows += nodes.list_item("", line)
        return [rows]


def _commands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    """Yield name and help of all commands, in their order."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield command.prog, command.format_help()
                yield from _commands(command)


def _section(name: str, text: str) -> nodes.Node:
    section = nodes.section(ids=[name.replace(" ", "-")])
    section += nodes.title(text=name)
    section += nodes.literal_block(text=text, language="text")
    return section


def _keep_links_inside(_app: Sphinx, _page: str, source: list[str]) -> None:
    """Lead links to notebooks to their pages here; give other files of the repository as text."""
    text = re.sub(r"\]\((?:\.\./)+notebooks/(\w+\.ipynb)\)", r"](/tutorials/\1)", source[0])
    outside = r"(?<!!)\[`?([^\]`]*)`?\]\((?:\.\./)+(?!images|decisions)([\w./-]*)\)"

    def as_text(match: re.Match[str]) -> str:
        path = Path(match[2])
        inside = (HERE / _page).parent / match[0].rpartition("(")[2].rstrip(")")
        if inside.resolve().is_relative_to(HERE):
            return match[0]
        return f"`{path}`" if match[1] == str(path) else f"{match[1]} (`{path}`)"

    source[0] = re.sub(outside, as_text, text)


def _describe_parameters(
    _app: Sphinx, _what: str, _name: str, _value: object, _options: object, lines: list[str]
) -> None:
    """Let "name : what it is" of our docstrings be a description: types stand in signatures."""
    section = ""
    out = []
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if re.fullmatch(r" *-{3,}", below):
            section = line.strip()
        match = re.fullmatch(r"( *)([*\w][\w, *]*) : (.+)", line)
        if match and section in ("Parameters", "Returns"):
            out += [f"{match[1]}{match[2]}", f"{match[1]}    {match[3]}"]
        else:
            out.append(line)
    lines[:] = out


def setup(app: Sphinx) -> None:
    """Register what the pages use."""
    app.connect("autodoc-process-docstring", _describe_parameters, priority=400)
    app.connect("source-read", _keep_links_inside)
    app.add_directive("bl-steer-help", CommandHelp)
    app.add_directive("bl-steer-names", Names)


os.environ["COLUMNS"] = "88"
COMMANDS = list(_commands(make_parser()))  # now: autodoc imports modules in a way of its own
copy_notebooks()
