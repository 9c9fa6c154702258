"""``bl-steer find --mask``: pixels of a file are left out of the run that it steers."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from bl_steer.cli import main
from bl_steer.runs import open_run
from bl_steer.store import Store

FIND = ["find", "--sample", "smooth", "--agent", "random", "--budget", "3", "--target", "total"]


def test_the_mask_of_a_file_is_that_of_the_run(tmp_path: Path) -> None:
    mask = np.zeros((33, 33), dtype=bool)
    mask[4:7, 20] = True
    np.save(tmp_path / "mask.npy", mask)
    data = ["--data", str(tmp_path / "data")]
    assert main([*FIND, *data, "--mask", str(tmp_path / "mask.npy")]) == 0
    with Store.open_existing(tmp_path / "data") as store:
        run = open_run(store, -1)
        np.testing.assert_array_equal(np.isnan(run.patterns()), np.tile(mask.ravel(), (3, 1)))


@pytest.mark.parametrize(
    ("mask", "text"),
    [(np.zeros((3, 3)), r"shape \(33, 33\)"), (np.ones((33, 33)), "a mask must leave pixels")],
)
def test_a_mask_that_cannot_be_is_refused_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mask: np.ndarray, text: str
) -> None:
    np.save(tmp_path / "mask.npy", mask)
    arguments = ["--data", str(tmp_path / "data"), "--mask", str(tmp_path / "mask.npy")]
    assert main([*FIND, *arguments]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
    assert re.search(text, line)
