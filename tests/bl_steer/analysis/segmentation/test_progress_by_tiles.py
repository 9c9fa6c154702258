"""Large fields of view show how far they are, tile by tile, also from the worker's process."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bl_steer.analysis import Request
from bl_steer.analysis.segmentation import (
    ASPECTS,
    FIBSEM_PHASES,
    Acquisition,
    Passes,
    SegmentationModel,
    SegmentMicrographs,
    SegmentParams,
    count_steps,
    segment,
)
from bl_steer.analysis.segmentation.model import prepared
from bl_steer.analysis.segmentation.networks import build_network
from bl_steer.analysis.segmentation.tiles import count_tiles, iterate_tiles
from bl_steer.processing.runner import AnalysisRunner
from bl_steer.protocols import Inputs
from bl_steer.session import microscope, open_session

pytestmark = pytest.mark.usefixtures("forked_worker")

torch.manual_seed(0)
MODEL = SegmentationModel(
    prepared(build_network("segnet", 3, widths=(4, 6))), "segnet", (4, 6), FIBSEM_PHASES, 10.0
)
SMALL = Passes(tile_px=128)


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(MODEL.save(tmp_path / "model"))


def noise(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@given(st.integers(1, 300), st.integers(1, 300))
def test_tiles_are_counted_before_they_are_cut(height: int, width: int) -> None:
    class Stub(torch.nn.Module):
        stride, halo = 4, 24

        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([x, x], dim=1)

    network: object = Stub()
    image = np.zeros((height, width), np.float32)
    cut = list(iterate_tiles(network, image, SMALL))  # type: ignore[arg-type]
    assert count_tiles(network, image.shape, SMALL) == len(cut)  # type: ignore[arg-type]


@pytest.mark.parametrize("pixel_size_nm", [None, 15.0])
def test_each_tile_is_a_step(pixel_size_nm: float | None) -> None:
    image, seen = noise(180, 230), list[tuple[int, int]]()
    expected = count_steps(MODEL, image, pixel_size_nm=pixel_size_nm, passes=SMALL)
    followed = segment(
        MODEL,
        image,
        pixel_size_nm=pixel_size_nm,
        passes=SMALL,
        progress=lambda *step: seen.append(step),
    )
    assert expected > 3
    assert seen == [(done, expected) for done in range(1, expected + 1)]
    unfollowed = segment(MODEL, image, pixel_size_nm=pixel_size_nm, passes=SMALL)
    np.testing.assert_array_equal(followed.labels, unfollowed.labels)


def test_the_tiles_of_all_fields_are_counted_together(folder: str) -> None:
    fields = {"large": noise(180, 230), "small": noise(60, 70)}
    seen: list[tuple[int, int]] = []
    SegmentMicrographs().run(
        Inputs(fields),
        SegmentParams(model=folder, tile_px=128),
        lambda *step: seen.append(step),
    )
    total = sum(count_steps(MODEL, image, passes=SMALL) for image in fields.values())
    assert seen == [(done, total) for done in range(1, total + 1)]


def test_comparing_with_the_training_is_part_of_the_progress(tmp_path: Path) -> None:
    nothing = [0.0] * len(ASPECTS)
    known = Acquisition({}, nothing, {"greys": nothing}, {"greys": 1.0}, 20)
    replace(MODEL, card={"conditions": known.to_dict()}).save(tmp_path)
    seen: list[tuple[int, int]] = []
    SegmentMicrographs().run(
        Inputs({"stack": noise(14, 70, 70)}),
        SegmentParams(model=str(tmp_path), tile_px=128),
        lambda *step: seen.append(step),
    )
    assert seen == [(done, 14 + 12) for done in range(1, 14 + 12 + 1)]


class Watching:
    """What a runner tells of its analyses."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, int]] = []
        self.reasons: list[str] = []

    def progress(self, request: Request, done: int, total: int) -> None:
        self.steps.append((done, total))

    def finished(self, request: Request, uid: str, reason: str) -> None:
        self.reasons.append(reason)


def test_the_tiles_are_told_from_the_workers_process(folder: str, tmp_path: Path) -> None:
    watching = Watching()
    instrument = microscope(shape=(180, 180))
    with open_session(instrument, data_dir=tmp_path / "data", progress=False) as session:
        uid, _ = session.run(session.take_micrographs(fields=[(0.0, 0.0), (20.0, 0.0)]))
        runner = AnalysisRunner(session.store, watch=watching)
        runner.submit(Request(uid, "segment", {"model": folder, "tile_px": 128})).result(300.0)
        runner.close()
    assert watching.reasons == [""]
    total = 2 * count_tiles(MODEL.network, (180, 180), SMALL)
    assert total > 4
    assert watching.steps == [(done, total) for done in range(1, total + 1)]
