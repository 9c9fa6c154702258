"""What runs inside the sandbox: ``python -m bl_steer.server.jobs.process``.

It reads one task as JSON from standard input, tells of its progress on standard output, a JSON
object a line, and leaves its result in the folder it may write: ``result.json`` (a `Report`), and
the files that it names. `bl_steer.server.jobs.results` reads them outside, and trusts none of it.
"""

from __future__ import annotations

import errno
import json
import math
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TextIO

import numpy as np
import tifffile

from bl_steer import plotting, processing
from bl_steer.files.volumes import write_result_volume
from bl_steer.processing.memory_limit import out_of_memory
from bl_steer.processing.result_files import write_exact
from bl_steer.processing.result_folder import write_table
from bl_steer.server import packages
from bl_steer.server.jobs.inputs import read_inputs
from bl_steer.server.packages.inputs import parted
from bl_steer.server.sandbox.caches import copy_caches
from bl_steer.server.told_paths import without_folders

__all__ = ["REPORT", "RESULT", "OutputFile", "Report", "Task", "carry_out", "main"]

REPORT = "result.json"
RESULT = "result.npz"
"""Exact tables and arrays: `bl_steer.processing.result_files`."""
FIELDS = "fields"
"""Table that says which file each field is of."""
DPI = 130
TABLE_PREVIEW = 64
"""Rows of each table that go into the report, for the page."""


@dataclass(frozen=True)
class Task:
    """What a job's process is told: which analysis of which files, and where to write."""

    analysis: str
    paths: Sequence[str]
    params: dict[str, Any]
    out: str
    package: str = ""
    """Folder of an unpacked package; empty for an analysis of this library."""
    caches: str = ""
    """Folder of what libraries made beforehand: `bl_steer.server.sandbox.caches`."""
    names: Sequence[str] = ()
    """Of the input that each path is for, where the analysis has several."""
    dependencies: str = ""
    """Folder of the libraries that a package asks for; looked at after all others."""
    permit: str = ""
    """What shows that the package may run: a `bl_steer.server.packages.approval.Permit`."""


@dataclass(frozen=True)
class OutputFile:
    """One file of a result."""

    name: str
    kind: Literal["table", "array", "figure", "file"]
    media_type: str


@dataclass(frozen=True)
class Report:
    """What a job's process says at its end."""

    ok: bool
    cause: str = ""
    message: str = ""
    digest: str = ""
    warnings: Sequence[str] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
    outputs: Sequence[OutputFile] = ()


