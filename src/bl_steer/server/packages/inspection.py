"""What a package's code and weights would use, read without running either: for reviewers.

It helps a reader to look in the right place. It proves nothing: what a pickle does cannot be known
without running it, which is why pickles are approved by two and run in the sandbox only.
"""

from __future__ import annotations

import ast
import json
import pickletools
import re
import zipfile
from pathlib import Path
from typing import Any

from bl_steer.server.packages.content import files_of
from bl_steer.server.packages.manifest import Manifest, Weights

__all__ = ["TEXTS", "inspect", "unwritten"]

MOST_OPCODES = 2_000_000
LARGEST_READ = 256 * 2**20
MOST_NAMED = 200
TEXTS = {
    "description.en": "Share of each micrograph that is brighter than a threshold.",
    "description.ja": "各顕微鏡像のうち、しきい値より明るい部分の割合を求めます。",
    "training_data.description": "Made up by train.py.",
    "authors": "your name",
}
"""What users read of a new package, until its author writes something."""
TO_COME = re.compile(r"(?<![A-Za-z])(TODO|FIXME|TBD)(?![A-Za-z])")


def inspect(folder: Path, manifest: Manifest) -> dict[str, Any]:
    """Return what the scripts import and what the weights name, JSON-compatible."""
    scripts = [name for name in files_of(folder) if name.endswith(".py")]
    return {
        "imports": {name: _imports(folder / name) for name in scripts},
        "weights": [_weights(folder, part) for part in manifest.weights],
        "dependencies": list(manifest.dependencies),
        "files": {name: (folder / name).stat().st_size for name in files_of(folder)},
    }


def unwritten(manifest: Manifest) -> list[str]:
    """Return the entries that say what a new package says, or that a text is to come."""
    training = manifest.training_data
    said = {
        "title.en": [manifest.title.en],
        "title.ja": [manifest.title.ja],
        "description.en": [manifest.description.en],
        "description.ja": [manifest.description.ja],
        "authors": [author.name for author in manifest.authors],
        "training_data.description": [training.description] if training else [],
    }
    return [
        name
        for name, texts in said.items()
        if any(text.strip() == TEXTS.get(name) or TO_COME.search(text) for text in texts)
    ]


def _imports(script: Path) -> list[str]:
    try:
        tree = ast.parse(script.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return [f"cannot be read: {error}"]
    modules: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add("." * node.level + (node.module or ""))
    return sorted(modules)


def _weights(folder: Path, weights: Weights) -> dict[str, Any]:
    path = folder / weights.file
    about: dict[str, Any] = {
        "file": weights.file,
        "format": weights.format,
        "is_code": weights.is_code,
        "bytes": path.stat().st_size,
        "names": [],
    }
    if path.stat().st_size > LARGEST_READ:
        return {**about, "names": ["too large to be read"]}
    if weights.format in ("pickle", "joblib"):
        return {**about, "names": _pickle_names(path.read_bytes())}
    if weights.format == "skops":
        return {**about, "names": _skops_names(path), "trusted": list(weights.trusted_types)}
    return about


def _pickle_names(data: bytes) -> list[str]:
    """Return what a pickle's opcodes would import, as far as they can be followed."""
    names: set[str] = set()
    texts: list[str] = []
    memo: dict[int, str] = {}
    last = ""  # what lies on top, where it is a text
    try:
        for number, (opcode, argument, _) in enumerate(pickletools.genops(data)):
            if number > MOST_OPCODES:
                names.add("… too long to be read")
                break
            if opcode.name in ("GLOBAL", "INST"):
                names.add(str(argument).replace(" ", "."))
                argument = None
            elif opcode.name == "STACK_GLOBAL":
                names.add(".".join(texts[-2:]) if len(texts) > 1 else "? (computed)")
            elif opcode.name.startswith("EXT"):
                names.add("? (by extension code)")
            elif opcode.name in ("MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"):
                memo[len(memo) if argument is None else argument] = last
                continue
            elif opcode.name in ("GET", "BINGET", "LONG_BINGET"):
                argument = memo.get(int(argument or 0), "")
            last = argument if isinstance(argument, str) and argument else ""
            if last:
                texts = [*texts[-8:], last]
    except Exception as error:  # damaged, or made to break readers
        names.add(f"cannot be read to its end: {type(error).__name__}: {error}"[:200])
    return sorted(names)[:MOST_NAMED]


def _skops_names(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo("schema.json").file_size > LARGEST_READ:
                return ["too large to be read"]
            schema = json.loads(archive.read("schema.json"))
    except Exception as error:
        return [f"cannot be read: {type(error).__name__}: {error}"[:200]]
    names: set[str] = set()
    todo: list[Any] = [schema]
    while todo:
        node = todo.pop()
        if isinstance(node, dict):
            if "__class__" in node:
                names.add(f"{node.get('__module__')}.{node['__class__']}")
            todo += node.values()
        elif isinstance(node, list):
            todo += node
    return sorted(names)[:MOST_NAMED]
