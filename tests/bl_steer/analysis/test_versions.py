"""An analysis whose results or parameters are others than before has another version.

``versions.json`` holds what each version gives for small files, and the defaults of its parameters,
which are in the digest. Where a change is meant, raise ``version`` in the analysis, and write the
file anew with ``BL_STEER_WRITE_VERSIONS=1 pytest`` on this module.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bl_steer.analysis import find_analysis, make_params, structure
from bl_steer.files import map_inputs, point_inputs
from bl_steer.processing.registry import BUILT_IN
from bl_steer.protocols import Inputs
from bl_steer.server.packages.expected import differences, expected_of

RECORD = Path(__file__).with_name("versions.json")
TOLERANCE = 1e-4
PLACES = [(x, y) for y in range(4) for x in range(4)]


def spectra(folder: Path) -> Inputs:
    """Two peaks over energies, which the header of the table tells."""
    energies = np.linspace(6.0, 7.4, 8)
    rows = ["x,y," + ",".join(f"{energy:.1f} keV" for energy in energies)]
    for number, (x, y) in enumerate(PLACES):
        shares = 40 + 30 * np.sin(number), 50 + 40 * np.cos(2.0 * number)
        peaks = (np.exp(-(((energies - at) / 0.2) ** 2)) for at in (6.39, 7.05))
        counts = 5 + sum(share * peak for share, peak in zip(shares, peaks, strict=True))
        rows.append(f"{x},{y}," + ",".join(f"{count:.3f}" for count in counts))
    (folder / "map.csv").write_text("\n".join(rows) + "\n")
    return map_inputs(folder / "map.csv")


def points(folder: Path) -> Inputs:
    """Sixteen points of a hill."""
    values = [100 * np.exp(-((x - 1) ** 2 + (y - 2) ** 2)) for x, y in PLACES]
    rows = [f"{10 * x},{10 * y},{v:.4f}" for (x, y), v in zip(PLACES, values, strict=True)]
    (folder / "points.csv").write_text("\n".join(["x,y,value", *rows]) + "\n")
    return point_inputs(folder / "points.csv")


def labels(folder: Path) -> Inputs:
    """Three phases, as Zeiss would number them, with a voxel."""
    z, y, x = np.indices((6, 20, 24))
    volume = ((np.sin(x / 3.0) + np.cos(y / 4.0) + np.sin(z / 2.0)) > 0).astype(np.uint8)
    volume[:, :6, :6] = 2
    np.savez(folder / "labels.npz", labels=volume, voxel_size_nm=[40.0, 10.0, 10.0])
    return structure.inputs_from_file(folder / "labels.npz")


RUNS: dict[str, tuple[Any, dict[str, Any]]] = {
    "components": (spectra, {"n_components": 2, "n_bootstrap": 100}),
    "advise": (points, {"method": "sobol", "pitch": 5.0, "n_points": 4}),
    "structure": (labels, {"n_bootstrap": 100}),
}


def found(name: str, folder: Path) -> dict[str, Any]:
    """What an analysis of today gives."""
    analysis = find_analysis(name)
    fields = analysis.Params.model_fields
    defaults = {key: repr(field.get_default()) for key, field in sorted(fields.items())}
    report: dict[str, Any] = {"version": analysis.version, "defaults": defaults}
    if name in RUNS:
        read, params = RUNS[name]
        result = expected_of(analysis.run(read(folder), make_params(analysis, params)))
        del result["digest"]  # in its last bits another processor's is another
        report["result"] = json.loads(json.dumps(result))
    return report


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_a_version_gives_what_it_gave(name: str, tmp_path: Path) -> None:
    recorded = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    today = found(name, tmp_path)
    if "BL_STEER_WRITE_VERSIONS" in os.environ:
        lines = {**recorded, name: today}
        rows = (f"{json.dumps(k)}: {json.dumps(v, sort_keys=True)}" for k, v in lines.items())
        RECORD.write_text("{\n" + ",\n".join(rows) + "\n}\n")
        return
    before, now = {"digest": "before", "tables": recorded[name]}, {"digest": "", "tables": today}
    told = differences(before, now, TOLERANCE)
    assert not told, f"raise the version of {name}, and write versions.json anew: {told}"
