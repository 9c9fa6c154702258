"""The process that tries a package: ``python -m bl_steer.server.packages.trial OUT FOLDER …``.

It runs the author's code and loads the weights, so `bl_steer.server.packages.testing` starts it
in the sandbox. Each test's outcome is on disk before the next one begins;
it is compared with what was expected outside.
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
from bl_steer.server import packages
from bl_steer.server.packages.expected import expected_of
from bl_steer.server.packages.inputs import inputs_of_files
from bl_steer.server.packages.manifest import Expectation
from bl_steer.server.sandbox.caches import copy_caches

__all__ = ["OUTCOME_FILE", "main"]

OUTCOME_FILE = "trial.jsonl"


def main(arguments: list[str]) -> None:
    """Run the tests of a package, and write a line for each into a folder.

    Parameters
    ----------
    arguments : folder to write to, and of the package, its dependencies and caches, ``""`` for none
    """
    out, folder = map(Path, arguments[:2])
    dependencies, caches = arguments[2:]
    if caches:
        copy_caches(Path(caches), os.environ)
    if dependencies:
        sys.path.append(dependencies)
    analysis = packages.package_analysis(folder)
    with (out / OUTCOME_FILE).open("w", encoding="utf-8") as file:
        for test in analysis.manifest.tests:
            outcome = _try(analysis, test)
            file.write(json.dumps(outcome, ensure_ascii=True) + "\n")
            file.flush()


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
    main(sys.argv[1:])
