"""What a report takes of memory does not grow with the volume."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bl_steer.analysis.reconstruction import rendering
from bl_steer.analysis.reconstruction.comparison import Reconstruction
from bl_steer.analysis.reconstruction.rendering import can_render, render
from bl_steer.analysis.reconstruction.section import panels_of
from bl_steer.analysis.segmentation.phases import FIBSEM_PHASES
from bl_steer.analysis.superresolution.validation import label_scores
from bl_steer.files import large_arrays
from bl_steer.files.large_arrays import large_array, let_go
from bl_steer.protocols import AnalysisResult

SHAPE = (128, 512, 512)
SLICE_MIB = 4 * 512 * 512 / 2**20


def grown_mib(work: Callable[[], Any]) -> float:
    """Return by how much the process was larger at its largest, files that it maps included."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak is what is resident now
    before = resident_mib("VmRSS")
    work()
    return resident_mib("VmHWM") - before


def resident_mib(what: str) -> float:
    status = Path("/proc/self/status").read_text()
    return int(re.findall(rf"{what}:\s+(\d+) kB", status)[0]) / 1024


def mapped(shape: tuple[int, ...], dtype: Any) -> Any:
    array = large_array(shape, dtype)
    for number, plane in enumerate(array):
        plane[:] = number % 3
        let_go(array)
    return array


@pytest.fixture
def result(monkeypatch: pytest.MonkeyPatch) -> AnalysisResult:
    monkeypatch.setattr(large_arrays, "IN_MEMORY_BYTES", 2**18)
    phases = [{"name": p.name, "paint": p.paint, "show": p.show} for p in FIBSEM_PHASES]
    slices = (17, *SHAPE[1:])
    return AnalysisResult(
        tables={},
        arrays={
            "volume": mapped(SHAPE, np.uint8),
            "uncertainty": mapped(SHAPE, np.float16),
            "slices": mapped(slices, np.uint8),
            "labels": mapped(slices, np.uint8),
            "slice_z_nm": np.arange(17) * 80.0,
            "z_nm": np.arange(128) * 10.0,
        },
        provenance={"voxel_nm": [10.0] * 3, "params": {"factor": 8}, "phases": phases},
    )


def test_a_report_never_holds_a_whole_volume(result: AnalysisResult) -> None:
    volume, truth = result.arrays["volume"], mapped(SHAPE, np.uint8)
    assert volume.nbytes == 32 * 2**20
    reconstruction = Reconstruction.of(result)
    conventional = reconstruction.volumes()["conventional"]
    panels_of(result)  # what is loaded with it is not counted
    reads = {
        "panels": lambda: panels_of(result),
        "panels with truth": lambda: panels_of(result, truth),
        "slabs": conventional,
        "scores": lambda: label_scores({"super-resolved": volume}, truth, 3),
        "picture": lambda: rendering._thinned(volume, 4),
    }
    grown = {name: grown_mib(read) for name, read in reads.items()}
    assert all(mib < 20 for mib in grown.values()), grown


@pytest.mark.skipif(not can_render(), reason="no OpenGL to draw with")
def test_a_large_volume_is_drawn_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyvista", None)  # here it cannot be imported
    monkeypatch.delenv("BL_STEER_PROCESSES", raising=False)
    labels = np.zeros((6, 8, 10), np.uint8)
    labels[2:] = 2
    with pytest.raises(ImportError):
        render(labels, (10.0, 10.0, 10.0), FIBSEM_PHASES)
    monkeypatch.setattr(rendering, "SMALL_VX", 100)
    picture = render(labels, (10.0, 10.0, 10.0), FIBSEM_PHASES)
    assert picture.shape[2] == 3
    assert (picture < 200).any()
