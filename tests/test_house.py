"""The rules of the house that a machine can check; ruff, mypy and import-linter check the rest."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, get_args, get_type_hints

import pytest
from bluesky.utils import Msg

import bl_steer
import devices
import plans
import simulators

ROOTS = (bl_steer, devices, plans, simulators)
MAX_LINES = 350
HEAVY = {"torch", "botorch", "gpytorch", "sklearn", "matplotlib", "scipy.signal", "scipy.stats"}
SOURCES = sorted(path for root in ROOTS for path in Path(str(root.__file__)).parent.rglob("*.py"))
PLAN_MODULES = [
    "plans",
    *(module.name for module in pkgutil.walk_packages(plans.__path__, "plans.")),
]
SECTION = re.compile(r"^ *(\w+)\n *-{3,}$", re.MULTILINE)


def generators() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield the public generator functions of ``plans``: plans and stubs."""
    for name in PLAN_MODULES:
        module = importlib.import_module(name)
        for public in getattr(module, "__all__", ()):
            function = getattr(module, public)
            if inspect.isgeneratorfunction(function) and function.__module__ == name:
                yield f"{name}.{public}", function


GENERATORS = dict(generators())
PLANS = {
    name: GENERATORS[f"{f.__module__}.{f.__name__}"]
    for name in plans.__all__
    if inspect.isgeneratorfunction(f := getattr(plans, name))
}


def identify(value: object) -> str | None:
    return str(value.name) if isinstance(value, Path) else None


def test_the_plans_are_found() -> None:
    assert set(PLANS) >= {"find_hotspot", "map_sample"}
    assert len(GENERATORS) > len(PLANS)


@pytest.mark.parametrize("name", GENERATORS)
def test_every_plan_and_stub_is_typed_and_yields_messages(name: str) -> None:
    function = GENERATORS[name]
    hints = get_type_hints(function)
    assert hints.keys() == {*inspect.signature(function).parameters, "return"}
    assert get_args(hints["return"])[0] is Msg
    assert inspect.getdoc(function)


@pytest.mark.parametrize("name", PLANS)
def test_every_plan_documents_its_parameters_and_its_result_in_numpydoc(name: str) -> None:
    plan = PLANS[name]
    text = inspect.getdoc(plan) or ""
    first, blank, *_ = text.splitlines()
    assert first.endswith(".")
    assert blank == ""
    assert SECTION.findall(text)[:2] == ["Parameters", "Returns"]
    parameters = text.split("Parameters\n")[1].split("Returns\n")[0]
    documented = re.findall(r"^([\w, ]+?) : ", parameters, re.MULTILINE)
    assert [n.strip() for names in documented for n in names.split(",")] != []
    assert {n.strip() for names in documented for n in names.split(",")} == set(
        inspect.signature(plan).parameters
    )


@pytest.mark.parametrize("name", PLANS)
def test_every_plan_takes_devices_first_then_options_by_keyword_and_metadata(name: str) -> None:
    parameters = inspect.signature(PLANS[name]).parameters
    positional = [p for p in parameters.values() if p.kind is not p.KEYWORD_ONLY]
    assert positional
    assert all(p.default is p.empty for p in positional)
    assert parameters["md"].default is None
    assert all(p.default is not p.empty for p in parameters.values() if p.kind is p.KEYWORD_ONLY)


def test_imports_are_light() -> None:
    """One process imports one after the other and tells at each what it has loaded by then."""
    modules = ["bl_steer", "bl_steer.cli", "bl_steer.runs", "bl_steer.features", "plans", "devices"]
    lines = [
        f"import {name}; print({name!r}, sorted({HEAVY} & sys.modules.keys()))" for name in modules
    ]
    code = "\n".join(["import sys", *lines])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True
    )
    assert done.stdout.splitlines() == [f"{name} []" for name in modules]


@pytest.mark.parametrize("path", SOURCES, ids=identify)
def test_module_is_short_and_says_why_it_exists(path: Path) -> None:
    text = path.read_text()
    if path.parent.name != "versions":  # of the database's tables: Alembic writes them
        assert text.count("\n") <= MAX_LINES
    assert ast.get_docstring(ast.parse(text))


@pytest.mark.parametrize("root", ROOTS, ids=lambda root: root.__name__)
def test_root_ships_its_types(root: ModuleType) -> None:
    assert Path(str(root.__file__)).with_name("py.typed").is_file()


@pytest.mark.parametrize("path", [path for path in SOURCES if "plans" in path.parts], ids=identify)
def test_no_plan_sleeps_in_the_loop_of_the_run_engine(path: Path) -> None:
    tree = ast.parse(path.read_text())
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert "time.sleep" not in [ast.unparse(call) for call in calls]
    imported = [
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "time"
        for alias in node.names
    ]
    assert "sleep" not in imported


@pytest.mark.parametrize("path", SOURCES, ids=identify)
def test_no_drawer_for_things_without_a_home(path: Path) -> None:
    drawers = {"utils", "common", "helpers", "base", "manager", "misc"}
    assert not drawers & {path.stem, path.parent.name}


@pytest.mark.parametrize("path", SOURCES, ids=identify)
def test_input_is_never_checked_by_assert(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert not [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)]


LAZY = sorted({stub for path in SOURCES if (stub := path.with_name("__init__.pyi")).exists()})


@pytest.mark.parametrize("stub", LAZY, ids=lambda path: path.parent.name)
def test_lazy_package_offers_what_exists_and_no_name_of_a_module(stub: Path) -> None:
    package = importlib.import_module(_name_of(stub.parent))
    modules = {module.name for module in pkgutil.iter_modules([str(stub.parent)])}
    assert package.__all__
    assert not modules & set(package.__all__)
    missing = [name for name in package.__all__ if not hasattr(package, name)]
    assert not missing


@pytest.mark.parametrize("stub", LAZY, ids=lambda path: path.parent.name)
def test_lazy_package_offers_no_name_of_another_room(stub: Path) -> None:
    if stub.parent.name == "bl_steer":  # the front door
        return
    package = _name_of(stub.parent)
    room = ".".join(package.split(".")[:2])  # what two parts of a room share lies in the room
    for name in importlib.import_module(package).__all__:
        home = getattr(getattr(importlib.import_module(package), name), "__module__", package)
        assert home.startswith(f"{room}.") or home in (package, "builtins", "typing"), name


def _name_of(folder: Path) -> str:
    (root,) = (r for r in ROOTS if folder.is_relative_to(Path(str(r.__file__)).parent))
    inside = folder.relative_to(Path(str(root.__file__)).parent).parts
    return ".".join([root.__name__, *inside])


def test_no_folder_is_crowded() -> None:
    folders = {path.parent for path in SOURCES}
    crowded = {str(f): n for f in folders if (n := len(list(f.glob("*.py")))) > 22}
    assert not crowded


def test_no_module_of_tests_is_long() -> None:
    found = sorted(Path(__file__).parent.rglob("*.py"))
    lengths = {str(path): path.read_text().count("\n") for path in found}
    assert not {path: n for path, n in lengths.items() if n > MAX_LINES}
