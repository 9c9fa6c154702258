"""A training that goes on from a model: what it sees, and what it leaves alone."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bl_steer.analysis.segmentation import FIBSEM_PHASES, ONE_PASS, SegmentationModel
from bl_steer.analysis.segmentation.model import uncorrected
from bl_steer.analysis.segmentation.networks import CalibratedNetwork, FilmNetwork
from bl_steer.analysis.segmentation.shading import even_levels
from bl_steer.analysis.segmentation.tiles import standardise
from bl_steer.analysis.segmentation.training import (
    Labelled,
    LabelledField,
    Training,
    TrainingSet,
    TrainingSettings,
    train_model,
)

SETTINGS = TrainingSettings(
    network="segnet",
    widths=(4, 6),
    steps=2,
    batch=2,
    patch_px=32,
    evaluate_every=2,
    rounds=1,
    calibrate=False,
)


@pytest.mark.parametrize(("even", "weight"), [(False, 5.0), (True, 5.0), (True, 0.0)])
def test_a_model_that_removes_shading_learns_boundaries_where_it_draws_them(
    model: SegmentationModel, pairs: list[Labelled], even: bool, weight: float
) -> None:
    sure = deepcopy(model.network)
    sure.head.weight.mul_(100)  # what it is unsure of is no shading
    start = replace(model, network=sure, even_levels=even)
    settings = SETTINGS.model_copy(update={"boundary_weight": weight})
    training = Training(settings, FIBSEM_PHASES, pairs[:2], pairs[3:], start=start)
    margin = training._sampler.margin
    seen = [one[margin:-margin, margin:-margin] for one in training._sampler.images]
    raw = [standardise(image) for image, _ in pairs]
    evened = [even_levels(sure, image, 3, ONE_PASS) for image in raw]
    assert abs(evened[0] - raw[0]).max() > 0.01
    expected = evened if even and weight else raw
    np.testing.assert_array_equal(seen, expected[:2])
    np.testing.assert_array_equal(training.validation[0][0], expected[3])


@pytest.mark.parametrize("weight", [0.0, 5.0])
def test_the_network_of_the_first_pass_stays_as_it_is(
    model: SegmentationModel, pairs: list[Labelled], tmp_path: Path, weight: float
) -> None:
    settings = SETTINGS.model_copy(update={"boundary_weight": weight, "calibrate": True})
    looks = deepcopy(model.network)
    looks.head.weight.mul_(100)
    start = replace(model, even_levels=True, quick_look=looks)
    fields = [LabelledField(*pair, f"s{n}", {}, f"s{n}") for n, pair in enumerate(pairs)]
    data = TrainingSet(FIBSEM_PHASES, fields[:3], fields[3:], [])
    train_model(data, settings, start=start, folder=tmp_path)
    again = SegmentationModel.load(tmp_path)
    assert again.even_levels
    assert again.quick_look is not None
    for key, value in again.quick_look.state_dict().items():
        assert torch.equal(value, looks.state_dict()[key])
    # A model that tells shading itself leaves its own weights to its successor.
    first = replace(model, network=looks, even_levels=True)
    successor = Training(settings, FIBSEM_PHASES, pairs[:3], pairs[3:], start=first)
    assert successor.quick_look is (looks if weight else None)


@pytest.mark.parametrize("weight", [0.0, 10.0])
def test_boundaries_are_trained_as_the_network_will_draw_them(
    model: SegmentationModel, pairs: list[Labelled], weight: float
) -> None:
    settings = SETTINGS.model_copy(update={"boundary_weight": weight})
    training = Training(settings, FIBSEM_PHASES, pairs[:3], pairs[3:], start=model)
    before, after = model.network.state_dict(), training.run().state_dict()
    means = [key for key in before if key.endswith("running_mean")]
    assert means
    alike = [torch.equal(before[key], after[key]) for key in means]
    assert all(alike) if weight else not any(alike)
    assert not torch.equal(before["head.weight"], after["head.weight"])


def test_a_training_ends_part_of_the_way_back_to_its_start(
    model: SegmentationModel, pairs: list[Labelled]
) -> None:
    fields = [LabelledField(*pair, f"s{n}", {}, f"s{n}") for n, pair in enumerate(pairs)]
    data = TrainingSet(FIBSEM_PHASES, fields[:3], fields[3:], [])
    half = SETTINGS.model_copy(update={"start_share": 0.5})
    whole, mixed = (train_model(data, one, start=model) for one in (SETTINGS, half))
    before, after = model.network.state_dict(), whole.network.state_dict()
    assert not torch.equal(before["head.weight"], after["head.weight"])
    for key, value in mixed.network.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, (before[key] + after[key]) / 2)


def test_what_finds_films_is_put_around_the_trained_network_and_is_no_part_of_the_next_training(
    model: SegmentationModel, pairs: list[Labelled], tmp_path: Path
) -> None:
    fields = [LabelledField(*pair, f"s{n}", {}, f"s{n}") for n, pair in enumerate(pairs)]
    data = TrainingSet(FIBSEM_PHASES, fields[:3], fields[3:], [])
    settings = SETTINGS.model_copy(update={"film_log_odds": (0.0, 0.8, 0.0), "calibrate": True})
    plain = train_model(data, SETTINGS, start=model)
    train_model(data, settings, start=model, folder=tmp_path)
    found = SegmentationModel.load(tmp_path)
    assert found.finds_films
    assert not plain.finds_films
    network = found.network
    assert isinstance(network, FilmNetwork)
    torch.testing.assert_close(network.log_odds, torch.tensor([0.0, 0.8, 0.0]))
    assert found.calibrated == isinstance(network.network, CalibratedNetwork)
    trained = uncorrected(network).state_dict()
    for key, value in plain.network.state_dict().items():
        assert torch.equal(value, trained[key])
    kept = train_model(data, SETTINGS, start=found)
    assert kept.film_log_odds == (0.0, 0.8, 0.0)
    assert kept.card["settings"]["film_log_odds"] == [0.0, 0.8, 0.0]
    without = SETTINGS.model_copy(update={"film_log_odds": ()})
    assert not train_model(data, without, start=found).finds_films
    successor = Training(SETTINGS, FIBSEM_PHASES, pairs[:3], pairs[3:], start=found)
    for key, value in successor._network.state_dict().items():
        assert torch.equal(value, trained[key])


def test_log_odds_of_films_are_refused_unless_each_phase_has_one(
    model: SegmentationModel, pairs: list[Labelled]
) -> None:
    fields = [LabelledField(*pair, f"s{n}", {}, f"s{n}") for n, pair in enumerate(pairs)]
    data = TrainingSet(FIBSEM_PHASES, fields[:3], fields[3:], [])
    two = SETTINGS.model_copy(update={"film_log_odds": (0.0, 0.8)})
    with pytest.raises(ValueError, match="each of the 3 phases, got 2"):
        train_model(data, two, start=model)


def test_the_card_says_from_which_model_a_training_went_on(
    model: SegmentationModel, pairs: list[Labelled]
) -> None:
    fields = [LabelledField(*pair, f"s{n}", {}, f"s{n}") for n, pair in enumerate(pairs)]
    data = TrainingSet(FIBSEM_PHASES, fields[:3], fields[3:], [])
    start = replace(model, card={"settings": {"seed": 7}, "steps_done": 12})
    second = train_model(data, SETTINGS, start=start)
    assert second.card["start"] == {
        "weights_sha256": model.weights_sha256,
        "settings": {"seed": 7},
        "steps_done": 12,
    }
    third = train_model(data, SETTINGS, start=second)
    assert third.card["start"]["weights_sha256"] == second.weights_sha256
    assert third.card["start"]["start"] == second.card["start"]
    assert "start" not in train_model(data, SETTINGS).card
