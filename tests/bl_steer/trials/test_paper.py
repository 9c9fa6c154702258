"""Figures 2, 3 and 5 of ``bl-steer paper``, on small fields."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bl_steer.analysis.segmentation import find_model
from bl_steer.trials import paper


@pytest.fixture(autouse=True)
def small_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paper, "SHAPE", (160, 160))
    monkeypatch.setattr(paper, "FIELDS_UM", ((0.0, 0.0), (40.0, 0.0)))


def colours_of(figure: Path) -> set[tuple[int, ...]]:
    with Image.open(figure) as image:
        return {tuple(rgb) for rgb in np.unique(np.asarray(image)[..., :3].reshape(-1, 3), axis=0)}


def phase_colours() -> set[tuple[int, ...]]:
    return {tuple(phase.show) for phase in find_model("fibsem").phases}


def test_figure_2_segments_an_unseen_specimen_of_each_family(tmp_path: Path) -> None:
    report = paper.figure_2(seed=0, figure=tmp_path / "figure_2.png")
    assert set(report["miou"]) == {"grains", "network"}
    for miou, low, high in report["miou"].values():
        assert low <= miou <= high
        assert miou > 0.8  # of fields with a tenth of the usual pixels
    assert colours_of(tmp_path / "figure_2.png") >= phase_colours()


def test_figure_3_gives_the_phase_fractions_of_a_specimen_beside_the_truth(tmp_path: Path) -> None:
    report = paper.figure_3(seed=0, figure=tmp_path / "figure_3.png")
    assert sum(report["true_fraction"].values()) == pytest.approx(1.0)
    for name, (share, low, high) in report["fraction"].items():
        assert low <= share <= high
        assert share == pytest.approx(report["true_fraction"][name], abs=0.05)
    assert colours_of(tmp_path / "figure_3.png") >= phase_colours()


def test_figure_5_comes_with_tables_1_and_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = {"factor": 2, "steps": 2, "blocks": 1, "channels": 4, "check": False}
    monkeypatch.setattr(paper, "CHAIN", quick)
    monkeypatch.setattr(paper, "N_SLICES", 10)
    monkeypatch.setattr(paper, "EDGE_PX", 224)
    report = paper.figure_5(seed=0, out=tmp_path, data_dir=tmp_path / "data", scale=0.5)
    assert colours_of(tmp_path / "figure_5.png") >= phase_colours()
    for name, key, n_methods in (("table_1", "volume_um3", 4), ("table_2", "area_um2", 5)):
        rows = (tmp_path / f"{name}.csv").read_text().splitlines()
        assert len(rows) == 1 + 3 * n_methods
        assert key in rows[0]
    assert report["n_recorded"] + report["n_missing"] == 5


def test_a_box_too_small_to_learn_from_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"scale must lie within 0\.12 … 1, got 0\.01"):
        paper.draw_paper(seed=0, out=tmp_path, data_dir=tmp_path, scale=0.01)
