"""The pages of docs/ as a site: ``make docs`` writes it to docs/_build/html, warnings as errors.

The tutorials are the notebooks of the repository, executed as the site is built; the reference is
made from docstrings and from the command line's own help.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator
from importlib.metadata import version as installed_version
from pathlib import Path
from types import ModuleType
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.utils.math import latex2mathml
from pydantic import BaseModel
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.util import logging

import bl_steer
from bl_steer.cli import make_parser

logger = logging.getLogger(__name__)
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

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
html_math_renderer = "mathml"  # below; MathJax would come over the network
myst_heading_anchors = 3

suppress_warnings = ["ref.python"]  # types like "shape (n,)" are text, no names

nb_execution_mode = os.environ.get("BL_STEER_DOCS_NOTEBOOKS", "force")
nb_execution_timeout = 900
nb_execution_raise_on_error = True
nb_merge_streams = True
os.environ.setdefault("PYTHONWARNINGS", "ignore:IProgress not found")  # tqdm's, with a path

autosummary_generate = True
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
autodoc_type_aliases = {name: name for name in ("Array", "ArrayLike", "Table", "Progress")}
add_module_names = False
napoleon_google_docstring = False
napoleon_attr_annotations = False
napoleon_use_param = False
napoleon_use_rtype = False

html_theme = "furo"
html_title = "bl_steer"
html_static_path = ["static"]
html_css_files = ["narrow.css"]
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
    """List the names of `bl_steer`, each with a link to its entry."""

    def run(self) -> list[nodes.Node]:
        """Return an item for each name."""
        rows = nodes.bullet_list()
        for name in bl_steer.__all__:
            value = getattr(bl_steer, name)
            link = f"{{py:obj}}`{name} <{_home(name)}.{name}>`"
            text = (inspect.getdoc(value) or "").partition("\n")[0] if callable(value) else ""
            inline, _ = self.state.inline_text(
                f"{link}: {text}" if text else f"{link}: `{value!r}`", self.lineno
            )
            rows += nodes.list_item("", nodes.paragraph("", "", *inline))
        return [rows]


def _documented() -> list[str]:
    """Return the packages whose names have entries of their own."""
    pages = (path.read_text() for path in sorted((HERE / "reference").glob("*.md")))
    return re.findall(r"automodule:: (\S+)\n   :imported-members:", "\n".join(pages))


def _home(name: str) -> str:
    """Return the package whose page has the entry of a name."""
    return next(
        package for package in _documented() if name in importlib.import_module(package).__all__
    )


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
    _app: Sphinx, what: str, _name: str, value: Any, _options: object, lines: list[str]
) -> None:
    """Let "name : what it is" of our docstrings be a description: types stand in signatures.

    Fields of pydantic models and constants of modules, which have no docstring that autodoc
    reads, are added.
    """
    section = ""
    out = []
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if re.fullmatch(r" *-{3,}", below):
            section = line.strip()
        match = re.fullmatch(r"( *)([*\w][\w, *]*) : (.+)", line)
        if match and section in ("Parameters", "Returns", "Attributes"):
            out += [f"{match[1]}{match[2]}", f"{match[1]}    {match[3]}"]
        else:
            out.append(line)
    if what == "class" and issubclass(value, BaseModel):
        out += _fields(value)
    if what == "module":
        out += _constants(value)
    lines[:] = out


def _fields(model: type[BaseModel]) -> Iterator[str]:
    """Yield the section of a model's parameters: what each is, and its limits."""
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    fields = {name: field for name, field in model.model_fields.items() if field.description}
    if fields:
        yield from ("", "Parameters", "----------")
    for name, field in fields.items():
        limits = [
            f"{sign} {getattr(limit, key):.10g}"
            for limit in field.metadata
            for key, sign in signs.items()
            if hasattr(limit, key)
        ]
        yield name
        yield f"    {field.description}" + (f" ({', '.join(limits)})" if limits else "")


def _constants(module: ModuleType) -> Iterator[str]:
    """Yield an entry for each name of a package that is neither class nor function."""
    for name in getattr(module, "__all__", ()):
        value = getattr(module, name)
        if inspect.isroutine(value) or isinstance(value, type | ModuleType):
            continue
        if ("", name) in ModuleAnalyzer.for_module(module.__name__).find_attr_docs():
            continue  # autodoc has it
        yield from ("", f".. py:data:: {name}")
        if type(value) in (str, int, float, tuple):
            yield f"   :value: {textwrap.shorten(repr(value), 100, placeholder=' …')}"
        yield from ("", *(f"   {line}" for line in _comment(module.__name__, name)))