def main() -> None:
    """Carry out the task of standard input."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what an analysis prints must not look like an answer
    task = Task(**json.loads(sys.stdin.read()))
    if task.caches:
        copy_caches(Path(task.caches), os.environ)
    report = carry_out(task, answers)
    path = Path(task.out) / REPORT
    try:
        path.write_text(json.dumps(asdict(report)), encoding="utf-8")
    except OSError as error:  # no room for it
        _make_room(Path(task.out))
        path.write_text(json.dumps(asdict(_failed(error))), encoding="utf-8")


def carry_out(task: Task, answers: TextIO) -> Report:
    """Do a task; what goes wrong is in the report."""
    last = [-1, -1]
    folders = [Path(path).parent for path in task.paths]
    own = [*map(str, folders), task.out, task.package, task.dependencies]

    def progress(done: int, total: int) -> None:
        if [done, total] != last:
            last[:] = done, total
            answers.write(json.dumps({"progress": [done, total]}) + "\n")

    try:
        report = _analyse(task, progress)
    except BaseException as error:  # SystemExit too: an analysis does not end in silence
        traceback.print_exc()
        report = _failed(error)
    return replace(
        report,
        message=without_folders(report.message, own),
        warnings=[without_folders(warning, own) for warning in report.warnings],
    )


def _analyse(task: Task, progress: Any) -> Report:
    out, paths = Path(task.out), [Path(path) for path in task.paths]
    analysis: Any
    inputs: Any
    try:
        if task.package:
            # A package's code runs from here on.

            if task.dependencies:
                sys.path.append(task.dependencies)
            permit = packages.Permit.model_validate_json(task.permit)
            analysis = packages.approved_analysis(Path(task.package), permit)
            inputs = analysis.inputs_from_files(_by_input(paths, task.names))
        else:
            analysis = processing.find_analysis(task.analysis)
            inputs = read_inputs(task.analysis, paths, out)
        result = analysis.run(inputs, processing.make_params(analysis, task.params), progress)
    except packages.PackageError as error:
        traceback.print_exc()
        return _failed(error, cause="package")
    except ValueError as error:
        traceback.print_exc()
        return _failed(error, cause="input")
    outputs, problems = _write(result, out)
    parts = [inputs] if not task.package else _parts(inputs, analysis.manifest)
    for of_files in filter(None, map(_files_of_fields, parts)):
        if f"{FIELDS}.csv" not in {output.name for output in outputs}:
            outputs.append(_write_table(of_files, FIELDS, out))
    return Report(
        ok=True,
        digest=processing.digest_of(result),
        warnings=[*map(str, result.warnings), *problems],
        provenance=_as_json(
            {
                **result.provenance,
                "tables": _preview(result.tables),
                "origins": _origins(parts),
                "mean_uncertainty": _mean_uncertainty(result.arrays),
                "shapes": _shapes(result.arrays),
            }
        ),
        outputs=outputs,
    )


def _by_input(paths: Sequence[Path], names: Sequence[str]) -> Any:
    if not names:
        return paths
    given: dict[str, list[Path]] = {}
    for name, path in zip(names, paths, strict=True):
        given.setdefault(name, []).append(path)
    return given


def _write(result: Any, out: Path) -> tuple[list[OutputFile], list[str]]:
    """Write a result for people and exactly; return the files, and what was not drawn."""
    files: list[OutputFile] = []
    for name, table in result.tables.items():
        files.append(_write_table(table, name, out, result.provenance.get("units")))
    for name, array in result.arrays.items():
        if name in result.provenance.get("voxels_nm", {}):
            path = write_result_volume(out / _safe(name), result, name)
            files.append(OutputFile(path.name, "array", "image/tiff"))
        elif array.dtype.kind in "iuf" and array.ndim in (2, 3) and array.dtype.itemsize <= 4:
            path = out / f"{_safe(name)}.tif"
            tifffile.imwrite(path, array, compression="zlib", photometric="minisblack")
            files.append(OutputFile(path.name, "array", "image/tiff"))
    write_exact(result, out / RESULT)
    files.append(OutputFile(RESULT, "file", "application/x-npz"))
    drawn, problems = _draw(result, out)
    return [*files, *drawn], problems


def _write_table(
    table: Any, name: str, out: Path, units: Mapping[str, str] | None = None
) -> OutputFile:
    path = write_table(table, out / f"{_safe(name)}.csv", units)
    return OutputFile(path.name, "table", "text/csv")


def _files_of_fields(inputs: Any) -> dict[str, Any]:
    """Return which file each field is of, as the command line writes it; nothing for one field."""
    names, files = list(inputs.arrays), list(inputs.source.get("files", []))
    if not 1 < len(names) == len(files) or not all(name.startswith("field_") for name in names):
        return {}
    return {"field": np.array(names), "file": np.array([Path(file).name for file in files])}


def _parts(inputs: Any, manifest: packages.Manifest) -> list[Any]:
    """Return the inputs of a package one by one."""
    return list(parted(inputs, manifest.inputs).values())


def _origins(parts: Sequence[Any]) -> dict[str, tuple[int, int]]:
    """Return the upload that each input array is of, and its page there, for the viewer.

    Of a name that two inputs have, the first counts.
    """
    origins: dict[str, tuple[int, int]] = {}
    before = 0
    for inputs in parts:
        names, files = list(inputs.arrays), list(inputs.source.get("files", []))
        uploads = list(dict.fromkeys(files))
        images = all(
            array.ndim > 1 for array in inputs.arrays.values()
        )  # a table's columns are none
        if len(names) == len(files) and images:
            for number, (name, file) in enumerate(zip(names, files, strict=True)):
                page = files[:number].count(file)
                origins.setdefault(name, (before + uploads.index(file), page))
        before += len(uploads)
    return origins


def _shapes(arrays: Any) -> dict[str, list[int]]:
    """Return how many rows and columns each field has that a result is unsure of."""
    ending = "_uncertainty"
    return {
        name.removesuffix(ending): list(array.shape[-2:])
        for name, array in arrays.items()
        if name.endswith(ending) and array.ndim > 1
    }


def _mean_uncertainty(arrays: Any) -> dict[str, float]:
    """Return how unsure a result is of each field, 0 … 1: what a person should look at first."""
    ending = "_uncertainty"
    return {
        name.removesuffix(ending): float(np.mean(array, dtype=np.float64))
        for name, array in arrays.items()
        if name.endswith(ending) and array.size
    }


def _draw(result: Any, out: Path) -> tuple[list[OutputFile], list[str]]:
    files, problems = [], []
    for name, draw in result.figures.items():
        path = out / f"{_safe(name)}.png"
        try:
            with plotting.with_japanese():
                draw().savefig(path, dpi=DPI)
        except Exception as error:  # a picture is not worth a result
            problems.append(f"figure {name!r} was not drawn: {type(error).__name__}: {error}")
        else:
            files.append(OutputFile(path.name, "figure", "image/png"))
    return files, problems


def _preview(tables: Any) -> dict[str, Any]:
    return {
        name: {
            "rows": len(next(iter(table.values()))) if table else 0,
            "head": {key: column[:TABLE_PREVIEW].tolist() for key, column in table.items()},
        }
        for name, table in tables.items()
    }


def _failed(error: BaseException, cause: str = "error") -> Report:
    message = " ".join(str(error).split()) or type(error).__name__
    if cause == "error":
        message = f"{type(error).__name__}: {message}"
    if "can't start new thread" in message or isinstance(error, BlockingIOError):
        cause = "processes"
    elif out_of_memory(error):
        cause = "memory"
    elif isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
        cause = "disk"
    return Report(ok=False, cause=cause, message=message[:2000])


def _make_room(out: Path) -> None:
    for path in out.iterdir():
        if path.is_file():
            path.unlink()


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name).lstrip(".") or "_"


def _as_json(value: Any) -> Any:
    """Return JSON-compatible data, numpy's numbers turned into Python's, NaN into None."""
    if isinstance(value, dict):
        return {str(key): _as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(item) for item in value]
    if hasattr(value, "tolist"):
        return _as_json(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int | bool) or value is None else str(value)


if __name__ == "__main__":
    main()
