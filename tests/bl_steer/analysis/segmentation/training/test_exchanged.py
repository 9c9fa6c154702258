"""A pair whose phases are as bright as no other pair's are is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bl_steer.analysis.segmentation import UNLABELLED, parse_phases
from bl_steer.analysis.segmentation.training import Labelled, TrainingSet, exchanged_phases
from bl_steer.cli import main
from simulators.electron import FAMILIES, coating_field, field, optical_field

TWO = ["matrix", "particle"]
THREE = ["oxide", "carbon", "void"]


def two_phases(seed: int) -> Labelled:
    image, labels, _ = field("grains", seed, shape=(96, 96))
    return image, (labels == 0).astype(np.uint8)


@pytest.mark.parametrize("number", [0, 2, 4])
def test_one_mask_with_phases_exchanged_is_named(number: int) -> None:
    pairs = [two_phases(seed) for seed in range(5)]
    image, labels = pairs[number]
    pairs[number] = image, 1 - labels
    ((named, note),) = exchanged_phases(pairs, TWO)
    assert named == [number]
    assert note.startswith("particle is darker than matrix here, and brighter in 4 other pairs:")


def test_an_inverted_image_is_named_once_whatever_the_number_of_phases() -> None:
    pairs = [field("grains", seed, shape=(96, 96))[:2] for seed in range(5)]
    pairs[1] = 255 - pairs[1][0], pairs[1][1]
    ((named, note),) = exchanged_phases(pairs, THREE)
    assert named == [1]
    assert note.startswith("oxide is darker than void here")


def test_two_of_three_phases_exchanged_are_named_as_these() -> None:
    pairs = [field("network", seed, shape=(128, 128))[:2] for seed in range(6)]
    for number in (3, 5):
        pairs[number] = pairs[number][0], np.array([0, 2, 1], np.uint8)[pairs[number][1]]
    ((named, note),) = exchanged_phases(pairs, THREE)
    assert named == [3, 5]
    assert note.startswith("carbon is darker than void here, and brighter in 4 other pairs:")


@pytest.mark.parametrize("family", FAMILIES)
def test_sound_pairs_of_a_simulated_family_are_not_named(family: str) -> None:
    pairs = [field(family, seed, shape=(128, 128))[:2] for seed in range(20)]
    assert list(exchanged_phases(pairs, THREE)) == []


@pytest.mark.parametrize("simulated", [coating_field, optical_field])
def test_sound_coatings_and_steels_are_not_named(simulated: object) -> None:
    assert callable(simulated)
    fields = [simulated(seed)[:2] for seed in range(4)]
    pairs = [(image.reshape(*image.shape[:2], -1).mean(axis=2), m) for image, m in fields]
    names = [str(number) for number in range(1 + max(int(m.max()) for _, m in pairs))]
    assert list(exchanged_phases(pairs, names)) == []


def test_too_few_pairs_and_as_many_on_either_side_tell_nothing() -> None:
    pairs = [two_phases(seed) for seed in range(6)]
    for number in (0, 2, 4):
        pairs[number] = pairs[number][0], 1 - pairs[number][1]
    assert list(exchanged_phases(pairs, TWO)) == []
    assert list(exchanged_phases(pairs[:3], TWO)) == []


@pytest.mark.parametrize("what", ["unlabelled", "flat", "not finite", "scant"])
def test_pairs_that_show_no_two_phases_are_passed_over(what: str) -> None:
    pairs = [two_phases(seed) for seed in range(4)]
    image: NDArray[np.float64] = pairs[0][0].astype(float)
    labels = 1 - pairs[0][1]
    if what == "unlabelled":
        labels[:] = UNLABELLED
    elif what == "flat":
        image[:] = 7.0
    elif what == "not finite":
        image[:] = np.nan
    else:
        labels[:] = 0
        labels[0, :5] = 1
    pairs.append((image, labels))
    assert list(exchanged_phases(pairs, TWO)) == []


def test_the_superalloy_is_not_named_and_an_exchanged_mask_of_it_is() -> None:
    source = Path(__file__).parents[6] / "shared" / "data" / "sem" / "super1"
    if not source.is_dir():
        pytest.skip(f"{source} is absent")
    phases = parse_phases("matrix:none,secondary:blue,tertiary:red")
    pairs = [one.pair for one in TrainingSet.read(source, phases).train]
    assert list(exchanged_phases(pairs, phases.names)) == []
    pairs[4] = pairs[4][0], np.array([1, 0, 2, *[255] * 253], np.uint8)[pairs[4][1]]
    ((named, note),) = exchanged_phases(pairs, phases.names)
    assert named == [4]
    assert note.startswith("matrix is darker than secondary here, and brighter in 9 other pairs:")


def test_the_command_and_the_set_name_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in range(5):
        image, labels = two_phases(seed)
        Image.fromarray(image).save(tmp_path / f"f{seed}.png")
        mask = 255 * (1 - labels if seed == 2 else labels)
        Image.fromarray(mask.astype(np.uint8)).save(tmp_path / f"f{seed}_mask.png")
    named = "f2.png: particle is darker than matrix here, and brighter in 4 other pairs"
    data = TrainingSet.read(tmp_path, parse_phases("matrix:none,particle:white"))
    assert [note for note in data.notes if note.startswith(named)]
    out = tmp_path / "model"
    arguments = ["--phases", "matrix:none,particle:white", "--network", "forest"]
    main(["segment", "train", str(tmp_path), "--out", str(out), *arguments])
    assert named in capsys.readouterr().out
