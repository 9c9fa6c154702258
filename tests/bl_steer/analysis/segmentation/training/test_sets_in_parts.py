"""Sets whose parts lie side by side, and what stands in two of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bl_steer.analysis.segmentation import FIBSEM_PHASES, UNLABELLED, parse_phases
from bl_steer.analysis.segmentation.training import Labelled, TrainingSet


def write(folder: Path, masks: Path, names: dict[str, Labelled]) -> None:
    for path in (folder, masks):
        path.mkdir(parents=True, exist_ok=True)
    for name, (image, labels) in names.items():
        Image.fromarray(image).save(folder / f"{name}.png")
        Image.fromarray(labels).save(masks / f"{name}_mask.png")


def parts_of(data: TrainingSet) -> list[list[str]]:
    return [[f.name for f in part] for part in (data.train, data.validation, data.test)]


@pytest.mark.parametrize("layout", ["{}|{}_annot", "{}/images|{}/masks", "{}|{}"])
def test_train_val_and_test_side_by_side_are_a_set(
    pairs: list[Labelled], tmp_path: Path, layout: str
) -> None:
    for part, names in (("train", "ab"), ("val", "c"), ("test", "d")):
        folder, masks = (tmp_path / text.format(part) for text in layout.split("|"))
        write(folder, masks, {f"{n}_0": pairs["abcd".index(n)] for n in names})
    data = TrainingSet.read(tmp_path, FIBSEM_PHASES)
    assert parts_of(data) == [["a_0.png", "b_0.png"], ["c_0.png"], ["d_0.png"]]
    assert not [note for note in data.notes if "two parts" in note or "was seen" in note]


def test_without_a_part_for_it_the_validation_is_split_off(
    pairs: list[Labelled], tmp_path: Path
) -> None:
    write(tmp_path / "train", tmp_path / "train", {f"{n}_0": pairs[n] for n in range(3)})
    write(tmp_path / "test", tmp_path / "test", {"d_0": pairs[3]})
    data = TrainingSet.read(tmp_path, FIBSEM_PHASES)
    assert [len(part) for part in parts_of(data)] == [2, 1, 1]
    assert data.test[0].name == "d_0.png"


def test_an_image_in_two_parts_is_named_under_both_names(
    pairs: list[Labelled], tmp_path: Path
) -> None:
    write(tmp_path / "train", tmp_path / "train", {"a_0": pairs[0], "b_0": pairs[1]})
    write(tmp_path / "val", tmp_path / "val", {"c_0": pairs[2], "copy_0": pairs[1]})
    (told,) = [n for n in TrainingSet.read(tmp_path, FIBSEM_PHASES).notes if "the same image" in n]
    assert "copy_0.png" in told
    assert "b_0.png" in told


def test_a_specimen_with_fields_in_two_parts_is_named(
    pairs: list[Labelled], tmp_path: Path
) -> None:
    write(tmp_path / "train", tmp_path / "train", {"a_0": pairs[0], "a_1": pairs[1]})
    write(tmp_path / "val", tmp_path / "val", {"a_2": pairs[2], "b_0": pairs[3]})
    notes = TrainingSet.read(tmp_path, FIBSEM_PHASES, sample_pattern=r"^(\w)_").notes
    assert [n for n in notes if n.startswith("the sample a is both among the pairs to train with")]


def test_the_sets_of_the_superalloy_are_read_whole() -> None:
    source = Path(__file__).parents[6] / "shared" / "data" / "sem" / "super1"
    if not source.is_dir():
        pytest.skip(f"{source} is absent")
    phases = "matrix:none,secondary:blue,tertiary:red"
    data = TrainingSet.read(source, parse_phases(phases))
    assert [len(part) for part in parts_of(data)] == [10, 4, 4]
    assert not [note for note in data.notes if "two parts" in note or "was seen" in note]
    assert np.unique(data.train[0].labels).tolist() == [0, 1, 2]


def test_a_third_of_the_only_sample_validates(pairs: list[Labelled], tmp_path: Path) -> None:
    image, labels = pairs[0]
    scribbled = np.full_like(labels, UNLABELLED)
    scribbled[30:66, 60:] = labels[30:66, 60:]
    write(tmp_path, tmp_path, {"a_0": (image, scribbled)})
    data = TrainingSet.read(tmp_path, FIBSEM_PHASES)
    (train,), (validation,) = data.train, data.validation
    assert train.image.size + validation.image.size == image.size
    for part in (train, validation):
        assert part.image.shape == part.labels.shape
        assert set(np.unique(part.labels)) == {0, 1, 2, UNLABELLED}
    assert not data.test
    assert any("a third of each validates" in note for note in data.notes)
    assert len(TrainingSet.read(tmp_path, FIBSEM_PHASES, shares=(1, 0, 0)).train) == 1


@pytest.mark.parametrize("form", ["cut", "mirrored", "turned", "overlapping", "other levels"])
def test_what_is_cut_from_a_training_image_is_named(
    pairs: list[Labelled], tmp_path: Path, form: str
) -> None:
    taken: dict[str, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
        "cut": lambda a: a[20:84, 10:90],
        "mirrored": lambda a: a[:, ::-1],
        "turned": lambda a: np.rot90(a[:80]),
        "overlapping": lambda a: np.concatenate([a[40:], a[::-1][:40]]),
        "other levels": lambda a: a,
    }[form]
    image, labels = (np.ascontiguousarray(taken(a)) for a in pairs[1])
    if form == "other levels":
        image = (image * 0.5 + 40).astype(np.uint8)
    write(tmp_path / "train", tmp_path / "train", {"a_0": pairs[0], "b_0": pairs[1]})
    write(tmp_path / "val", tmp_path / "val", {"c_0": pairs[2]})
    write(tmp_path / "test", tmp_path / "test", {"d_0": (image, labels), "e_0": pairs[3]})
    (told,) = [n for n in TrainingSet.read(tmp_path, FIBSEM_PHASES).notes if "share pixels" in n]
    assert told.startswith("d_0.png, to test with, and b_0.png, to train with, share pixels")