def _comment(package: str, name: str) -> list[str]:
    """Return the docstring below a constant, from whichever module of the package has it."""
    for module in [key for key in sys.modules if f"{key}.".startswith(f"{package}.")]:
        docs = ModuleAnalyzer.for_module(module).find_attr_docs()
        if ("", name) in docs:
            return docs["", name]
    return []


class Prose:
    """Keep the docstrings of attributes from napoleon, which takes "text: text" for a type."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def remember(
        self,
        _app: Sphinx,
        _what: str,
        _name: str,
        _value: object,
        _options: object,
        lines: list[str],
    ) -> None:
        """Before napoleon."""
        self.lines = list(lines)

    def restore(
        self,
        _app: Sphinx,
        what: str,
        _name: str,
        _value: object,
        _options: object,
        lines: list[str],
    ) -> None:
        """After napoleon, where no section was to be read."""
        if what in ("attribute", "data", "property"):
            lines[:] = self.lines


def _plain_signature(
    _app: Sphinx, what: str, _name: str, value: Any, _options: object, text: str, returns: str
) -> tuple[str, str] | None:
    """Take out of a signature what is no Python, and limits that the fields' list gives."""
    if what == "class" and getattr(value, "_is_protocol", False):
        return "", returns
    if not text:
        return None
    return _plain(text), _plain(returns) if returns else returns


def _plain(text: str) -> str:
    """Return a signature, or its type, in the words of the source."""
    array = r"~?numpy\.ndarray\[~?tuple\[~?typing\.Any, \.\.\.\], ~?numpy\.dtype\[([~\w.]+)\]\]"
    limited = r"~?(?:typing\.)?Annotated\[((?:[^\[\],]|\[[^\]]*\])+)(?:, ~?[\w.]+\([^()]*\))+\]"
    text = re.sub(r"<(?:[^<>]|<[^<>]*>)*>", "...", text)
    text = re.sub(r"~?(?:[\w.]+\.)?TypeAliasForwardRef\('(\w+)'\)", r"\1", text)
    return re.sub(limited, r"\1", re.sub(array, r"NDArray[\1]", text))


def _skip_settings(
    _app: Sphinx, _what: str, name: str, _value: object, _skip: bool, _options: object
) -> bool | None:
    """Leave out what pydantic keeps for itself."""
    return True if name == "model_config" else None


def _check_reference(app: Sphinx, env: Any) -> None:
    """Warn of names that a package offers and its page lacks: an empty page is no warning."""
    entries = {entry[0] for entry in env.domains["py"].get_objects()}
    for package in _documented():
        for name in importlib.import_module(package).__all__:
            if f"{package}.{name}" not in entries:
                logger.warning("%s has no entry in the reference", f"{package}.{name}")


def _let_names_break(
    _app: Sphinx, _page: str, _template: str, context: dict[str, Any], _doctree: object
) -> None:
    """Let names of packages break after a dot in headings and links, and options nowhere."""

    def broken(text: str) -> str:
        return re.sub(r"(?<=\w)\.(?=[a-z])", ".<wbr>", text)

    body = re.sub(r"<h1>[\w.]+", lambda match: broken(match[0]), context.get("body") or "")
    context["body"] = re.sub(r'class="pre">(?=--?\w)', 'class="pre option">', body)
    for key in ("prev", "next"):
        if context.get(key):
            context[key]["title"] = broken(context[key]["title"])


def _write_mathml(translator: Any, node: nodes.Element) -> None:
    """Write a formula as MathML, which browsers draw themselves."""
    block = isinstance(node, nodes.math_block)
    translator.body.append(latex2mathml.tex2mathml(node.astext(), as_block=block))
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """Register what the pages use."""
    prose = Prose()
    app.connect("autodoc-process-docstring", _describe_parameters, priority=400)
    app.connect("autodoc-process-docstring", prose.remember, priority=450)
    app.connect("autodoc-process-docstring", prose.restore, priority=550)
    app.connect("autodoc-process-signature", _plain_signature)
    app.connect("autodoc-skip-member", _skip_settings)
    app.connect("env-check-consistency", _check_reference)
    app.connect("html-page-context", _let_names_break)
    app.add_html_math_renderer("mathml", (_write_mathml, None), (_write_mathml, None))
    app.connect("source-read", _keep_links_inside)
    app.add_directive("bl-steer-help", CommandHelp)
    app.add_directive("bl-steer-names", Names)


os.environ["COLUMNS"] = "88"
COMMANDS = list(_commands(make_parser()))  # now: autodoc imports modules in a way of its own
copy_notebooks()
