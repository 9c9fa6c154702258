"""A retrained model as a package, to go through the same review as any other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from PIL import Image

from bl_steer.server.packages.manifest import SOURCE_FILE, PackageError
from bl_steer.server.packages.testing import accept, try_package
from bl_steer.server.retraining.process import MODEL, REPORT_PAGE
from bl_steer.server.sandbox.limits import Limits

__all__ = ["write_candidate"]

SCRIPT = '''\
"""Segmentation with a model that was trained further on this server's data."""

from pathlib import Path

from bl_steer.analysis.segmentation.analysis import SegmentMicrographs, SegmentParams


def run(inputs, params, model):
    """Segment every field of view with the model of this folder."""
    asked = SegmentParams(
        model=str(Path(__file__).parent / "model"),
        pixel_size_nm=params.pixel_size_nm or None,
        views=int(params.views),
    )
    found = SegmentMicrographs().run(inputs, asked)
    return {
        "tables": found.tables,
        "arrays": found.arrays,
        "figures": found.figures,
        "warnings": found.warnings,
        "phases": found.provenance["phases"],
    }
'''
SOURCE = """\
name = {name}
version = {version}
title = {{ en = "Segmentation, retrained", ja = "領域分割（再学習済み）" }}
licence = "BSD-3-Clause"

[description]
en = "Splits micrographs into phases with a model that was trained further on this server's data."
ja = "このサーバーのデータで追加学習したモデルで、顕微鏡写真を相に分けます。"

[[authors]]
name = "retraining of bl_steer"

[input]
kind = "micrographs"

[[parameters]]
name = "pixel_size_nm"
type = "number"
default = 0.0
minimum = 0.0
maximum = 1000000.0
unit = "nm"
title = {{ en = "Pixel size", ja = "画素の大きさ" }}
description = {{ en = "0 takes what the file says", ja = "0ならファイルの値を使います" }}

[[parameters]]
name = "views"
type = "choice"
default = "1"
choices = ["1", "2", "4", "8"]
title = {{ en = "Views", ja = "平均する向きの数" }}
description = {{ en = "More is slower and better", ja = "多いほど遅く、精度は上がります" }}

[weights]
file = "model/weights.safetensors"
format = "safetensors"

[training_data]
description = {description}
snapshot = {snapshot}

[[tests]]
name = "made-up"
inputs = ["tests/made-up.png"]
expected = "tests/made-up.expected.json"
tolerance = 1e-3
"""


def write_candidate(
    trained: Path,
    folder: Path,
    *,
    name: str,
    version: str,
    report: Mapping[str, Any],
    limits: Limits | None = None,
    trusted: bool = False,
) -> Path:
    """Write the package of a candidate; its own test is run, and accepted as it is.

    Parameters
    ----------
    trained : folder that `bl_steer.server.retraining.process` wrote
    limits : of its test; the usual ones by default

    Raises
    ------
    PackageError
        When the candidate cannot segment the made-up micrograph of its test.
    """
    (folder / "tests").mkdir(parents=True)
    shutil.copytree(trained / MODEL, folder / MODEL, ignore=shutil.ignore_patterns("*.pt"))
    shutil.copyfile(trained / REPORT_PAGE, folder / REPORT_PAGE)
    counts = ", ".join(f"{n} to {part}" for part, n in report["counts"].items())
    source = SOURCE.format(
        name=json.dumps(name),
        version=json.dumps(version),
        description=json.dumps(f"Pairs of this server's users: {counts}; see {REPORT_PAGE}."),
        snapshot=json.dumps(report["snapshot"]),
    )
    (folder / SOURCE_FILE).write_text(source, encoding="utf-8")
    (folder / "script.py").write_text(SCRIPT, encoding="utf-8")
    _draw(folder / "tests" / "made-up.png")
    tried = try_package(folder, limits=limits, trusted=trusted)
    if not accept(folder, tried):
        problems = "; ".join(p for test in tried.tests for p in test["problems"])
        raise PackageError(f"a candidate must segment a micrograph, got {problems}; see its report")
    return folder


def _draw(path: Path) -> None:
    """Draw round patches with noise: nobody's data, so that it may travel with the package."""
    rng = np.random.default_rng(0)
    field = scipy.ndimage.gaussian_filter(rng.normal(size=(96, 96)), 6)
    levels = np.digitize(field, np.quantile(field, (0.33, 0.66)))
    grey = np.array([60, 120, 190])[levels] + rng.normal(0, 8, field.shape)
    Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8)).save(path)
