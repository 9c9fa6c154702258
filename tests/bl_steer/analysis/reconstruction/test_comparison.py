"""Methods beside each other, on stacks whose volume and areas are known."""

from __future__ import annotations

import numpy as np
import pytest

from bl_steer.analysis.reconstruction.comparison import (
    Reconstruction,
    compare,
    lanczos_labels,
    thin_features,
)
from bl_steer.analysis.reconstruction.depths import EvenDepths
from bl_steer.analysis.reconstruction.measures import ALONE, CONVENTIONAL, SUPERRESOLVED
from bl_steer.stages import Stages

NAMES = ("oxide", "carbon", "void")
FACTOR, N, EDGE = 4, 9, 40


def ramp() -> np.ndarray:
    """Return layers of three phases that lie aslant, (33, 40, 40): z + x decides."""
    z, x = np.arange((N - 1) * FACTOR + 1)[:, None, None], np.arange(EDGE)[None, None]
    return np.broadcast_to((z + x) // 24 % 3, (33, EDGE, EDGE)).astype(np.uint8)


@pytest.fixture(scope="module")
def made() -> Reconstruction:
    truth = ramp()
    labels = np.ascontiguousarray(truth[::FACTOR])
    grey = np.array([200, 120, 40], np.uint8)[labels]
    depths = EvenDepths.of(40.0 * np.arange(N), FACTOR)
    return Reconstruction(grey, labels, truth, depths, 10.0, NAMES)


def test_thick_slabs_have_steps_and_so_more_area(made: Reconstruction) -> None:
    tables = compare(made, blocks=1, seed=0, stages=Stages((), {}, None)).tables
    table = tables["table_2"]
    ratio = table["ratio_to_conventional"]
    ours = (table["method"] == SUPERRESOLVED) & (table["quantity"] == "oxide – carbon")
    assert 0.5 < ratio[ours][0] < 0.95
    # Slices as voxels of their true shape have no steps to count.
    alone = (table["method"] == ALONE) & (table["quantity"] == "oxide – carbon")
    assert table["area_um2"][alone][0] == pytest.approx(table["area_um2"][ours][0], rel=0.15)
    volumes = tables["table_1"]
    of = volumes["method"] == SUPERRESOLVED
    assert volumes["volume_um3"][of].sum() == pytest.approx(33 * EDGE * EDGE * 1e-6)
    assert set(np.unique(volumes["method"])) == {CONVENTIONAL, "Lanczos", SUPERRESOLVED}


def test_lanczos_makes_false_carbon_between_oxide_and_void(made: Reconstruction) -> None:
    sides = np.where(np.arange(EDGE) < EDGE // 2, 0, 2).astype(np.uint8)
    labels = np.broadcast_to(sides, (N, EDGE, EDGE)).copy()
    labels[:, :4] = 1  # some carbon, so that its grey level is known
    grey = np.array([200, 120, 40], np.uint8)[labels]
    volume = lanczos_labels(grey, labels, made.depths)
    assert volume.shape == (33, EDGE, EDGE)
    edge = volume[:, 8:, EDGE // 2 - 2 : EDGE // 2 + 2]
    assert (edge == 1).mean() > 0.2
    far = volume[:, 8:, :10]
    assert (far == 0).all()


def test_thin_features_are_those_below_the_pitch(made: Reconstruction) -> None:
    labels = np.zeros((N, EDGE, EDGE), np.uint8)
    labels[:, :, 10:12] = 1  # a film of two pixels, pitch is four
    labels[:, :, 20:30] = 2
    film = Reconstruction(made.slices, labels, made.volume, made.depths, 10.0, NAMES)
    share = dict(zip(*(thin_features(film)[key] for key in ("phase", "share")), strict=True))
    assert share["carbon"] == 1.0
    assert share["void"] == 0.0
    (warning,) = [w for w in compare_warnings(film) if "thinner than the pitch" in w]
    assert "100 % of carbon" in warning


def compare_warnings(made: Reconstruction) -> tuple[str, ...]:
    return compare(made, blocks=1, seed=0, stages=Stages((), {}, None)).warnings
