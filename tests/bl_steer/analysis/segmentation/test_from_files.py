from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from bl_steer.analysis.segmentation import (
    FIBSEM_PHASES,
    SegmentationModel,
    from_files,
    from_zarr,
    inputs_from_files,
    paint,
)
from bl_steer.analysis.segmentation.training import Labelled
from bl_steer.cli import main
from bl_steer.files import read_micrographs


@pytest.fixture
def workdir(
    model: SegmentationModel,
    pairs: list[Labelled],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A folder with a model, pairs of four samples, and a stack; the working directory."""
    monkeypatch.chdir(tmp_path)
    model.save("model")
    for part in ("images", "masks"):
        (tmp_path / "pairs" / part).mkdir(parents=True)
    for number, (image, labels) in enumerate(pairs):
        tifffile.imwrite(f"pairs/images/s{number}_0.tif", image)
        Image.fromarray(paint(image, labels, FIBSEM_PHASES)).save(f"pairs/masks/s{number}_0.png")
    zarr.save_array("stack.zarr", np.stack([image for image, _ in pairs[:2]]))
    return tmp_path


def test_files_and_folders_become_fields_in_order(tmp_path: Path) -> None:
    for number in (2, 10):
        Image.fromarray(np.full((8, 9), number, np.uint8)).save(tmp_path / f"slice_{number}.png")
    alone = tmp_path.parent / f"{tmp_path.name}.tif"
    tifffile.imwrite(alone, np.full((2, 7, 8), 3, np.uint16), photometric="minisblack")
    inputs = inputs_from_files([tmp_path, alone], {"pixel_size_nm": 5.0})
    assert [int(array[0, 0]) for array in inputs.arrays.values()] == [2, 10, 3, 3]
    assert list(inputs.arrays) == ["field_000", "field_001", "field_002", "field_003"]
    assert inputs.metadata["pixel_size_nm"] == [5.0] * 4


def test_masks_beside_their_micrographs_are_left_out_and_told(tmp_path: Path) -> None:
    for name in ("a.png", "a_mask.png", "b_mask.png"):
        Image.fromarray(np.full((8, 9), 1, np.uint8)).save(tmp_path / name)
    inputs = inputs_from_files([tmp_path])
    assert [Path(file).name for file in inputs.source["files"]] == ["a.png", "b_mask.png"]
    assert any(
        "1 masks" in note and "a_mask.png, are not segmented" in note for note in inputs.notes
    )


def test_one_image_in_two_forms_is_told(tmp_path: Path) -> None:
    for name in ("a.png", "A.jpg", "b.png"):
        Image.fromarray(np.full((8, 9), 1, np.uint8)).save(tmp_path / name)
    (note,) = inputs_from_files([tmp_path]).notes
    assert note.startswith(f"'A.jpg', 'a.png' in {tmp_path.name} differ in their endings alone")


def test_a_file_that_is_given_twice_is_read_once_and_told(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        Image.fromarray(np.full((8, 9), 1, np.uint8)).save(tmp_path / name)
    again = [tmp_path / "a.png", tmp_path / ".." / tmp_path.name / "a.png", tmp_path]
    inputs = inputs_from_files(again)
    assert [Path(file).name for file in inputs.source["files"]] == ["a.png", "b.png"]
    assert inputs.notes == ["a.png was given 3 times: it is read and counted once."]


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must hold images, got none"):
        inputs_from_files([tmp_path])
    (tmp_path / "inner").mkdir()
    with pytest.raises(ValueError, match="folders in it, such as inner, are given by themselves"):
        inputs_from_files([tmp_path])


@pytest.mark.parametrize("size", ["abc", -3.0, 0.0, float("nan")])
def test_a_pixel_size_that_is_none_is_refused(tmp_path: Path, size: object) -> None:
    with pytest.raises(ValueError, match="pixel_size_nm must be a positive number of nm, got"):
        inputs_from_files([tmp_path], {"pixel_size_nm": size})


def test_bad_files_are_left_out_by_name_or_told_all_at_once(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.tif").write_bytes(b"no image")
    np.save(tmp_path / "good.npy", np.zeros((8, 8), np.uint8))
    told = "must be a TIFF, PNG, BMP, JPEG or npy file"
    with pytest.raises(ValueError, match=rf"got 2 that are not: a\.tif and 1 more {told}"):
        inputs_from_files([tmp_path], every=True)
    inputs = inputs_from_files([tmp_path])
    assert (list(inputs.arrays), inputs.source["left_out"]) == (["field_000"], ["a.tif", "b.tif"])
    assert [note[:16] for note in inputs.notes] == ["left out: a.tif ", "left out: b.tif "]
    with pytest.raises(ValueError, match=r"a\.tif must be"):
        inputs_from_files([tmp_path / "a.tif"])


def test_run_writes_label_maps_tables_and_figures(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = "segment run pairs/images --model model --out out --json r.json --tile-px 128"
    assert main(command.split()) == 0
    report = json.loads((workdir / "r.json").read_text())
    assert report["n_fields"] == 4
    assert sum(report["sample"]["fraction"]) == pytest.approx(1)
    assert all(Path(path).is_file() for path in report["files"])
    assert tifffile.imread("out/field_000_labels.tif").shape == (96, 112)
    assert report["digest"] in capsys.readouterr().out


def test_label_maps_keep_the_pixel_size_of_their_own_file(workdir: Path) -> None:
    image = tifffile.imread("pairs/images/s0_0.tif")
    for name, size_nm in (("a", 10.0), ("b", 12.5), ("c", None)):
        edges = {} if size_nm is None else {"resolution": (1e7 / size_nm,) * 2}
        unit = "NONE" if size_nm is None else "CENTIMETER"
        tifffile.imwrite(f"{name}.tif", image, resolutionunit=unit, **edges)
    files = [Path(f"{name}.tif") for name in "abc"]
    from_files.run(files, params={"model": "model"}, metadata={}, out=Path("out"))
    maps = [read_micrographs(f"out/field_00{number}_labels.tif") for number in range(3)]
    assert [one.pixel_size_nm for one in maps] == [10.0, 12.5, None]
    assert {one.fields[0].shape for one in maps} == {image.shape}


def test_progress_goes_on_while_files_are_written(workdir: Path) -> None:
    steps: list[tuple[int, int]] = []
    report = from_files.run(
        [Path("pairs/images")],
        params={"model": "model", "tile_px": 128},
        metadata={},
        out=Path("out"),
        writing=lambda *step: steps.append(step),
    )
    n = len(report["files"]) - 1  # the list of the fields comes last
    assert n == 2 + 3 * 4  # tables; labels, uncertainty and figure of each field
    assert steps == [(done, n) for done in range(1, n + 1)]


def test_run_names_the_file_of_each_field_and_what_is_left_of_an_earlier_result(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["segment", "run", "pairs/images", "--model", "model", "--out", "out"]) == 0
    assert "earlier result" not in capsys.readouterr().out
    rows = (workdir / "out" / "fields.csv").read_text().splitlines()
    assert rows[0] == "field,file,pixel_size_nm"
    assert [row.split(",")[0] for row in rows[1:]] == [f"field_{n:03d}" for n in range(4)]
    assert rows[2].split(",")[1].endswith("s1_0.tif")
    shares = (workdir / "out" / "fractions.csv").read_text().splitlines()
    assert shares[0].startswith("field,file,phase,fraction,")
    assert shares[4].startswith("field_001,s1_0.tif,oxide,")
    assert (
        main(["segment", "run", "pairs/images/s3_0.tif", "--model", "model", "--out", "out"]) == 0
    )
    assert "9 files of an earlier result, such as field_001" in capsys.readouterr().out


def test_images_that_cannot_be_segmented_are_named_and_the_others_done(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = np.full((64, 64), 0.5, np.float32)
    broken[3, 4] = np.nan
    tifffile.imwrite("broken.tif", broken)
    (workdir / "look.gif").write_bytes(b"GIF89a")
    command = "segment run broken.tif look.gif pairs/images --model model --out out --json r.json"
    assert main(command.split()) == 2
    shown = capsys.readouterr()
    assert "warning: left out: broken.tif: grey levels must be finite" in shown.out
    assert "warning: left out: look.gif must be a TIFF" in shown.out
    named = "got 'look.gif', 'broken.tif' left out, for what the warnings say; the results of the"
    assert f"{named} other 4 fields are whole" in shown.err
    report = json.loads((workdir / "r.json").read_text())
    assert report["n_fields"] == 4
    rows = (workdir / "out" / "fields.csv").read_text().splitlines()[1:]
    assert [row.split(",")[1].rpartition("/")[2] for row in rows] == [
        f"s{number}_0.tif" for number in range(4)
    ]
    assert all((workdir / f"out/{row.split(',')[0]}_labels.tif").exists() for row in rows)
    assert main(["segment", "run", "broken.tif", "--model", "model", "--out", "alone"]) == 2
    assert "broken.tif: grey levels must be finite" in capsys.readouterr().err
    tifffile.imwrite("pairs/images/s4_0.tif", np.full((96, 112), np.nan, np.float32))
    together = "segment run pairs/images --model model --out out --format imagej"
    assert main(together.split()) == 2
    assert "NaN or infinity in 's4_0.tif'" in capsys.readouterr().err


def test_metadata_that_the_model_does_not_know_are_named(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = "segment run pairs/images --model model --out out --condition pixelsize=10"
    assert main(command.split()) == 0
    assert (
        "no acquisition metadata 'pixelsize': it changes nothing; did you mean --pixel-size-nm?"
        in (capsys.readouterr().out)
    )


def test_a_folder_of_folders_is_refused_with_the_one_that_was_meant(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (workdir / "set").mkdir()
    (workdir / "pairs" / "images").rename(workdir / "set" / "train")
    (workdir / "pairs" / "masks").rename(workdir / "set" / "train_annot")
    assert main(["segment", "train", "set"]) == 2
    assert "did you mean set/train?" in capsys.readouterr().err


def test_run_on_a_stack_writes_a_row_a_plane(workdir: Path) -> None:
    assert (
        main(
            ["segment", "run", "stack.zarr", "--model", "model", "--out", "out", "--json", "r.json"]
        )
        == 0
    )
    rows = (workdir / "out" / "fractions.csv").read_text().splitlines()
    assert rows[0] == "plane,oxide,carbon,void"
    assert len(rows) == 3
    assert json.loads((workdir / "r.json").read_text())["n_planes"] == 2


def test_a_stack_has_digest_and_warnings_of_its_planes_in_the_analysis(workdir: Path) -> None:
    Path("planes").mkdir()
    stack = np.asarray(zarr.open_array("stack.zarr")[:])
    for number, plane in enumerate(stack):
        tifffile.imwrite(f"planes/s{number}.tif", plane)
    options = ["--model", "model", "--condition", "pixelsize=10", "--pixel-size-nm", "10"]
    reports = []
    for source in ("stack.zarr", "planes"):
        run = ["segment", "run", source, *options, "--out", f"{source}-out", "--json", "r.json"]
        assert main(run) == 0
        report = json.loads(Path("r.json").read_text())
        reports.append((report["digest"], report["warnings"]))
    assert any("no acquisition metadata 'pixelsize'" in warning for warning in reports[0][1])
    assert reports[0] == reports[1]


def test_a_stack_of_label_maps_is_told_as_one(workdir: Path) -> None:
    labels = np.zeros((2, 96, 96), np.uint8)
    labels[:, 40:] = 255
    zarr.save_array("labels.zarr", labels)
    report = from_zarr.run_stack(
        Path("labels.zarr"), params={"model": "model"}, metadata={}, scheduler=None, out=Path("out")
    )
    told = "plane 0 of labels.zarr, plane 1 of labels.zarr hold the grey levels 0, 255 alone, as a"
    assert any(warning.startswith(told) for warning in report["warnings"])


def test_evaluate_scores_all_pairs(workdir: Path) -> None:
    assert main(["segment", "evaluate", "pairs", "--model", "model", "--json", "r.json"]) == 0
    report = json.loads((workdir / "r.json").read_text())
    assert report["n_fields"] == 4
    assert set(report["iou"]) == {"oxide", "carbon", "void"}


def test_a_trained_model_can_be_run(workdir: Path) -> None:
    assert (
        main(
            [
                "segment",
                "train",
                "pairs",
                "--network",
                "unet",
                "--steps",
                "1",
                "--rounds",
                "1",
                "--out",
                "new",
                "--json",
                "t.json",
            ]
        )
        == 0
    )
    report = json.loads((workdir / "t.json").read_text())
    assert report["steps_done"] == 1
    assert Path(report["figure"]).is_file()
    assert main(["segment", "run", "pairs/images/s0_0.tif", "--model", "new", "--out", "out"]) == 0


def test_plan_designs_conditions_and_ranks_images(workdir: Path) -> None:
    command = (
        "segment plan --levels staining=none,osmium --levels pixel_size_nm=5,10 --n 3 "
        "--unlabelled pairs/images --model model --json p.json"
    )
    assert main(command.split()) == 0
    report = json.loads((workdir / "p.json").read_text())
    assert len(report["design"]["rows"]) == len(report["next"]) == 3
    assert len({row["file"] for row in report["next"]}) == 3


BAD = [
    ("run nothing.png --model model", "must be an image file, got 'nothing.png'"),
    ("run pairs/images --model pairs", r"must be a folder with weights\.safetensors"),
    ("run pairs/images --model model --out r.txt", r"must go to a folder, got the file r\.txt"),
    ("run pairs/images --model model --condition pixel_size_nm", "must be NAME=VALUE"),
    ("run pairs/images --model model --pixel-size-nm 500", "within a factor 4"),
    (
        "run pairs/images --model model --condition pixel_size_nm=10",
        "got --condition pixel_size_nm=10.0; give --pixel-size-nm 10.0",
    ),
    (
        "train pairs --pixel-size-nm -3",
        r"--pixel-size-nm must be a positive number of nm, got -3\.0",
    ),
    ("train pairs --sample-pattern (", r"--sample-pattern must be a regular expression, got '\('"),
    ("plan pairs --sizes 2", r"a learning curve must have two sizes or more, got \[2\]"),
    ("run pairs/images --model model --dask tcp://a:1", "--dask must come with a Zarr stack"),
    (
        "run pairs/images --model model --tile-px 3",
        "--tile-px: must be greater than or equal to 64, got '3'",
    ),
    ("train pairs --steps 0", "got --steps 0 "),
    ("train pairs --network resnet", "network must be one of segnet, .* got 'resnet'"),
    ("train pairs --phases a:blue,b:lime", r"mask must be painted in .* got"),
    ("train pairs --phases a:blau,b:red", "got 'blau'; try red"),
    ("evaluate pairs --model model --phases optical", "must be painted|must be the model's"),
    ("plan", "must have something to plan with"),
    ("plan pairs --sizes 2,many", "sizes must be whole numbers, got '2,many'"),
    ("plan --levels staining=none", "two levels or more"),
    ("plan --levels a=1,2 b=1,2", "--levels of its own, got b=1,2 without; give --levels b=1,2"),
    ("plan --levels a=1,2 --levels a=3", "must be given once, with all its levels, got a 2 times"),
]


@pytest.mark.parametrize(("command", "text"), BAD, ids=[command for command, _ in BAD])
def test_bad_input_is_one_line_and_status_2(
    workdir: Path, capsys: pytest.CaptureFixture[str], command: str, text: str
) -> None:
    (workdir / "r.txt").write_text("")
    assert main(["segment", *command.split()]) == 2
    errors = capsys.readouterr().err.split("\r")[-1].strip().splitlines()
    message = [line for line in errors if line.startswith("bl-steer: ")]
    assert len(message) == 1
    assert re.search(text, message[0])
