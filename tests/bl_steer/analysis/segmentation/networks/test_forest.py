from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from sklearn.ensemble import RandomForestClassifier

from bl_steer.analysis.segmentation import (
    FIBSEM_PHASES,
    UNLABELLED,
    Passes,
    SegmentationModel,
    SegmentMicrographs,
    SegmentParams,
    segment,
)
from bl_steer.analysis.segmentation.networks import NETWORKS, Forest, build_network
from bl_steer.analysis.segmentation.networks.forest import local_features
from bl_steer.analysis.segmentation.tiles import iterate_tiles, standardise
from bl_steer.analysis.segmentation.training import (
    Labelled,
    LabelledField,
    TrainingSet,
    TrainingSettings,
    train_model,
)
from bl_steer.analysis.segmentation.training import forest as growing
from bl_steer.cli import main
from bl_steer.protocols import Inputs

SETTINGS = TrainingSettings(network="forest", widths=(10, 32))


def trained(pairs: list[Labelled], folder: Path | None = None) -> SegmentationModel:
    fields = [LabelledField(*pair, f"s{n}", {}, f"s{n}") for n, pair in enumerate(pairs)]
    data = TrainingSet(FIBSEM_PHASES, fields[:2], fields[2:], [])
    return train_model(data, SETTINGS, folder=folder)


@pytest.fixture(scope="module")
def model(pairs: list[Labelled]) -> SegmentationModel:
    return trained(pairs)


def test_a_forest_votes_as_the_one_of_scikit_learn_does(pairs: list[Labelled]) -> None:
    image, labels = pairs[0]
    X, y = growing._pixels([(image, labels)], 3, SETTINGS)
    forest = growing.grown(SETTINGS, FIBSEM_PHASES, [(image, labels)])
    theirs = RandomForestClassifier(
        10, min_samples_leaf=growing.SMALLEST_LEAF, max_leaf_nodes=32, random_state=0
    ).fit(X, y)
    grey = standardise(image)
    expected = theirs.predict_proba(local_features(grey)).T.reshape(3, *grey.shape)
    own = forest(torch.from_numpy(grey)[None, None])[0].exp().numpy()
    np.testing.assert_allclose(own, np.maximum(expected, 1e-4), atol=1e-6)


def test_a_forest_learns_the_phases_and_says_where_it_is_unsure(
    model: SegmentationModel, pairs: list[Labelled]
) -> None:
    assert model.card["validation"]["miou"][0] > 0.9
    image, labels = pairs[3]
    found = segment(model, image)
    wrong = found.labels != labels
    assert found.uncertainty[wrong].mean() > 3 * found.uncertainty[~wrong].mean()
    assert model.card["uncertainty"]["count"] == 2


def test_a_forest_in_a_folder_gives_the_same_labels_through_the_analysis(
    model: SegmentationModel, pairs: list[Labelled], tmp_path: Path
) -> None:
    model.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["card.json", "weights.safetensors"]
    loaded = SegmentationModel.load(tmp_path)
    assert loaded.weights_sha256 == model.weights_sha256
    image = pairs[0][0][:65, :1]  # one column wide, which no slope can be taken of
    assert segment(loaded, image).labels.shape == (65, 1)
    result = SegmentMicrographs().run(
        Inputs({"a": pairs[0][0]}), SegmentParams(model=str(tmp_path), tile_px=160)
    )
    np.testing.assert_array_equal(
        result.arrays["a_labels"], segment(model, pairs[0][0], passes=Passes(1024)).labels
    )


def test_tiles_of_a_forest_leave_no_seams(model: SegmentationModel) -> None:
    image = np.random.default_rng(1).normal(size=(70, 211)).astype(np.float32)
    out = np.empty((2, 3, *image.shape), np.float32)
    for number, tile_px in enumerate((200, 1024)):
        for window, p in iterate_tiles(model.network, image, Passes(tile_px)):
            out[number][:, *window] = p
    np.testing.assert_allclose(out[0], out[1], atol=1e-5)


def test_equal_seeds_grow_equal_forests(pairs: list[Labelled], model: SegmentationModel) -> None:
    assert trained(pairs).weights_sha256 == model.weights_sha256


def test_a_forest_learns_from_scribbles(pairs: list[Labelled]) -> None:
    scribbled = []
    for image, labels in pairs:
        lines = np.full_like(labels, UNLABELLED)
        lines[::24, 8:-8] = labels[::24, 8:-8]
        scribbled.append((image, lines))
    forest = growing.grown(SETTINGS, FIBSEM_PHASES, scribbled[:2])
    image, labels = pairs[3]
    out = forest(torch.from_numpy(standardise(image))[None, None])[0].argmax(dim=0).numpy()
    assert np.mean(out == labels) > 0.93


def test_a_forest_by_command_from_scribbles_to_label_maps(
    pairs: list[Labelled],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(NETWORKS, "forest", (8, 32))
    (tmp_path / "painted").mkdir()
    for number, (image, labels) in enumerate(pairs):
        lines = np.full_like(labels, UNLABELLED)
        lines[::16, 8:-8] = labels[::16, 8:-8]
        Image.fromarray(image).save(f"painted/s{number}_0.png")
        Image.fromarray(lines).save(f"painted/s{number}_0_mask.png")
    assert main(["segment", "train", "painted", "--network", "forest", "--out", "model"]) == 0
    told = capsys.readouterr().out
    assert "A forest is a first look: --network unet takes some 2 minutes" in told
    assert "of the pixels are unlabelled" in told
    command = "segment run painted/s3_0.png --model model --out out --keep-probability"
    assert main(command.split()) == 0
    found = np.asarray(tifffile.imread("out/field_000_labels.tif"))
    assert np.mean(found == pairs[3][1]) > 0.9


def test_rare_phases_have_more_than_their_share_of_the_pixels(
    pairs: list[Labelled], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growing, "MOST_PIXELS", 2000)
    image, labels = pairs[0]
    rare = np.where((labels == 1) & (np.indices(labels.shape)[1] > 20), 0, labels)
    before = np.mean(rare == 1)
    _, y = growing._pixels([(image, rare), (image, rare)], 3, SETTINGS)
    assert abs(len(y) - 2000) <= 6
    assert np.mean(y == 1) > 1.5 * before


def test_a_forest_has_arrays_of_the_size_that_its_card_tells() -> None:
    forest = build_network("forest", 4, widths=(5, 7))
    assert isinstance(forest, Forest)
    assert forest.vote.shape == (5, 13, 4)
    assert forest(torch.zeros(1, 1, 4, 6)).exp().unique().tolist() == [0.25]
