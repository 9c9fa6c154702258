"""What all files of a folder say alike is told once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from bl_steer.analysis.segmentation import parse_phases
from bl_steer.analysis.segmentation.from_files import inputs_from_files
from bl_steer.analysis.segmentation.training import TrainingSet
from bl_steer.analysis.slices.from_files import inputs_from_files as slices_from_files

HEADER = "[Scan]\r\nPixelWidth=1e-08\r\nPixelHeight=1e-08\r\n[PrivateFei]\r\nDatabarHeight=0\r\n"
BESIDE = "[MAIN]\nPixelSizeX=2.5e-08\nPixelSizeY=2.5e-08\n[SEM]\nHV=2000\n"
SAID = (
    "states a pixel of 10 nm, the file -tif.hdr beside it one of 25 nm: the first is taken; give "
    "the pixel size where it is not that"
)


def contradicted(folder: Path, number: int = 5) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = []
    for place in range(number):
        path = folder / f"s{place}.tif"
        image = rng.integers(0, 255, (80, 90), dtype=np.uint8)
        tifffile.imwrite(path, image, metadata=None, extratags=[(34682, "s", 0, HEADER, True)])
        path.with_name(f"s{place}-tif.hdr").write_text(BESIDE)
        paths.append(path)
    return paths


def about(notes: object) -> list[str]:
    assert isinstance(notes, list | tuple)
    return [note for note in notes if "one of 25 nm" in note]


def test_slices_whose_headers_contradict_a_file_beside_them_are_told_once(tmp_path: Path) -> None:
    contradicted(tmp_path)
    (note,) = about(slices_from_files([tmp_path]).notes)
    assert note == f"s0.tif and 4 more: the header of FEI or Thermo Fisher {SAID}"


def test_micrographs_to_segment_are_told_once(tmp_path: Path) -> None:
    (note,) = about(inputs_from_files(contradicted(tmp_path)).notes)
    assert note == f"s0.tif and 4 more: the header of FEI or Thermo Fisher {SAID}"


def test_pairs_to_train_with_are_told_once(tmp_path: Path) -> None:
    for path in contradicted(tmp_path):
        labels = np.arange(80 * 90, dtype=np.uint8).reshape(80, 90) % 2
        Image.fromarray(labels).save(path.with_name(f"{path.stem}_mask.png"))
    (note,) = about(TrainingSet.read(tmp_path, parse_phases("a,b")).notes)
    assert note == f"s0.tif and 4 more: the header of FEI or Thermo Fisher {SAID}"
