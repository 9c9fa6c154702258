"""What libraries compile and look up once, made beforehand for jobs that begin with nothing.

A sandboxed job has no home: numba would compile, and matplotlib look for fonts, in each one anew.
This process of ours makes both caches, a job gets a copy of its own, and no job writes into that of
another. ``python -m bl_steer.service.caches FOLDER`` makes them; the keeper sees to it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

__all__ = ["MADE", "Maker", "cache_environment", "caches_of", "copy_caches", "main"]

MADE = "made"
"""Written last, holds what the caches were made from."""
NAMES = {"NUMBA_CACHE_DIR": "numba", "MPLCONFIGDIR": "matplotlib"}
LIBRARIES = ("numba", "llvmlite", "matplotlib", "numpy")


def caches_of(folder: Path) -> Path | None:
    """Return the folder of the caches, if they are whole and of these libraries."""
    made = folder / MADE
    if made.exists() and made.read_text() == _stamp():
        return folder
    return None


def cache_environment(folder: Path) -> dict[str, str]:
    """Return the variables that have libraries use the caches in a folder."""
    return {variable: str(folder / name) for variable, name in NAMES.items()}


def copy_caches(source: Path, environment: Mapping[str, str]) -> None:
    """Copy caches to where the environment says, if there are any."""
    for variable, name in NAMES.items():
        if variable in environment and (source / name).is_dir():
            shutil.copytree(source / name, environment[variable], dirs_exist_ok=True)


class Maker:
    """Makes caches in a process beside this one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Make the caches if they are not there."""
        if self._process is None and caches_of(self.folder) is None:
            words = [sys.executable, "-P", "-m", "bl_steer.service.caches", str(self.folder)]
            nice = ["nice", "-n", "10"] if shutil.which("nice") else []
            environment = {**os.environ, "MPLBACKEND": "Agg"}
            self._process = subprocess.Popen([*nice, *words], env=environment)

    def end(self) -> None:
        """Give up what is not made yet."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def main() -> None:
    """Make the caches in the folder of the command line."""
    from bl_steer.service.supervisor import die_with_parent

    folder = Path(sys.argv[1])
    os.environ["BL_STEER_SERVICE_PARENT"] = str(os.getppid())
    die_with_parent()
    draft = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    os.environ.update(cache_environment(draft))
    _use()
    (draft / MADE).write_text(_stamp())
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)


def _use() -> None:
    """Carry out what compiles, and draw a picture."""
    import numpy as np

    from bl_steer.analysis.registry import find_analysis, make_params
    from bl_steer.protocols import Inputs

    labels = np.random.default_rng(0).integers(0, 3, (12, 12, 12)).astype(np.uint8)
    analysis = find_analysis("structure")
    inputs = Inputs({"labels": labels}, {"voxel_size_nm": (10.0, 10.0, 10.0)})
    params = make_params(analysis, {"blocks": 2, "n_bootstrap": 100})
    for draw in analysis.run(inputs, params).figures.values():
        draw()


def _stamp() -> str:
    """Return what the caches hang on: versions, and when the compiled sources were written."""
    import bl_steer

    sources = sorted(Path(bl_steer.__file__).parent.glob("analysis/structure/*.py"))
    parts = [f"{name} {version(name)}" for name in LIBRARIES]
    parts += [f"{path.name} {path.stat().st_mtime_ns}" for path in sources]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


if __name__ == "__main__":
    main()
