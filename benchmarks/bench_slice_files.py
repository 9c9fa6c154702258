"""Raw slices as an instrument writes them, with everything wrong at once, to a report.

    python benchmarks/bench_slice_files.py [SEED …] [--marks] [--model FOLDER]

For each seed a specimen of one family is cut by the simulated FIB-SEM: slices drift, are brighter
or darker, have curtains, are seen at an angle and carry a data bar. One is lost, one blank, one
stored twice, and the last broken off; no tracking marks, or a cap with notches (`--marks`). Even
seeds are written as FEI writes them (LZW, 8 bits), odd ones as Zeiss (16 bits, the bar in no
header). What `reconstruct` makes of the folder is held against the specimen: the drift that is
left, volumes, contact areas and triple lines. `--model` is that of the segmentation.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from skimage.transform import resize

from bl_steer.analysis import find_analysis, make_params
from bl_steer.analysis.segmentation.shipped import DEFAULT_MODEL
from bl_steer.analysis.slices import inputs_from_files
from bl_steer.protocols import AnalysisResult, Inputs
from bl_steer.slicing.marks import TrackingMarks
from simulators import electron
from simulators.electron.fibsem import SimulatedFibSem
from simulators.electron.slice_faults import SliceFaults
from simulators.electron.tracking_marks import NotchedCap

N_SLICES, EDGE_PX, PITCH_NM, PIXEL_NM = 24, 448, 100.0, 10.0
LOST, BLANK, TWICE = 6, 10, 13
BAR_PX = 30
SEEDS = (40, 41, 42, 43, 44)


def family_of(seed: int) -> str:
    return "grains" if seed % 4 < 2 else "network"


def columns_deg(seed: int) -> float:
    return 52.0 if seed % 2 == 0 else 54.0


def write_folder(
    seed: int, folder: Path, *, marks: bool = False
) -> tuple[NDArray[np.float64], TrackingMarks | None]:
    """Write the slices of a specimen.

    Returns
    -------
    drift : of each number's slice, pixels (y, x)
    marks : where they are in the files' images; None without
    """
    faults = SliceFaults(
        pitch_jitter=0.0, failed=0.0, twice=0.0, lost=0.0, focus_drift_um=0.0, seed=seed
    )
    fibsem = SimulatedFibSem(
        family_of(seed),
        seed=seed,
        shape=(EDGE_PX, EDGE_PX),
        faults=faults,
        cap=NotchedCap() if marks else None,
    )
    rng = np.random.default_rng(seed)
    drift, before = [], np.empty(0)
    for number in range(1, N_SLICES + 1):
        fibsem.mill.set(PITCH_NM * (number - 1)).wait(30.0)
        fibsem.sem.trigger().wait(30.0)
        face = fibsem.sem.frames()[0].astype(float) * rng.uniform(0.85, 1.1) + rng.uniform(-5, 5)
        drift.append(np.array(fibsem.views()[-1].displacement_nm) / PIXEL_NM)
        shown = {BLANK: np.zeros_like(face), TWICE: before}.get(number, face)
        before = shown
        if number != LOST:
            _write_slice(shown, number, seed, folder)
    shortened = math.sin(math.radians(columns_deg(seed)))
    return np.array(drift), None if fibsem.marks is None else fibsem.marks.stretched(shortened)


def _write_slice(face: NDArray[Any], number: int, seed: int, folder: Path) -> None:
    is_fei = seed % 2 == 0
    height = round(len(face) * math.sin(math.radians(columns_deg(seed))))
    grey = resize(face, (height, face.shape[1]), order=1, preserve_range=True).clip(0, 255)
    image = grey.round().astype(np.uint8) if is_fei else (257 * grey).astype(np.uint16)
    rows = height
    if number == N_SLICES:
        image, rows = image[: height // 2], height // 2
    else:
        drawn = Image.new("L", (face.shape[1], BAR_PX), 0)
        ImageDraw.Draw(drawn).text((6, 8), "HV 2.00 kV  WD 4.1 mm  |--1 um--|", fill=255)
        image = np.vstack([image, np.asarray(drawn).astype(image.dtype) * (1 if is_fei else 257)])
    if is_fei:
        text = (
            "[User]\r\nDate=01/05/2026\r\n[EBeam]\r\nHV=2000\r\nTiltCorrectionIsOn=no\r\n[Scan]\r\n"
            f"PixelWidth=1e-08\r\nPixelHeight=1e-08\r\n[Image]\r\nResolutionX={face.shape[1]}\r\n"
            f"ResolutionY={rows}\r\n"
        )
    else:
        lines = ("", "AP_IMAGE_PIXEL_SIZE", "Image Pixel Size = 10.00 nm", "DP_TILT_CORRECTION")
        text = "\r\n".join((*lines, "Tilt Corrn. = Off", ""))
    tifffile.imwrite(
        folder / f"slice_{number}.tif",
        image,
        metadata=None,
        photometric="minisblack",
        compression="lzw" if is_fei else None,
        extratags=[(34682 if is_fei else 34118, "s", len(text) + 1, text, True)],
    )


def told(marks: TrackingMarks) -> dict[str, Any]:
    """Return marks as a user tells them."""
    (top, bottom), (left, right) = marks.rows, marks.straight
    box = (left, top, right - left, bottom - top)
    return {"marks": box, "specimen_from": marks.specimen_from}


def measured(labels: NDArray[Any], voxel_nm: tuple[float, ...]) -> dict[str, NDArray[Any]]:
    analysis = find_analysis("structure")
    params = make_params(analysis, {"voxel_size_nm": voxel_nm, "n_bootstrap": 100})
    tables = analysis.run(Inputs({"labels": labels}), params).tables
    return {
        "volumes": np.asarray(tables["volumes"]["volume_um3"]),
        "areas": np.asarray(tables["areas"]["area_um2"]),
        "triple lines": np.asarray(tables["triple_lines"]["length_um"]),
    }


def drift_left_px(result: AnalysisResult, drift: NDArray[np.float64]) -> float:
    table = result.tables["slices"]
    found = np.asarray(table["plane"]) >= 0
    moved = np.stack([np.asarray(table[f"displacement_{axis}_px"])[found] for axis in "yx"], axis=1)
    left = moved - drift[np.asarray(table["slice"])[found] - 1]
    left -= left.mean(axis=0)
    return float(np.sqrt((left**2).sum(axis=1).mean()))


def run(seed: int, *, marks: bool, model: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        drift, boxes = write_folder(seed, folder, marks=marks)
        inputs = inputs_from_files([folder])
        analysis = find_analysis("reconstruct")
        settings = {
            "pitch_nm": PITCH_NM,
            "columns_deg": columns_deg(seed),
            "check": False,
            "model": model,
            **({} if boxes is None else told(boxes)),
        }
        result = analysis.run(inputs, make_params(analysis, settings))
    (top, bottom), (left, right) = result.provenance["window"]
    truth = electron.sections_at(
        np.asarray(result.arrays["z_nm"]),
        family=family_of(seed),
        seed=seed,
        shape=(EDGE_PX, EDGE_PX),
        pixel_nm=PIXEL_NM,
    )[:, top:bottom, left:right]
    voxel = tuple(result.provenance["voxel_nm"])
    ours, true = (measured(labels, voxel) for labels in (result.arrays["volume"], truth))
    off = {name: 100.0 * (ours[name] / true[name] - 1.0) for name in ours}
    errors = "; ".join(
        f"{name} {', '.join(f'{percent:+.1f}' for percent in off[name])}" for name in off
    )
    print(
        f"{family_of(seed)} {seed}: drift left {drift_left_px(result, drift):.1f} px rms; {errors} "
        f"% off; {result.provenance['duration_s']:.0f} s",
        flush=True,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("seeds", type=int, nargs="*", metavar="SEED")
    parser.add_argument("--marks", action="store_true")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    options = parser.parse_args()
    for chosen in options.seeds or SEEDS:
        run(chosen, marks=options.marks, model=options.model)
