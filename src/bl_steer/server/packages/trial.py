"""The process that tries a package: ``python -m bl_steer.server.packages.trial OUT FOLDER …``.

It runs the author's code and loads the weights, so `bl_steer.server.packages.testing` starts it
in the sandbox. Each test's outcome is on disk before the next one begins;
it is compared with what was expected outside. Where standard input names files, these are analysed
in place of the tests.
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from bl_steer import processing
from bl_steer.processing.result_folder import write_result
from bl_steer.server import packages
from bl_steer.server.packages.expected import expected_of
from bl_steer.server.packages.inputs import Files, inputs_of_files
from bl_steer.server.packages.manifest import Expectation
from bl_steer.server.sandbox.caches import copy_caches

__all__ = ["ANSWER_FILE", "FOUND", "OUTCOME_FILE", "main"]

OUTCOME_FILE = "trial.jsonl"
ANSWER_FILE = "answer.json"
FOUND = "found"
"""Folder of the result of files."""


def main(arguments: list[str], asked: str) -> None:
    """Run the tests of a package, and write a line for each into a folder.

    Parameters
    ----------
    arguments : folder to write to, and of the package, its dependencies and caches, ``""`` for none
    asked : JSON of the files, and the parameters, to run it with in place of its tests
    """
    out, folder = map(Path, arguments[:2])
    dependencies, caches = arguments[2:]
    if caches:
        copy_caches(Path(caches), os.environ)
    if dependencies:
        sys.path.append(dependencies)
    analysis = packages.package_analysis(folder)
    if asked:
        answer = _analysed(analysis, json.loads(asked), out / FOUND)
        (out / ANSWER_FILE).write_text(json.dumps(answer), encoding="utf-8")
        return
    with (out / OUTCOME_FILE).open("w", encoding="utf-8") as file:
        for test in analysis.manifest.tests:
            outcome = _try(analysis, test)
            file.write(json.dumps(outcome, ensure_ascii=True) + "\n")
            file.flush()


def _analysed(analysis: Any, asked: dict[str, Any], out: Path) -> dict[str, Any]:
    """Run a package on files, and write what it finds; other errors than of input end the process,
    with their traceback for its author."""
    try:
        inputs = analysis.inputs_from_files(_paths(asked["files"]))
        result = analysis.run(inputs, processing.make_params(analysis, asked["params"]))
        write_result(result, out)
    except ValueError as error:
        return {"error": str(error)}
    return {
        "digest": processing.digest_of(result),
        "warnings": list(result.warnings),
        "duration_s": result.provenance["duration_s"],
    }


def _paths(files: Any) -> Files:
    if isinstance(files, dict):
        return {name: [Path(path) for path in paths] for name, paths in files.items()}
    return [Path(path) for path in files]


def _try(analysis: Any, test: Expectation) -> dict[str, Any]:
    began = time.perf_counter()
    outcome: dict[str, Any] = {"name": test.name, "problems": [], "found": None, "warnings": []}
    try:
        files = {key: [analysis.folder / f for f in names] for key, names in test.inputs.items()}
        inputs = inputs_of_files(analysis.manifest.inputs, files, test.metadata)
        result = analysis.run(inputs, processing.make_params(analysis, test.params))
        outcome["found"] = expected_of(result)
        outcome["warnings"] = list(result.warnings)
        outcome["figures"] = _draw(result.figures)
    except Exception as error:  # the author is told, whatever it is
        outcome["problems"] = [" ".join(f"{_kind(error)}{error}".split())[:1000]]
    outcome["duration_s"] = time.perf_counter() - began
    return outcome


def _kind(error: Exception) -> str:
    return "" if isinstance(error, ValueError) else f"{type(error).__name__}: "


def _draw(figures: Any) -> list[str]:
    """Draw each figure, as the server will; a figure that fails fails the test."""
    for draw in figures.values():
        draw().savefig(io.BytesIO(), dpi=50)
    return sorted(figures)


if __name__ == "__main__":
    main(sys.argv[1:], sys.stdin.read())
