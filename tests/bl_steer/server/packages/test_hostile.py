from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bl_steer.server.packages.testing import try_package
from bl_steer.server.sandbox.limits import Limits
from bl_steer.server.sandbox.run import run_in_sandbox, sandbox_problem
from bl_steer.server.sizes import MIB

pytestmark = pytest.mark.skipif(bool(sandbox_problem()), reason=sandbox_problem() or "-")

LOAD_ALL = """
import json, os, sys
from pathlib import Path
from bl_steer.server.packages.manifest import PackageError, Weights
from bl_steer.server.packages.weights import load_weights
import h5py, numpy, safetensors.numpy, skops.io, joblib

careless = len(sys.argv) > 3
folder, out = Path(sys.argv[1]), Path(sys.argv[2])
for row in json.loads((folder / "files.json").read_text()):
    child = os.fork()
    if child == 0:
        said = "loaded"
        try:
            if careless and row["format"] == "npz":
                loaded = numpy.load(folder / row["file"], allow_pickle=True)
                dict(loaded) if hasattr(loaded, "files") else loaded
            else:
                names = {"file": row["file"], "format": row["format"]}
                load_weights(folder, Weights(**names, trusted_types=row["trusted"]))
        except PackageError as error:
            said = f"refused: {error}"
        except MemoryError:
            said = "refused: no memory"
        (out / f"{row['file']}.txt").write_text(said)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status:
        (out / f"{row['file']}.txt").write_text(f"died: {status}")
    if careless and Path(sys.argv[3]).exists():
        Path(sys.argv[3]).unlink()
        (out / f"{row['file']}.txt").write_text("acted")
"""


def _hostile_files() -> ModuleType:
    path = Path(__file__).with_name("hostile_files.py")
    spec = importlib.util.spec_from_file_location("hostile_files", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["hostile_files"] = module
    spec.loader.exec_module(module)
    return module


def written(folder: Path, canary: Path) -> list[Any]:
    """Write the files and their list; return them."""
    files = _hostile_files().hostile_files(canary)
    rows = []
    folder.mkdir()
    for number, one in enumerate(files):
        name = f"{number:02d}.{one.format}"
        (folder / name).write_bytes(one.data)
        rows.append({"file": name, "format": one.format, "trusted": one.trusted})
    (folder / "files.json").write_text(json.dumps(rows))
    return list(files)


def heard(out: Path, files: list[Any]) -> list[str]:
    paths = [out / f"{number:02d}.{one.format}.txt" for number, one in enumerate(files)]
    return [path.read_text() if path.exists() else "ended" for path in paths]


def test_hostile_model_files_do_harm_where_nothing_keeps_them(tmp_path: Path) -> None:
    """The control: without a sandbox most of those that can act do act."""
    canary, out = tmp_path / "canary", tmp_path / "out"
    out.mkdir()
    files = written(tmp_path / "files", canary)
    subprocess.run(
        [sys.executable, "-c", LOAD_ALL, tmp_path / "files", out, canary],
        check=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    acted = [
        one.name for one, said in zip(files, heard(out, files), strict=True) if said == "acted"
    ]
    missed = {one.name for one in files if one.acts} - set(acted)
    assert len(acted) >= 20, (acted, missed)


def test_fifty_hostile_model_files_never_touch_a_canary_outside_the_sandbox(
    tmp_path: Path,
) -> None:
    canary, out = tmp_path / "canary", tmp_path / "out"
    canary.write_text("alive")
    out.mkdir()
    files = written(tmp_path / "files", canary)
    assert len(files) >= 50
    outcome = run_in_sandbox(
        [sys.executable, "-P", "-c", LOAD_ALL, "/job/files", "/job/out"],
        readable={Path("/job/files"): tmp_path / "files"},
        writable=out,
        limits=Limits(time_s=300, memory=2048 * MIB, disk=64 * MIB),
    )
    assert outcome.cause == "ok", outcome.last_words
    assert canary.read_text() == "alive"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["canary", "files", "out"]
    answers = heard(out, files)
    for one, answer in zip(files, answers, strict=True):
        if one.format not in ("pickle", "joblib"):
            assert answer.startswith("refused: "), (one.name, one.format, answer)
            assert any(word in answer for word in ("must", "need", "no memory")), answer


@pytest.mark.parametrize("which", ["pickle", "skops", "npz"])
def test_a_hostile_file_in_a_package_fails_its_check_with_a_reason(
    which: str, small: Callable[..., Any], tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    canary.write_text("alive")
    one = next(one for one in _hostile_files().hostile_files(canary) if one.format == which)
    more = f"""
[weights]
file = "model"
format = "{which}"

[training_data]
description = "none"
"""
    report = try_package(small(more=more, files={"model": one.data}).write())
    assert not report.passed
    assert canary.read_text() == "alive"
    assert {
        "pickle": "TypeError: ",  # the call gave a number, which is no model
        "skops": "must need no type beyond the manifest's trusted_types, got os.system",
        "npz": "allow_pickle",
    }[which] in report.tests[0]["problems"][0]


def test_the_hostile_archives_are_what_they_say(tmp_path: Path) -> None:
    files = written(tmp_path / "files", tmp_path / "canary")
    skops = [one for one in files if one.format == "skops"]
    assert all(
        zipfile.is_zipfile(tmp_path / "files" / f"{files.index(o):02d}.skops") for o in skops
    )
