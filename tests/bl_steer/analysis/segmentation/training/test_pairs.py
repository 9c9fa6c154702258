"""Pairs are found in the usual layouts, and a split never tears a sample apart."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bl_steer.analysis.segmentation import FIBSEM_PHASES, paint
from bl_steer.analysis.segmentation.training import (
    Pair,
    TrainingSet,
    describe_samples,
    find_pairs,
    load_pair,
    split_by_sample,
)

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8)
LABELS = np.repeat(np.uint8([[0, 1, 2]]), 6, axis=0).repeat(3, axis=1)[:, :8]
NAMES = ("spot3_0d_3", "spot3_180d_2", "spot4_0d_3")


def put(path: Path, *, painted: bool = False, size: tuple[int, int] = (6, 8)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows, columns = size
    image = paint(GREY, LABELS, FIBSEM_PHASES) if painted else GREY
    Image.fromarray(image[:rows, :columns]).save(path)
    return path


LAYOUTS = {
    "beside": ("train", "train/{}.tif", "train_annot/{}_mask.tif"),
    "beside, masks": ("train", "train/{}.png", "train_masks/{}.png"),
    "within": (".", "images/{}.tif", "masks/{}.png"),
    "within, capitals": (".", "Images/{}.TIF", "Labels/{}.PNG"),
    "beside, capitals": ("Train", "Train/{}.tif", "train_Masks/{}.png"),
    "one folder": (".", "{}.tif", "{}_mask.png"),
    "named images": (".", "{}_image.tif", "{}_label.png"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_pairs_are_found_in_every_usual_layout(tmp_path: Path, layout: str) -> None:
    source, image, mask = LAYOUTS[layout]
    for name in NAMES:
        put(tmp_path / image.format(name))
        put(tmp_path / mask.format(name), painted=True)
    pairs = find_pairs(tmp_path / source)
    assert [pair.sample for pair in pairs] == ["spot3", "spot3", "spot4"]
    assert describe_samples(pairs) == "3 pairs of 2 samples: spot3 (2), spot4 (1)."
    read, mask = load_pair(pairs[0], FIBSEM_PHASES)
    np.testing.assert_array_equal(read.fields[0], GREY)
    np.testing.assert_array_equal(mask.labels, LABELS)


def test_masks_with_their_images_count_though_a_folder_is_beside(tmp_path: Path) -> None:
    for name in ("s0", "s1"):
        put(tmp_path / f"napari/{name}.tif")
        put(tmp_path / f"napari/{name}_labels.tif", painted=True)
        put(tmp_path / f"napari_mask/{name}.tif")
        put(tmp_path / f"napari_mask/{name}_mask.tif", painted=True)
    masks = [pair.mask.name for pair in find_pairs(tmp_path / "napari")]
    assert masks == ["s0_labels.tif", "s1_labels.tif"]
    (tmp_path / "napari/s1_labels.tif").unlink()
    with pytest.raises(ValueError, match=r"2 masks \(napari_mask/s0.tif, napari_mask/s0_mask.tif"):
        find_pairs(tmp_path / "napari")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_catalogue_gives_samples_and_conditions(
    tmp_path: Path, encoding: str, delimiter: str
) -> None:
    put(tmp_path / "é.tif")
    put(tmp_path / "m.png", painted=True)
    rows = ["image,mask,sample,pixel_size_nm,staining,note", "é.tif,m.png,A7,10,Pt,"]
    text = "\r\n".join(rows).replace(",", delimiter)
    (tmp_path / "list.csv").write_text(text, encoding=encoding)
    (pair,) = find_pairs(tmp_path / "list.csv")
    assert (pair.image.name, pair.sample) == ("é.tif", "A7")
    assert pair.metadata == {"pixel_size_nm": 10.0, "staining": "Pt"}


def test_a_catalogue_of_other_pixels_decimals_and_rows_is_read_or_refused(
    tmp_path: Path,
) -> None:
    for number in range(2):
        for name in (f"a{number}.png", f"m{number}.png"):
            Image.fromarray(np.full((40, 40, 3), (255, 0, 0), np.uint8)).save(tmp_path / name)
    catalogue = tmp_path / "list.csv"
    rows = [f"a{n}.png;m{n}.png;{10 * 4**n},5" for n in range(2)]
    catalogue.write_text("\n".join(["image;mask;pixel_size_nm", *rows]))
    assert [pair.metadata["pixel_size_nm"] for pair in find_pairs(catalogue)] == [10.5, 40.5]
    notes = TrainingSet.read(catalogue, FIBSEM_PHASES, shares=(1, 0, 0)).notes
    assert any("pixels of 10.5 to 40.5 nm are brought to 25.5 nm" in note for note in notes)
    catalogue.write_text("image,mask,pixel_size_um\na0.png,m0.png,.01\n")
    with pytest.raises(ValueError, match="in nm in the column pixel_size_nm, got pixel_size_um"):
        find_pairs(catalogue)
    catalogue.write_text("image,mask\na0.png,m0.png\na0.png,m1.png\n")
    with pytest.raises(ValueError, match=r"row 3: a0\.png is in row 2, too"):
        find_pairs(catalogue)


def test_a_catalogue_reports_all_that_is_missing(tmp_path: Path) -> None:
    put(tmp_path / "a.tif")
    catalogue = tmp_path / "list.csv"
    catalogue.write_text("image,mask\na.tif,none.png\nb.tif,none.png\n")
    with pytest.raises(ValueError, match=r"row 2: no mask.*row 3: no image 'b.tif'.*row 3: no ma"):
        find_pairs(catalogue)
    catalogue.write_text("file,mask\na.tif,a.png\n")
    with pytest.raises(ValueError, match=r"columns image and mask.*add \['image'\]"):
        find_pairs(catalogue)
    catalogue.write_text("image,mask\n")
    with pytest.raises(ValueError, match="no rows"):
        find_pairs(catalogue)
    catalogue.write_bytes(b"image,mask\n\xe9.tif,m.png\n")
    with pytest.raises(ValueError, match="must be UTF-8"):
        find_pairs(catalogue)


def test_all_problems_of_a_folder_come_at_once(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        put(tmp_path / f"{name}.png")
    put(tmp_path / "b_mask.png", painted=True, size=(4, 8))
    put(tmp_path / "c_mask.png", painted=True)
    put(tmp_path / "c_mask.tif", painted=True)
    put(tmp_path / "d_mask.png", painted=True)
    with pytest.raises(ValueError, match="got 4 problems") as caught:
        find_pairs(tmp_path)
    for part in ("a.png has no masks (name it a_mask.png)", "c.png has 2 masks",
                 "d_mask.png has no image",
                 "b_mask.png has (4, 8) pixels, its image (6, 8)"):  # fmt: skip
        assert part in str(caught.value)


def test_empty_and_missing_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no images in"):
        find_pairs(tmp_path)
    with pytest.raises(ValueError, match="folder or a catalogue"):
        find_pairs(tmp_path / "none")


def test_numbered_fields_each_count_as_a_sample_and_a_pattern_names_it(tmp_path: Path) -> None:
    for number in range(3):
        put(tmp_path / f"img_{number}.png")
        put(tmp_path / f"img_{number}_mask.png", painted=True)
    pairs = find_pairs(tmp_path)
    assert len({pair.sample for pair in pairs}) == 3
    assert "each counts as a sample of its own" in describe_samples(pairs)
    assert {p.sample for p in find_pairs(tmp_path, sample_pattern=r"^(\w+)_")} == {"img"}
    with pytest.raises(ValueError, match="sample_pattern must fit each name"):
        find_pairs(tmp_path, sample_pattern=r"^spot\d")


def test_a_stack_cannot_be_half_of_a_pair(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((3, 6, 8)))
    put(tmp_path / "m.png", painted=True)
    with pytest.raises(ValueError, match=r"a.npy must hold one field, got 3"):
        load_pair(Pair(tmp_path / "a.npy", tmp_path / "m.png", "a"), FIBSEM_PHASES)


def test_a_wrong_mask_is_named(tmp_path: Path) -> None:
    pair = Pair(put(tmp_path / "a.png"), put(tmp_path / "m.png"), "a")
    with pytest.raises(ValueError, match=r"m\.png: labels must be 0 to 2"):
        load_pair(pair, FIBSEM_PHASES)


@pytest.mark.parametrize("told", [None, 10.0, 20.0])
def test_what_the_files_say_of_themselves_is_known_to_the_training(
    tmp_path: Path, told: float | None
) -> None:
    rows = ["image,mask,sample" + (",pixel_size_nm" if told else "")]
    for name in ("a", "b", "c"):
        resolution: Any = {"resolution": (1e6, 1e6), "resolutionunit": "CENTIMETER"}
        tifffile.imwrite(tmp_path / f"{name}.tif", GREY, **resolution)
        put(tmp_path / f"{name}_mask.png", painted=True)
        rows.append(f"{name}.tif,{name}_mask.png,{name}" + (f",{told:g}" if told else ""))
    (tmp_path / "pairs.csv").write_text("\n".join(rows))
    data = TrainingSet.read(tmp_path / "pairs.csv", FIBSEM_PHASES)
    assert data.pixel_size_nm == (told or 10.0)
    contradicted = [note for note in data.notes if "states a pixel of 10 nm; 20 nm" in note]
    assert len(contradicted) == (told == 20.0)


def pairs_of(counts: list[int]) -> list[Pair]:
    names = [f"s{sample}" for sample, count in enumerate(counts) for _ in range(count)]
    return [Pair(Path(f"{n}.tif"), Path(f"{n}.png"), name) for n, name in enumerate(names)]


@given(
    counts=st.lists(st.integers(1, 6), min_size=3, max_size=12),
    seed=st.integers(0, 99),
    shares=st.sampled_from([(0.7, 0.15, 0.15), (0.5, 0.25, 0.25), (0.8, 0.2, 0.0)]),
)
def test_no_sample_is_in_two_parts_and_no_pair_is_lost(
    counts: list[int], seed: int, shares: tuple[float, float, float]
) -> None:
    pairs = pairs_of(counts)
    parts = split_by_sample(pairs, shares, seed)
    assert Counter(p.image for part in parts for p in part) == Counter(p.image for p in pairs)
    samples = [{pair.sample for pair in part} for part in parts]
    assert sum(map(len, samples)) == len(counts)
    assert [bool(part) for part in parts] == [share > 0 for share in shares]
    assert parts == split_by_sample(pairs, shares, seed)


def test_even_samples_are_split_in_their_shares() -> None:
    parts = split_by_sample(pairs_of([2] * 20))
    assert [len(part) for part in parts] == [28, 6, 6]


def test_too_few_samples_and_wrong_shares_are_refused() -> None:
    with pytest.raises(ValueError, match="samples must be at least 3"):
        split_by_sample(pairs_of([5, 5]))
    with pytest.raises(ValueError, match="shares must be three"):
        split_by_sample(pairs_of([5, 5, 5]), (0.7, 0.1, 0.1))
