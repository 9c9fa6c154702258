"""The figures of the paper: steering (1), segmentation (2), phase fractions (3), volumes (5)."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis import segmentation
from bl_steer.analysis.segmentation import SegmentationModel
from bl_steer.files.atomic import check_place, made_folder
from bl_steer.protocols import Progress
from bl_steer.session.slice_and_view import slice_and_view
from bl_steer.trials.film import paper_figure_1
from bl_steer.trials.micrograph_figures import Specimen, draw_figure_2, draw_figure_3
from simulators import electron

__all__ = ["draw_paper", "figure_2", "figure_3", "figure_5"]

UNSEEN = 900_000
"""Added to the seed, so that no specimen is one of those that the shipped model learnt from."""
SHAPE = (512, 512)
PIXEL_SIZE_NM = 10.0
FIELDS_UM = tuple((x, y) for y in (0.0, 40.0) for x in (0.0, 40.0, 80.0))
"""Centres of the fields of view, farther apart than their 5.12 µm."""

N_SLICES, EDGE_PX, PITCH_NM = 100, 1000, 100.0
"""Of the paper's stack: 10 µm along each edge."""
FEWEST_SLICES = 12
CHAIN: dict[str, Any] = {"plane_nm": 10.0}
"""Parameters of the analysis ``reconstruct`` for figure 5: planes as far apart as pixels."""


def draw_paper(
    *,
    seed: int,
    out: Path,
    data_dir: Path,
    scale: float,
    tell: Callable[[str], None] = lambda text: None,
    reporting: Progress | None = None,
) -> dict[str, Any]:
    """Draw the figures and write the tables into a folder; return what each shows.

    Parameters
    ----------
    scale : of the edges of figure 5's box; 1 is the paper's, 10 µm
    tell : called with a line when each part begins
    reporting : progress of figure 5's report, as of `bl_steer.session.reports.report_of`

    Raises
    ------
    ValueError
        When the scale is not within 0.12 … 1.
    """
    if not FEWEST_SLICES / N_SLICES <= scale <= 1:
        raise ValueError(
            f"scale must lie within {FEWEST_SLICES / N_SLICES:g} … 1, got {scale:g}; 1 is the "
            "paper's"
        )
    check_place(out)
    with made_folder(out):
        tell("1 of 4: figure 1, a film measured point by point and steered")
        first = paper_figure_1(seed=seed, figure=out / "figure_1.png", data_dir=data_dir)
        tell("2 of 4: figure 2, micrographs segmented")
        second = figure_2(seed=seed, figure=out / "figure_2.png")
        tell("3 of 4: figure 3, phase fractions of six fields")
        third = figure_3(seed=seed, figure=out / "figure_3.png")
        tell("4 of 4: figure 5, slices into a volume, in three parts")
        fifth = figure_5(
            seed=seed, out=out, data_dir=data_dir, scale=scale, tell=tell, reporting=reporting
        )
        return {"figure_1": first, "figure_2": second, "figure_3": third, "figure_5": fifth}


def figure_5(
    *,
    seed: int,
    out: Path,
    data_dir: Path,
    scale: float,
    tell: Callable[[str], None] = lambda text: None,
    reporting: Progress | None = None,
) -> dict[str, Any]:
    """Take slices on the simulated FIB-SEM and reconstruct them: figure 5, tables 1 and 2.

    Writes ``figure_5.png``, ``table_1.csv`` and ``table_2.csv`` beside the other figures, and the
    whole report into ``volume/``.
    """
    report = slice_and_view(
        family="grains",
        seed=UNSEEN + seed,
        n_slices=round(scale * N_SLICES),
        pitch_nm=PITCH_NM,
        edge_px=round(scale * EDGE_PX),
        faults="usual",
        params=CHAIN,
        out=out / "volume",
        data_dir=data_dir,
        tell=tell,
        reporting=reporting,
    )
    for name in ("figure_5.png", "table_1.csv", "table_2.csv"):
        shutil.copyfile(out / "volume" / name, out / name)
    return {**report, "scale": scale, "figure": str(out / "figure_5.png")}


def figure_2(*, seed: int, figure: Path) -> dict[str, Any]:
    """Segment an unseen specimen of each family; draw it beside what an expert would paint."""
    model = segmentation.find_model(segmentation.DEFAULT_MODEL)
    specimens = [_specimen(model, family, UNSEEN + seed) for family in electron.FAMILIES]
    drawn = draw_figure_2(specimens, model.phases, pixel_size_nm=PIXEL_SIZE_NM)
    drawn.savefig(figure, dpi=150)
    return {
        "seed": UNSEEN + seed,
        "weights_sha256": model.weights_sha256,
        "miou": {s.name: [s.score.miou, s.score.miou_low, s.score.miou_high] for s in specimens},
        "figure": str(figure),
    }


def figure_3(*, seed: int, figure: Path) -> dict[str, Any]:
    """Segment six fields of view of one specimen; draw its phase fractions beside the truth."""
    model = segmentation.find_model(segmentation.DEFAULT_MODEL)
    images, truths = _fields_of_view(UNSEEN + seed)
    began = perf_counter()
    segmented = [segmentation.segment(model, v, pixel_size_nm=PIXEL_SIZE_NM) for v in images]
    seconds = perf_counter() - began
    sd = model.card.get("fraction_error_sd")
    fractions = segmentation.phase_fractions(
        [field.labels for field in segmented],
        len(model.phases),
        model_sd=None if sd is None else np.asarray(sd),
    )
    counts = np.bincount(np.concatenate([truth.ravel() for truth in truths]), minlength=3)
    true = counts / counts.sum()
    draw_figure_3(
        images,
        segmented,
        model.phases,
        fractions=fractions,
        true_fraction=true,
        pixel_size_nm=PIXEL_SIZE_NM,
        seconds=seconds,
    ).savefig(figure, dpi=150)
    intervals = zip(fractions.mean, fractions.mean_low, fractions.mean_high, strict=True)
    return {
        "seed": UNSEEN + seed,
        "weights_sha256": model.weights_sha256,
        "fraction": {
            name: [float(value) for value in row]
            for name, row in zip(model.phases.names, intervals, strict=True)
        },
        "true_fraction": dict(zip(model.phases.names, true.tolist(), strict=True)),
        "duration_s": seconds,
        "figure": str(figure),
    }


def _specimen(model: SegmentationModel, family: str, seed: int) -> Specimen:
    image, truth, _ = electron.field(family, seed, shape=SHAPE)
    segmented = segmentation.segment(model, image, pixel_size_nm=PIXEL_SIZE_NM)
    score = segmentation.score([truth], [segmented.labels], len(model.phases))
    return Specimen(family, image, truth, segmented, score)


def _fields_of_view(seed: int) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]]:
    """Return micrographs and truths of one specimen under the simulated microscope."""
    microscope = electron.SimulatedMicroscope("grains", seed, shape=SHAPE)
    images, truths = [], []
    for x, y in FIELDS_UM:
        microscope.stage.x.user_setpoint.put(x)
        microscope.stage.y.user_setpoint.put(y)
        microscope.sem.acquire.put(1)
        images.append(np.array(microscope.sem.image.get()))
        truths.append(microscope.truth(x, y))
    return images, truths
