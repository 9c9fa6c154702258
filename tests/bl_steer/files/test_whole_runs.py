"""The same file gives the same result at every door, and that of the pixels it holds.

A few files of each analysis; ``make files`` takes all of them, by the command line, too.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.bl_steer.files.whole_runs import LABELLED, contradictions, doors
from tests.bl_steer.files.written_files import FILES

ALL = "BL_STEER_ALL_FILES" in os.environ
SOME = {
    "structure": (
        *("imagej, micron, 16 bits", "ome, zlib", "white is zero", "PNG with palette"),
        *("slices of imageio", "npz", "Zarr 3", "NRRD, gzip, µm", "ilastik, other order"),
    ),
    "superres": (
        *("imagej, no unit", "big-endian", "slices, PNG", "Zarr 2"),
        "ilastik, other order",
    ),
    "segment": ("PNG, 16 bits", "TIFF of VTK", "PNG of matplotlib"),
}
BY_COMMAND = {("structure", "ilastik, other order"), ("superres", "slices, PNG")}
RUNS = [
    (analysis, name)
    for analysis, some in SOME.items()
    for name in (LABELLED if analysis == "structure" else FILES)
    if ALL or name in some
]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.mark.parametrize(("analysis", "name"), RUNS)
def test_an_analysis_of_a_file_is_the_same_at_every_door(
    analysis: str, name: str, models: Path, tmp_path: Path
) -> None:
    written = (LABELLED if analysis == "structure" else FILES)[name]
    commands = ALL or (analysis, name) in BY_COMMAND
    door = doors(models)[analysis]
    assert list(contradictions(analysis, door, written, tmp_path, commands=commands)) == []
