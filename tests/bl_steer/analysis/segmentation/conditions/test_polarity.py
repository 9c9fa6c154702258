"""Inverted images are named image by image, also by a user's own forest; right ones are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bl_steer.analysis.segmentation import Phase, Phases, Polarity, find_model, seems_negative
from bl_steer.analysis.segmentation.checks import negative_warnings
from bl_steer.analysis.segmentation.training import LabelledField, TrainingSet
from bl_steer.analysis.segmentation.training.card import train_model
from bl_steer.analysis.segmentation.training.settings import TrainingSettings
from bl_steer.files import read_micrographs
from simulators.electron import field, optical_field

STEEL = Phases(tuple(Phase(name, (k, 255, 0), (k, k, k)) for k, name in enumerate("abc")))


def steel(seed: int) -> LabelledField:
    image, labels, _ = optical_field(seed, shape=(160, 160))
    return LabelledField(image.mean(axis=-1).astype(np.uint8), labels, str(seed))


def test_a_forest_names_each_image_whose_bright_and_dark_are_exchanged() -> None:
    data = TrainingSet(STEEL, [steel(0), steel(1)], [steel(2), steel(3)], [])
    model = train_model(data, TrainingSettings(network="forest", widths=(8, 200)))
    right = [steel(seed).image for seed in (4, 5, 6)]
    fields = {f"right {n}": seems_negative(model, image) for n, image in enumerate(right)}
    assert not list(negative_warnings(fields))
    inverted = {f"wrong {n}": seems_negative(model, 255 - i) for n, i in enumerate(right[:2])}
    (told,) = negative_warnings({**fields, **inverted})
    assert told.startswith("wrong 0, wrong 1 look to the model like a negative, by details and ")


def test_the_score_of_a_negative_is_that_of_the_image_with_the_other_sign() -> None:
    images = [field("grains", seed, shape=(96, 96)).image.astype(float) for seed in range(6)]
    polarity = Polarity.of(images[:3], images[3:5])
    assert polarity is not None
    assert polarity.score(-images[5]) == pytest.approx(-polarity.score(images[5]))
    assert Polarity.from_dict(polarity.to_dict()) == polarity
    assert Polarity.of([np.zeros((9, 9))], images) is None


def test_where_images_and_negatives_are_alike_the_limit_tells_none() -> None:
    rng = np.random.default_rng(0)
    noise = [rng.normal(size=(96, 96)) for _ in range(8)]
    polarity = Polarity.of(noise[:4], noise[4:])
    assert polarity is not None
    assert all(abs(polarity.score(image)) < polarity.limit for image in noise)


def test_real_superalloys_are_told_from_their_negatives_after_one_training_image() -> None:
    source = Path(__file__).parents[6] / "shared" / "data" / "sem" / "super1"
    if not source.is_dir():
        pytest.skip(f"{source} is absent")

    def read(pattern: str) -> list[NDArray[Any]]:
        return [read_micrographs(path).fields[0] for path in sorted(source.glob(pattern))]

    train, held_out, unseen = (read(p) for p in ("train/*.tif", "val/*.tif", "test/*.tif"))
    for one in train[::3]:
        polarity = Polarity.of([one], held_out[:2])
        assert polarity is not None
        assert min(polarity.score(image) for image in unseen) > polarity.limit


@pytest.mark.parametrize("family", ["grains", "network"])
def test_the_shipped_model_tells_all_images_of_a_batch(family: str) -> None:
    model = find_model("fibsem")
    for seed in (630, 632, 633):
        image = field(family, seed, shape=(256, 256)).image
        assert seems_negative(model, image, 10.0) is None
        assert seems_negative(model, 255 - image, 10.0) is not None
