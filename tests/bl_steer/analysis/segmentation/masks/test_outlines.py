"""Masks of annotation tools: classes become phases by name, and nothing is decided in silence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import roifile
import tifffile
from PIL import Image

from bl_steer.analysis.segmentation import UNLABELLED, parse_phases
from bl_steer.analysis.segmentation.masks import DecodedMask, read_mask
from bl_steer.analysis.segmentation.training import Pair, TrainingSet, find_pairs, load_pair
from bl_steer.cli import main
from bl_steer.files import read_micrographs
from tests.bl_steer.files.annotations import written as w

GREY = np.random.default_rng(0).integers(0, 256, w.SHAPE).astype(np.uint8)
THREE = parse_phases("oxide:red,carbon:yellow,void:green")
TWO = parse_phases("matrix:none,pore:red")
INNER = [(7.0, 5.0), (11.0, 5.0), (11.0, 8.0), (7.0, 8.0)]


def read(path: Path, phases: Any = TWO, **options: Any) -> DecodedMask:
    image = path.with_name("a.tif")
    tifffile.imwrite(image, GREY)
    return read_mask(path, phases, read_micrographs(image), **options)


def test_what_no_outline_holds_is_the_phase_without_paint_or_nothing(tmp_path: Path) -> None:
    path = w.labelme(tmp_path / "a.json", [w.labelme_shape("Pore", w.OUTER)])
    mask = read(path)
    np.testing.assert_array_equal(mask.labels, w.SQUARE)
    assert mask.report.notes == (
        "Pixels in no outline are matrix; where they are something else, give "
        "unpainted=unlabelled.",
    )
    mask = read(path, unpainted="unlabelled")
    np.testing.assert_array_equal(mask.labels, np.where(w.SQUARE, 1, UNLABELLED))
    path = w.labelme(tmp_path / "b.json", [w.labelme_shape("void 3", w.OUTER)])
    mask = read(path, THREE)
    np.testing.assert_array_equal(mask.labels, np.where(w.SQUARE, 2, UNLABELLED))
    assert any("Pixels in no outline are unlabelled" in note for note in mask.report.notes)
    mask = read(path, THREE, unpainted="carbon")
    np.testing.assert_array_equal(mask.labels, np.where(w.SQUARE, 2, 1))


def test_outlines_over_others_are_told_with_numbers(tmp_path: Path) -> None:
    over = [w.labelme_shape("oxide", w.OUTER), w.labelme_shape("void", INNER)]
    expected = np.full(w.SHAPE, UNLABELLED)
    expected[w.SQUARE] = 0
    expected[5:8, 7:11] = 2
    said = "Outlines of void lie over those of oxide in 12 pixels (1.56%): these are void."
    mask = read(w.labelme(tmp_path / "a.json", over), THREE)
    np.testing.assert_array_equal(mask.labels, expected)
    assert said in mask.report.notes
    # QuPath exports in no order: the smaller one lies over the larger one.
    features = [("void", "Polygon", [w.closed(INNER)]), ("oxide", "Polygon", [w.closed(w.OUTER)])]
    mask = read(w.qupath(tmp_path / "a.geojson", features), THREE)
    np.testing.assert_array_equal(mask.labels, expected)
    assert said in mask.report.notes


def test_unknown_classes_are_told_where_small_and_refused_where_large(tmp_path: Path) -> None:
    small = [(1, 1), (3, 1), (3, 3), (1, 3)]
    shapes = [w.labelme_shape("void", w.OUTER), w.labelme_shape("crack", small)]
    mask = read(w.labelme(tmp_path / "a.json", shapes), THREE, unpainted="oxide")
    assert (mask.labels[1:3, 1:3] == UNLABELLED).all()
    assert "Unknown classes 'crack' (1) in 0.52% of the pixels: left unlabelled." in (
        mask.report.notes
    )
    shapes = [w.labelme_shape("crack", w.OUTER)] * 2
    with pytest.raises(
        ValueError, match=r"phases, oxide, carbon, void, got 'crack' \(2\) in 10\.42%"
    ):
        read(w.labelme(tmp_path / "b.json", shapes), THREE)


def test_names_of_tools_for_nothing_and_for_the_background_are_known(tmp_path: Path) -> None:
    shapes = [
        w.labelme_shape("_background_", w.OUTER),
        w.labelme_shape("__ignore__", INNER),
        w.labelme_shape("pore", [(20, 20), (22, 20), (22, 22), (20, 22)]),
    ]
    mask = read(w.labelme(tmp_path / "a.json", shapes), TWO, unpainted="pore")
    assert (mask.labels[5:8, 7:11] == UNLABELLED).all()
    assert np.count_nonzero(mask.labels == 0) == 80 - 12


def test_rois_without_names_are_those_of_the_only_painted_phase(tmp_path: Path) -> None:
    path = tmp_path / "RoiSet.zip"
    roifile.roiwrite(path, [w.polygon_roi("0007-0010", w.OUTER)])
    mask = read(path)
    np.testing.assert_array_equal(mask.labels, w.SQUARE)
    assert any("without the name of a class" in note for note in mask.report.notes)
    with pytest.raises(ValueError, match=r"got 'no name' \(1\) in 10.42% of the pixels"):
        read(path, THREE)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (
            lambda d: w.labelme(d / "a.json", [w.labelme_shape("pore", w.OUTER)], (48, 64)),
            r"size of its image, \(24, 32\), got \(48, 64\) as labelme states it",
        ),
        (
            lambda d: w.coco(
                d / "a.json", [("pore", w.runs(np.eye(9, 4, dtype=bool)))], shape=(9, 4)
            ),
            r"size of its image, \(24, 32\), got \(9, 4\) as COCO states it",
        ),
        (
            lambda d: w.qupath(
                d / "a.geojson", [("pore", "Polygon", [[(0, 0), (9, 0), (70, 50)]])]
            ),
            r"size of its image, \(24, 32\), got outlines of GeoJSON that reach row 50, column 70",
        ),
    ],
)
def test_an_annotation_of_an_image_of_another_size_is_refused_with_both(
    write: Callable[[Path], Path], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        read(write(tmp_path))


def exported(
    path: Path, numbers: Any, axes: str | None = "yxc", name: str = "exported_data"
) -> Path:
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset(name, data=numbers)
        if axes is not None:
            keys = ", ".join(f'{{"key": "{key}", "typeFlags": 2}}' for key in axes)
            dataset.attrs["axistags"] = f'{{"axes": [{keys}]}}'
    return path


def test_exports_of_ilastik_count_from_1_on(tmp_path: Path) -> None:
    labels = np.where(w.SQUARE, 2, 1).astype(np.uint8)
    mask = read(exported(tmp_path / "a.h5", labels[..., None]))
    np.testing.assert_array_equal(mask.labels, w.SQUARE)
    strokes = np.where(w.SQUARE, 1, 0).astype(np.uint8)[None, :, :, None]
    mask = read(exported(tmp_path / "b.h5", strokes, "zyxc"), THREE)
    np.testing.assert_array_equal(mask.labels, np.where(w.SQUARE, 0, UNLABELLED))
    mask = read(exported(tmp_path / "c.h5", np.where(w.SQUARE, 1, 0), None, "labels"))
    np.testing.assert_array_equal(mask.labels, w.SQUARE)
    with pytest.raises(ValueError, match="probabilities"):
        read(exported(tmp_path / "d.h5", np.zeros((*w.SHAPE, 2), np.float32)))
    with pytest.raises(ValueError, match=r"size of its image, \(24, 32\), got \(32, 24\)"):
        read(exported(tmp_path / "e.h5", labels, "xy"))


def test_pairs_are_found_with_what_tools_write_and_its_notes_reach_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    flat = [float(v) for point in w.OUTER for v in point]
    for name in ("a", "b", "c", "d", "e", "f"):
        tifffile.imwrite(f"{name}.tif", GREY)
    w.labelme(Path("a.json"), [w.labelme_shape("pore", w.OUTER)])
    w.qupath(Path("b.geojson"), [("pore", "Polygon", [w.closed(w.OUTER)])])
    roifile.roiwrite("c_RoiSet.zip", [w.polygon_roi("pore", w.OUTER)])
    exported(Path("d_Simple Segmentation.h5"), np.where(w.SQUARE, 2, 1), "yx")
    w.coco(Path("instances_default.json"), [("pore", [flat])], images=("e.tif",))
    Image.fromarray((w.SQUARE * 255).astype(np.uint8)).save("f_mask.png")
    Path("notes.json").write_text("{}")  # of something else
    assert [pair.mask.name[:9] for pair in find_pairs(tmp_path)] == [
        "a.json", "b.geojson", "c_RoiSet.", "d_Simple ", "instances", "f_mask.png"[:9]
    ]  # fmt: skip
    data = TrainingSet.read(tmp_path, TWO, shares=(1.0, 0.0, 0.0))
    for labelled in data.train:
        np.testing.assert_array_equal(labelled.labels, w.SQUARE)
    command = ["segment", "train", ".", "--phases", "matrix:none,pore:red", "--steps", "1"]
    main([*command, "--out", "model", "--unpainted", "crack"])
    assert "unpainted must be a phase (matrix, pore) or unlabelled, got 'crack'" in (
        capsys.readouterr().err
    )
    assert any("a.tif and 3 more: Pixels in no outline are matrix" in note for note in data.notes)


def test_masks_of_one_set_that_count_from_0_and_from_1_are_refused(tmp_path: Path) -> None:
    labels = np.random.default_rng(0).integers(0, 3, w.SHAPE).astype(np.uint8)
    for name, numbers in (("a", labels), ("b", labels + 1)):
        tifffile.imwrite(tmp_path / f"{name}.tif", GREY)
        Image.fromarray(numbers).save(tmp_path / f"{name}_mask.png")
    with pytest.raises(ValueError, match=r"from 0 on in that of a.tif and from 1 on in that of b"):
        TrainingSet.read(tmp_path, THREE, shares=(1.0, 0.0, 0.0))


def test_a_file_of_many_images_is_asked_for_the_one_by_the_name_its_user_knows(
    tmp_path: Path,
) -> None:
    image = tmp_path / "00000_image.tif"  # as the server lays it out
    tifffile.imwrite(image, np.zeros(w.SHAPE, np.uint8))
    outline = [np.ravel(w.OUTER).tolist()]
    mask = w.coco(tmp_path / "m.json", [("pore", outline)], images=["s1.tif", "s2.tif"])
    phases = parse_phases("matrix:none,pore:red")
    _, decoded = load_pair(Pair(image, mask, "s", {}), phases, called="s1.tif")
    np.testing.assert_array_equal(decoded.labels, w.SQUARE)
