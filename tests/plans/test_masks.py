"""A mask of the detector's pixels, given to a plan whose frames are on axes already."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bl_steer.runs import Run
from bl_steer.steering import ResumeError, differences
from plans import find_hotspot, map_sample
from simulators.film import SigeFilm, SimulatedBeamline

GRID = {axis: {"start": 0, "stop": 150, "num": 6} for axis in "xy"}
SHAPE = (33, 33)
MASK = np.zeros(SHAPE, dtype=bool)
MASK[20:25, 3:9] = True
"""Where the film's Si-rich peak is."""


@pytest.fixture
def beamline(tmp_path: Path) -> SimulatedBeamline:
    return SimulatedBeamline(SigeFilm("smooth", seed=1), frames_dir=tmp_path / "frames")


def steered(RE: Any, documents: Any, beamline: SimulatedBeamline, **options: Any) -> Run:
    options = {"monitor": beamline.monitor, "target": "total", "budget": 8, **options}
    if "resumes" not in options:
        options["grid"] = GRID
    RE(find_hotspot(beamline.det, beamline.stage, **options))
    run: Run = documents.run
    return run


@pytest.mark.parametrize("written", ["array", "npy", "npz", "tif"])
def test_masked_pixels_do_not_count_and_are_stored_with_the_run(
    written: str, RE: Any, documents: Any, beamline: SimulatedBeamline, tmp_path: Path
) -> None:
    mask: Any = MASK
    if written != "array":
        mask = tmp_path / f"mask.{written}"
        if written == "npy":
            np.save(mask, MASK)
        elif written == "npz":
            np.savez(mask, mask=MASK.astype(np.uint8), other=np.zeros(3))
        else:
            tifffile = pytest.importorskip("tifffile")
            tifffile.imwrite(mask, MASK.astype(np.uint8))
    run = steered(RE, documents, beamline, mask=mask)
    patterns = run.patterns().reshape(-1, *SHAPE)
    np.testing.assert_array_equal(np.isnan(patterns), np.broadcast_to(MASK, patterns.shape))
    counts = np.asarray(run.frames, dtype=float).sum(axis=1)
    shares = [result.masked_share for result in run.results()]
    np.testing.assert_allclose(shares, counts[:, MASK].sum(axis=1) / counts.sum(axis=(1, 2)))
    expected = np.where(MASK, 0.0, counts).sum(axis=(1, 2))
    scale = run.steering["nominal_counts"] / run.primary["monitor_counts"]
    np.testing.assert_allclose(run.decisions["outcomes"][-1][:7], (expected * scale)[:7])
    assert run.steering["mask"]["n_masked"] == MASK.sum()
    assert differences(run) == ([], [])


def test_verifying_compares_what_was_left_out(
    RE: Any, documents: Any, beamline: SimulatedBeamline
) -> None:
    run = steered(RE, documents, beamline, mask=MASK)
    table = run.streams["masks"]
    other = {**table, "n_left_out": np.array(table["n_left_out"]) + 1}
    changed = replace(run, streams={**run.streams, "masks": other}, _results=[])
    assert differences(changed).masks == np.array(table["points"]).tolist()
    assert differences(changed).decisions == []
    without = {name: rows for name, rows in run.streams.items() if name != "masks"}
    assert differences(replace(run, streams=without)).masks
    forgotten = {k: v for k, v in run.steering.items() if k != "mask"}
    start = {**run.start, "steering": forgotten}
    assert differences(replace(run, start=start, _results=[])).decisions


def test_a_resumed_run_keeps_the_mask(RE: Any, documents: Any, beamline: SimulatedBeamline) -> None:
    first = steered(RE, documents, beamline, mask=MASK, budget=4)
    with pytest.raises(ResumeError, match="mask must be that of the run to resume"):
        steered(RE, documents, beamline, mask=~MASK, resumes=first, budget=7)
    second = steered(RE, documents, beamline, resumes=first, budget=7)
    assert second.steering["mask"] == first.steering["mask"]
    assert differences(second.carrying_on(first)) == ([], [])


def test_a_map_takes_the_mask_too(RE: Any, documents: Any, beamline: SimulatedBeamline) -> None:
    RE(map_sample(beamline.det, beamline.stage, mask=MASK, points=[[0, 0], [75, 75]]))
    assert np.isnan(documents.run.patterns().reshape(2, *SHAPE)[:, MASK]).all()


def test_the_share_of_masked_counts_is_told(
    RE: Any, documents: Any, beamline: SimulatedBeamline, caplog: pytest.LogCaptureFixture
) -> None:
    run = steered(RE, documents, beamline, mask=np.indices(SHAPE)[1] < 16, budget=3)
    share = 100.0 * run.results()[0].masked_share
    assert share > 1.0
    assert f"{share:.1f} % of the counts of a point of det lie in pixels of the mask" in caplog.text


@pytest.mark.parametrize(
    ("mask", "problem"),
    [
        (np.ones(SHAPE, bool), "must leave pixels"),
        (np.zeros(5), r"must be an array \(rows, columns\)"),
        (np.full(SHAPE, np.nan), r"must be an array \(rows, columns\)"),
        ("nowhere.npy", "the file of a mask must exist"),
        (np.zeros((4, 4), bool), "the mask must have the shape"),
    ],
)
def test_what_is_no_mask_of_the_frames_is_refused(
    mask: Any, problem: str, beamline: SimulatedBeamline, RE: Any
) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=problem):
        RE(find_hotspot(beamline.det, beamline.stage, mask=mask, grid=GRID, budget=3))
    assert beamline.clock.elapsed_s == 0.0, "before anything moves"
