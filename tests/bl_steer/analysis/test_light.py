"""The form in the browser needs an analysis' parameters alone, and a command line its help."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
from bl_steer.processing.registry import find_analysis

for name in ("advise", "components", "segment"):
    find_analysis(name).Params.model_json_schema()
    heavy = {"matplotlib", "monai", "sklearn", "torch"} & sys.modules.keys()
    print(name, sorted(heavy))
"""


def test_the_parameters_of_an_analysis_load_nothing_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.splitlines() == ["advise []", "components []", "segment []"]
