"""Recorded runs as maps: from their documents in files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bl_steer.analysis.rsm import ReciprocalSpaceMap, RsmParams, inputs_from_files
from bl_steer.diffraction.recorded import mask_record
from tests.bl_steer.analysis.rsm.recorded import documents, lines, packed

REAL = Path(__file__).parents[5] / "shared" / "data" / "documents" / "aps_usaxs_10runs.jsonl"


@pytest.mark.parametrize("write", [lines, packed])
def test_documents_in_a_file_tell_counts_angles_energy_and_hkl(write, tmp_path):
    inputs = inputs_from_files([write(tmp_path / "run", documents())])
    assert inputs.arrays["counts"].tolist() == [10, 11, 12, 13, 14]
    assert inputs.arrays["two_theta"].tolist() == [87, 87.5, 88, 88.5, 89]
    assert inputs.metadata["hkl"] == [2, 2, 4]
    assert inputs.metadata["q_hkl"] == pytest.approx(2 * np.pi * np.sqrt(24) / 5.43104)
    assert not inputs.notes
    ReciprocalSpaceMap().run(inputs, RsmParams())


def test_a_recorded_energy_that_contradicts_ub_and_two_theta_is_refused(tmp_path):
    inputs = inputs_from_files([lines(tmp_path / "run", documents(energy=11.283))])
    with pytest.raises(ValueError, match=r"got 11\.28 keV where hkl and two-theta tell 8\.\d+"):
        ReciprocalSpaceMap().run(inputs, RsmParams())


def test_an_aborted_run_is_mapped_as_far_as_it_got_and_said(tmp_path):
    inputs = inputs_from_files([lines(tmp_path / "run", documents(n=3, status="abort"))])
    assert len(inputs.arrays["counts"]) == 3
    (note,) = inputs.notes
    assert note == "the run did not end well (abort: Ctrl-C); the map holds 3 of 5 points"


def test_a_run_without_points_and_broken_files_are_one_line(tmp_path):
    cases = {
        r"must hold points, got none \(abort: Ctrl-C\)": documents(n=0, status="abort"),
        "must hold one run, got 2 start documents": [*documents(), *documents()],
        "must hold one run, got 0 start documents": list(documents())[1:],
    }
    for told, items in cases.items():
        with pytest.raises(ValueError, match=told) as refusal:
            inputs_from_files([lines(tmp_path / "run", items)])
        assert len(str(refusal.value)) <= 300
    whole = lines(tmp_path / "run", documents()).read_text()
    (tmp_path / "cut").write_text(whole[:-40])
    with pytest.raises(ValueError, match="a document a line, got a fault in line 8"):
        inputs_from_files([tmp_path / "cut"])


def test_real_runs_without_circles_are_refused_one_by_one(tmp_path):
    if not REAL.exists():
        pytest.skip("the real documents are not at ../shared/data/documents")
    with pytest.raises(ValueError, match="got 10 start documents"):
        inputs_from_files([REAL])
    runs = []
    for line in REAL.read_text().splitlines():
        if json.loads(line)["name"] == "start":
            runs.append([])
        runs[-1].append(line)
    for number, run in enumerate(runs):
        path = tmp_path / f"run_{number}.jsonl"
        path.write_text("\n".join(run))
        with pytest.raises(ValueError, match=" must ") as refusal:
            inputs_from_files([path])
        assert len(str(refusal.value)) <= 300
        assert "\n" not in str(refusal.value)


def test_a_gap_stays_a_gap_where_the_frames_of_a_point_are_added_up(tmp_path):
    frames = np.arange(24, dtype=np.uint32).reshape(2, 3, 4)
    frames[0, 1, 1] = 2**32 - 1
    array = {b"nd": True, b"type": "<u4", b"data": frames.tobytes(), b"shape": [2, 3, 4]}
    key = {"source": "sim", "dtype": "array", "shape": [2, 3, 4]}
    items = [(name, dict(doc)) for name, doc in documents()]
    for name, doc in items:
        if name == "start":
            doc["detectors"] = ["det"]
        elif name == "descriptor":
            doc["data_keys"] = doc["data_keys"] | {"det": key}
        elif name == "event":
            doc["data"]["det"] = array
            doc["timestamps"] = doc["timestamps"] | {"det": 0.0}
    inputs = inputs_from_files([packed(tmp_path / "run", items)])
    expected = frames.sum(axis=0, dtype=float)
    expected[1, 1] = np.nan
    assert len(inputs.arrays["counts"]) == 5
    np.testing.assert_array_equal(inputs.arrays["counts"][2], expected)
    assert inputs.notes == ["2 frames a point are added up"]


def test_the_mask_of_a_steered_run_is_that_of_its_map(tmp_path):
    mask = np.zeros((3, 4), dtype=bool)
    mask[1, 2] = True
    (_, start), (_, descriptor), *rest = documents()
    frames = {"source": "sim", "dtype": "array", "shape": [3, 4]}
    descriptor = descriptor | {"data_keys": {**descriptor["data_keys"], "counter": frames}}
    seen = {"counter": np.ones((3, 4)).tolist()}
    events = [
        (name, item | {"data": item["data"] | seen} if name == "event" else item)
        for name, item in rest
    ]
    for record, told in ((mask, 0), (mask[:2], 1)):
        steered = start | {"steering": {"mask": mask_record(record)}}
        items = [("start", steered), ("descriptor", descriptor), *events]
        inputs = inputs_from_files([lines(tmp_path / "run", items)])
        assert len(inputs.notes) == told
        assert ("mask" in inputs.arrays) == (not told)
    assert inputs.notes[0].startswith("the run's mask of shape (2, 4) is left out")
