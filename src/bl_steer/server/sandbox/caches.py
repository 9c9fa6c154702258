"""What libraries compile and look up once, made beforehand for jobs that begin with nothing.

A sandboxed job has no home: numba would compile, and matplotlib look for fonts, in each one anew.
A process of ours makes both caches beside the workers of a machine, a job gets a copy of its own,
and no job writes into that of another.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np

import bl_steer
from bl_steer import processing
from bl_steer.protocols import Inputs
from bl_steer.server.sandbox.limits import Limits

__all__ = [
    "MADE",
    "cache_environment",
    "caches_of",
    "copy_caches",
    "job_environment",
    "make_caches",
]

MADE = "made"
"""Written last, holds what the caches were made from."""
NAMES = {"NUMBA_CACHE_DIR": "numba", "MPLCONFIGDIR": "matplotlib"}
NICENESS = 10
GPUS = "CUDA_VISIBLE_DEVICES"
LIBRARIES = ("numba", "llvmlite", "matplotlib", "numpy")


def caches_of(folder: Path) -> Path | None:
    """Return the folder of the caches, if they are whole and of these libraries."""
    stamp = folder / MADE
    if stamp.exists() and stamp.read_text() == _stamp():
        return folder
    return None


def cache_environment(folder: Path) -> dict[str, str]:
    """Return the variables that have libraries use the caches in a folder."""
    return {variable: str(folder / name) for variable, name in NAMES.items()}


def job_environment(out: Path, limits: Limits) -> dict[str, str]:
    """Return the variables of a job, and of a package's tests, with its own folder of caches."""
    own = {"BL_STEER_PROCESSES": str(limits.cores), **cache_environment(out / ".caches")}
    if limits.gpus and GPUS in os.environ:  # those of this worker of the cluster
        own[GPUS] = os.environ[GPUS]
    return own


def copy_caches(source: Path, environment: Mapping[str, str]) -> None:
    """Copy caches to where the environment says, if there are any."""
    for variable, name in NAMES.items():
        if variable in environment and (source / name).is_dir():
            shutil.copytree(source / name, environment[variable], dirs_exist_ok=True)


def make_caches(folder: Path) -> None:
    """Make the caches, in a process that is there for nothing else, and yields to all others."""
    os.nice(NICENESS)
    draft = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    os.environ.update(cache_environment(draft), MPLBACKEND="Agg")
    _use()
    (draft / MADE).write_text(_stamp())
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)


def _use() -> None:
    """Carry out what compiles, and draw a picture."""
    labels = np.random.default_rng(0).integers(0, 3, (12, 12, 12)).astype(np.uint8)
    analysis = processing.find_analysis("structure")
    inputs = Inputs({"labels": labels}, {"voxel_size_nm": (10.0, 10.0, 10.0)})
    params = processing.make_params(analysis, {"blocks": 2, "n_bootstrap": 100})
    for draw in analysis.run(inputs, params).figures.values():
        draw()


def _stamp() -> str:
    """Return what the caches hang on: versions, and when the compiled sources were written."""
    sources = sorted(Path(bl_steer.__file__).parent.glob("analysis/structure/*.py"))
    parts = [f"{name} {version(name)}" for name in LIBRARIES]
    parts += [f"{path.name} {path.stat().st_mtime_ns}" for path in sources]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
