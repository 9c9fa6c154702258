"""The analysis ``structure``, and its command on files."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from bl_steer.analysis import digest_of, find_analysis, make_params
from bl_steer.analysis.structure import LabelVolume
from bl_steer.cli import main
from bl_steer.files.volumes import write_volume
from bl_steer.protocols import Inputs
from bl_steer.runs import Run
from bl_steer.runs.frames import Frames, FrameSource
from simulators.electron.phantoms import grains

PHASES = "oxide,carbon,void"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a volume in every form, and some that are none."""
    monkeypatch.chdir(tmp_path)
    labels = grains((18, 24, 26))
    tifffile.imwrite("v.tif", labels, compression="zlib")
    Path("slices").mkdir()
    for z, plane in enumerate(labels):
        tifffile.imwrite(f"slices/s{z}.tif", plane)
    Path("empty").mkdir()
    np.save("v.npy", labels)
    np.savez("v.npz", labels=labels, voxel_size_nm=[20.0, 10.0, 10.0])
    zarr.save_array("v.zarr", labels)
    tifffile.imwrite("rgb.tif", np.eye(24, 3, dtype=np.uint8)[:, None], photometric="rgb")
    np.save("float.npy", labels + 0.25)
    np.save("grey.npy", np.arange(512, dtype=np.uint8).reshape(8, 8, 8))
    np.save("grey16.npy", np.arange(512, dtype=np.uint16).reshape(8, 8, 8))
    np.save("one.npy", np.zeros((8, 8, 8), np.uint8))
    np.save("big.npy", labels.astype(np.int32) * 400)
    np.savez("two.npz", a=labels, b=labels)
    Path("broken.tif").write_bytes(b"II*\0nothing")
    return tmp_path


def test_every_form_of_a_volume_gives_one_digest(place: Path) -> None:
    digests = set()
    for file in ("v.tif", "v.npy", "v.zarr", "slices"):
        command = f"structure {file} --voxel-nm 20,10,10 --phases {PHASES} --json r.json"
        assert main(command.split()) == 0
        digests.add(json.loads(Path("r.json").read_text())["digest"])
    assert main(f"structure v.npz --phases {PHASES} --json r.json".split()) == 0
    digests.add(json.loads(Path("r.json").read_text())["digest"])
    assert len(digests) == 1


def test_the_command_prints_amounts_and_writes_tables_and_figures(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = (
        f"structure v.tif --voxel-nm 20,10,10 --phases {PHASES} --directions 49 --interval-blocks 2"
    )
    assert main([*command.split(), "--out", "out", "--json", "r.json"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"oxide–carbon +\S+ µm² +\(\S+ … \S+\)  if flat", printed)
    assert re.search(r"oxide–carbon–void +\S+ µm ", printed)
    report = json.loads(Path("r.json").read_text())
    assert report["directions"] == 49
    assert sum(report["volumes"]["fraction"]) == pytest.approx(1)
    assert sum(report["volumes"]["volume_um3"]) == pytest.approx(18 * 24 * 26 * 2e-6)
    with Path("out/areas.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["phase_a"], row["phase_b"]) for row in rows] == [
        ("oxide", "carbon"),
        ("oxide", "void"),
        ("carbon", "void"),
    ]
    for row, area in zip(rows, report["areas"]["area_um2"], strict=True):
        assert float(row["area_low_um2"]) < float(row["area_um2"]) < float(row["area_high_um2"])
        assert float(row["area_um2"]) == area
    for figure in ("structure", "isotropy"):
        assert Path(f"out/{figure}.png").stat().st_size > 10_000


BAD = [
    ("v.tif", "a voxel must have three positive edges z, y, x in nm, got nothing"),
    ("v.tif --voxel-nm 20,10", "--voxel-nm: must be Z,Y,X, got '20,10'"),
    ("v.tif --voxel-nm 20,10,-1", "three positive edges z, y, x in nm, got 20, 10, -1"),
    ("v.tif --voxel-nm 20,0,1", "three positive edges z, y, x in nm, got 20, 0, 1"),
    ("rgb.tif --voxel-nm 1,1,1", "rgb.tif must hold one value a pixel, got colours"),
    ("float.npy --voxel-nm 1,1,1", "labels must be whole numbers 0 … 255, .* got float64"),
    ("big.npy --voxel-nm 1,1,1", "labels must be whole numbers 0 … 255, got 0 … 800"),
    ("grey.npy --voxel-nm 1,1,1", "256 different values 0 … 255, as grey levels have; segment the"),
    ("grey.npy --voxel-nm 1,1,1 --phases a,b", "256 different values 0 … 255, as grey levels have"),
    ("grey16.npy --voxel-nm 1,1,1", "got 0 … 511; segment grey levels first"),
    ("float.npy --voxel-nm 1,1,1", "got float64; segment the grey values first"),
    ("v.tif --voxel-nm 1e-9,10,10", "differ by a factor of 1000 at most, got 1e-09, 10, 10 nm"),
    ("v.tif --voxel-nm nan,1,1", "three positive edges z, y, x in nm, got nan, 1, 1"),
    ("v.tif --voxel-nm a,b,c", "--voxel-nm: must be Z,Y,X, got 'a,b,c'"),
    ("v.tif --voxel-nm 1,1,1 --max-lag-nm inf", "--max-lag-nm: must be a finite number, got 'inf'"),
    ("one.npy --voxel-nm 1,1,1", "must hold two to 16 phases .* got 1 in the volume"),
    ("v.tif --voxel-nm 1,1,1 --phases a,b", r"a named phase \(0:a, 1:b\), got 2 in the volume"),
    ("v.tif --voxel-nm 1,1,1 --phases a,,b", "phases must be NAME,NAME,… .* got ''"),
    ("v.tif --voxel-nm 1,1,1 --phases a,b,a", "phases of different names"),
    (
        "v.tif --voxel-nm 1,1,1 --interval-blocks 0",
        "--interval-blocks: must be greater than or equal to 1, got '0'",
    ),
    ("two.npz --voxel-nm 1,1,1", r"one array of three axes, or labels, got 'a', 'b'"),
    ("nothing.tif --voxel-nm 1,1,1", "got 'nothing.tif', which does not exist"),
    ("empty --voxel-nm 1,1,1", r"JPEG or npy\), got none in empty; put them there"),
    ("broken.tif --voxel-nm 1,1,1", "must be whole and readable, got 'broken.tif'"),
    ("v.tif --voxel-nm 1,1,1 --out v.npy", "must go to a folder, got the file v.npy"),
]


@pytest.mark.parametrize(("command", "text"), BAD, ids=[command for command, _ in BAD])
def test_bad_input_is_one_line_and_status_2(
    place: Path, capsys: pytest.CaptureFixture[str], command: str, text: str
) -> None:
    assert main(["structure", "--out", "out", *command.split()]) == 2
    assert not Path("out").exists()
    lines = [line for line in capsys.readouterr().err.splitlines() if "bl-steer: " in line]
    assert len(lines) == 1
    assert re.search(text, lines[0])


def test_png_slices_are_measured_and_a_gap_among_them_is_told(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("pngs").mkdir()
    for z, plane in enumerate(grains((18, 24, 26))):
        Image.fromarray(plane).save(f"pngs/s{z + (z > 8)}.png")
    assert main(["structure", "pngs", "--voxel-nm", "20,10,10"]) == 0
    told = capsys.readouterr().out
    assert "warning: the names of the slices in pngs lack the number 9:" in told
    assert "18 × 24 × 26 voxels" in told


def test_progress_goes_to_its_end_and_metadata_name_voxel_and_phases() -> None:
    labels = grains((18, 24, 26))
    told = {"voxel_size_nm": [20.0, 10.0, 10.0], "phases": ["oxide", "carbon", "void"]}
    analysis = find_analysis("structure")
    seen: list[tuple[int, int]] = []
    result = analysis.run(
        Inputs({"labels": labels}, told), make_params(analysis), lambda *step: seen.append(step)
    )
    assert seen == sorted(seen)
    assert seen[-1] == (162, 162)
    assert result.tables["volumes"]["phase"].tolist() == ["oxide", "carbon", "void"]
    given = {"voxel_size_nm": (20, 10, 10), "phases": PHASES}
    by_params = analysis.run(Inputs({"labels": labels}), make_params(analysis, given))
    assert digest_of(by_params) == digest_of(result)
    other = make_params(analysis, {**given, "edge_correction": False})
    assert digest_of(analysis.run(Inputs({"labels": labels}), other)) != digest_of(result)


def test_a_run_of_label_maps_is_measured_and_one_without_frames_refused(tmp_path: Path) -> None:
    labels = grains((12, 14, 16))
    with h5py.File(tmp_path / "frames.h5", "w") as file:
        file["labels"] = labels[:, None]
    source = FrameSource(tmp_path / "frames.h5", "labels")
    frames = Frames([(source, z) for z in range(12)], shape=(1, 14, 16), dtype=np.uint8)
    start = {"uid": "abc", "conditions": {"voxel_size_nm": [20, 10, 10], "staining": "none"}}
    analysis = find_analysis("structure")
    inputs = analysis.inputs_of(Run(start, None, {}, frames=frames))
    np.testing.assert_array_equal(inputs.arrays["labels"], labels)
    assert inputs.metadata == {"voxel_size_nm": [20, 10, 10]}
    assert inputs.source == {"run": "abc"}
    with pytest.raises(ValueError, match="whose frames are label maps, got run abc without frames"):
        analysis.inputs_of(Run(start, None, {}))


@pytest.mark.parametrize(("voxel", "asked"), [("10,10,100", 1), ("5,10,10", 1), ("9.9,10,10", 0)])
def test_the_order_of_a_voxel_thinner_than_wide_is_told(
    place: Path, capsys: pytest.CaptureFixture[str], voxel: str, asked: int
) -> None:
    assert main(["structure", "v.tif", "--voxel-nm", voxel]) == 0
    assert capsys.readouterr().out.count("the order is Z,Y,X") == asked


def test_results_among_the_slices_are_refused(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(Path("slices").iterdir())
    assert main(["structure", "slices", "--voxel-nm", "20,10,10", "--out", "slices/../slices"]) == 2
    assert "apart from the stack slices" in capsys.readouterr().err
    assert sorted(Path("slices").iterdir()) == before


def test_the_voxel_of_a_super_resolved_volume_is_taken(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_volume(Path("volume"), grains((18, 24, 26)), (20, 10, 10))
    assert main(["structure", "volume.tif", "--json", "r.json"]) == 0
    assert json.loads(Path("r.json").read_text())["voxel_size_nm"] == [20, 10, 10]


def test_what_intervals_cannot_say_is_a_warning() -> None:
    analysis = find_analysis("structure")
    params = make_params(analysis, {"voxel_size_nm": (1, 1, 1)})
    small = analysis.run(Inputs({"labels": grains((10, 12, 14))}), params)
    assert any(
        line.startswith("no intervals") and "got 1 × 1 × 1 along z, y and x in the volume" in line
        for line in small.warnings
    )
    assert np.isnan(small.tables["areas"]["area_low_um2"]).all()
    assert not any("meant in µm" in line for line in small.warnings)
    wrong = make_params(analysis, {"voxel_size_nm": (0.1, 0.01, 0.01)})
    asked = analysis.run(Inputs({"labels": grains((10, 12, 14))}), wrong).warnings[0]
    assert asked.startswith("voxels of 0.1 × 0.01 × 0.01 nm are smaller")
    thin = grains((40, 40, 40), width=6.0)
    thin[::8] = 3
    noted = analysis.run(Inputs({"labels": thin}), params).warnings
    assert any("phase 3 is barely resolved" in line for line in noted)
    with pytest.raises(ValueError, match=r"on the array labels, got \['field'\]"):
        analysis.run(Inputs({"field": thin}), params)


def test_phases_that_never_occur_have_no_volume() -> None:
    labels = grains((12, 12, 12), n_phases=2)
    named = LabelVolume.of(labels, (1, 1, 1), {0: "a", 1: "b", 7: "rare"})
    assert named.fractions[2] == 0
    assert named.phases == ("a", "b", "rare")
