from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from bl_steer.analysis.segmentation.model import SegmentationModel
from bl_steer.analysis.segmentation.phases import Phase, Phases
from bl_steer.analysis.segmentation.training import TrainingSettings
from bl_steer.analysis.segmentation.training.card import train_model
from bl_steer.analysis.segmentation.training.training_set import LabelledField, TrainingSet
from bl_steer.cli import main
from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import Upload, User
from bl_steer.server.db.training_tables import Retraining
from bl_steer.server.retraining.comparison import compare
from bl_steer.server.retraining.pairs import add_correction, training_pairs, withdraw
from bl_steer.server.retraining.process import RetrainingTask, retrain
from bl_steer.server.retraining.run import Retrainings
from bl_steer.server.retraining.schedule import DAY_S, is_due
from bl_steer.server.retraining.settings import RetrainingSettings
from bl_steer.server.retraining.snapshots import check_allowed, take_snapshot
from bl_steer.server.settings import ServerSettings

PHASES = Phases(
    (Phase("dark", (255, 0, 0), (213, 94, 0)), Phase("bright", (0, 0, 255), (0, 114, 178)))
)
SMALL = {"network": "unet", "widths": (4, 8), "batch": 2, "patch_px": 32, "calibrate": False}
ASKED = RetrainingSettings(new_pairs=2, every_days=7.0)


def field(seed: int, *, inverted: bool = False, edge: int = 64) -> tuple[Any, Any]:
    """Return a micrograph of two phases, and their labels."""
    rng = np.random.default_rng(seed)
    labels = (gaussian_filter(rng.normal(size=(edge, edge)), 4) > 0).astype(np.uint8)
    bright = 1 - labels if inverted else labels
    grey = np.where(bright, 180, 70) + rng.normal(0, 12, labels.shape)
    return np.clip(grey, 0, 255).astype(np.uint8), labels


def give(
    retrainings: Retrainings, seed: int, sample: str, *, may_train: bool = True, user: str = "u"
) -> tuple[str, str]:
    """Upload a pair as a user would; return the ids of image and mask."""
    image, labels = field(seed, inverted=True)
    place = retrainings.settings.folder / "sent"
    place.mkdir(parents=True, exist_ok=True)
    ids = []
    with retrainings.database.write() as session:
        for name, array in ((f"{seed}.png", image), (f"{seed}_mask.png", labels)):
            Image.fromarray(array).save(place / name)
            with (place / name).open("rb") as file:
                sha256, size = retrainings.files.put(file)
            upload = Upload(
                user_id=user,
                sha256=sha256,
                file_name=name,
                size=size,
                may_train=may_train,
                sample=sample,
            )
            session.add(upload)
            session.flush()
            ids.append(upload.id)
        add_correction(session, ids[0], ids[1], session.get_one(User, user))
    return ids[0], ids[1]


@pytest.fixture
def retrainings(tmp_path: Path, database: Database) -> Retrainings:
    with database.write() as session:
        session.add_all(
            User(id=one, email=f"{one}@example.org", role=role)
            for one, role in {"u": "user", "v": "user", "r": "reviewer", "a": "admin"}.items()
        )
    return Retrainings(ServerSettings(folder=tmp_path / "service"), database, ASKED)


def parts(retrainings: Retrainings) -> dict[str, set[str]]:
    with retrainings.database.write() as session:
        taken = take_snapshot(session, retrainings.retraining, actor="test")
        found: dict[str, set[str]] = {"train": set(), "validation": set(), "hold-out": set()}
        for row in taken.manifest["pairs"]:
            found[row["part"]].add(row["sample"])
        return found


def test_a_sample_stays_in_its_part_for_ever(retrainings: Retrainings) -> None:
    for number in range(4):
        give(retrainings, number, f"s{number}")
    before = parts(retrainings)
    assert all(before.values())
    for number in range(4, 16):
        give(retrainings, number, f"s{number % 12}")
    after = parts(retrainings)
    for part, samples in before.items():
        assert samples <= after[part], part
    assert sum(map(len, after.values())) == 12
    assert after["hold-out"].isdisjoint(after["train"] | after["validation"])
    assert len(after["hold-out"]) == pytest.approx(0.2 * 12, abs=1)


def test_a_held_out_micrograph_never_trains_under_another_name(retrainings: Retrainings) -> None:
    for number in range(6):
        give(retrainings, number, f"s{number}")
    held = parts(retrainings)["hold-out"]
    number = int(next(iter(held)).removeprefix("u/s"))
    give(retrainings, number, "another name", user="v")
    give(retrainings, number, "a third name", user="v")
    with retrainings.database.write() as session:
        taken = take_snapshot(session, ASKED, actor="test")
        image = next(p.image for p in training_pairs(session) if p.sample == f"u/s{number}")
    assert {row["part"] for row in taken.manifest["pairs"] if row["image"] == image} == {"hold-out"}


def test_equal_pairs_are_one_snapshot_and_too_few_samples_none(retrainings: Retrainings) -> None:
    for number in range(3):
        give(retrainings, number, "one and the same")
    with pytest.raises(ValueError, match="at least 3 samples"):
        parts(retrainings)
    for number in range(3, 6):
        give(retrainings, number, f"s{number}")
    with retrainings.database.write() as session:
        first = take_snapshot(session, ASKED, actor="test").sha256
        assert take_snapshot(session, ASKED, actor="test").sha256 == first


def test_what_is_not_given_or_is_withdrawn_is_in_no_snapshot(retrainings: Retrainings) -> None:
    give(retrainings, 90, "private", may_train=False)
    given = [give(retrainings, number, f"s{number}") for number in range(5)]
    with retrainings.database.write() as session:
        taken = take_snapshot(session, ASKED, actor="test")
        assert "u/private" not in {row["sample"] for row in taken.manifest["pairs"]}
        check_allowed(session, taken)
        with pytest.raises(ValueError, match="must be your own"):
            withdraw(session, given[0][0], session.get_one(User, "v"))
        (used,) = withdraw(session, given[0][0], session.get_one(User, "u"))
        assert used.snapshot == taken.sha256
        with pytest.raises(ValueError, match="1 pairs withdrawn"):
            check_allowed(session, taken)
        again = take_snapshot(session, ASKED, actor="test")
        assert given[0][0] not in {row["image_id"] for row in again.manifest["pairs"]}


def test_a_later_mask_takes_the_place_of_an_earlier_one(retrainings: Retrainings) -> None:
    image, _ = give(retrainings, 1, "s")
    _, other = give(retrainings, 2, "t")
    with retrainings.database.write() as session:
        user = session.get_one(User, "u")
        add_correction(session, image, other, user)
        assert {one.mask_id for one in training_pairs(session) if one.image_id == image} == {other}
        with pytest.raises(ValueError, match=r"two uploads of v@example\.org"):
            add_correction(session, image, other, session.get_one(User, "v"))


def test_a_retraining_is_due_when_enough_came_and_enough_time_went_by(
    retrainings: Retrainings,
) -> None:
    with retrainings.database.read() as session:
        assert not is_due(session, ASKED)
    for number in range(4):
        give(retrainings, number, f"s{number}")
    with retrainings.database.read() as session:
        assert is_due(session, ASKED)
        assert not is_due(session, RetrainingSettings(new_pairs=2))
    begun = retrainings.begin(actor="test")
    give(retrainings, 5, "s5")
    give(retrainings, 6, "s6")
    with retrainings.database.read() as session:
        began = session.get_one(Retraining, begun).created
        assert not is_due(session, ASKED, now=began + 6 * DAY_S)
        assert is_due(session, ASKED, now=began + 8 * DAY_S)
        assert not is_due(session, ASKED.model_copy(update={"new_pairs": 3}), now=began + 8 * DAY_S)


def test_the_interval_of_a_difference_holds_the_truth_and_knows_no_difference() -> None:
    rng = np.random.default_rng(1)
    truths = [rng.integers(0, 2, (128, 128)).astype(np.uint8) for _ in range(6)]

    def wrong(share: float) -> list[Any]:
        return [np.where(rng.random(t.shape) < share, 1 - t, t).astype(np.uint8) for t in truths]

    one, alike, better = wrong(0.10), wrong(0.10), wrong(0.05)
    same = compare(truths, one, one, 2)
    assert same.difference == (0.0, 0.0, 0.0)
    assert compare(truths, one, alike, 2).verdict == "no difference shown"
    found = compare(truths, one, better, 2)
    assert found.verdict == "better"
    assert compare(truths, better, one, 2).verdict == "worse"
    # Of two phases of equal share, errors e leave an IoU of (1 - e) / (1 + e).
    expected = 0.95 / 1.05 - 0.90 / 1.10
    assert found.difference[1] < expected < found.difference[2]


def test_a_hold_out_of_one_small_micrograph_shows_no_difference() -> None:
    truth = np.random.default_rng(1).integers(0, 2, (64, 64)).astype(np.uint8)
    one = compare([truth], [1 - truth], [truth], 2)
    assert (one.champion[0], one.candidate[0], one.difference[0]) == (0.0, 1.0, 1.0)
    assert np.isnan([*one.champion[1:], *one.candidate[1:], *one.difference[1:]]).all()
    assert one.verdict == "no difference shown"


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that knows the phases by their greys, the other way round than users paint them."""
    fields = [LabelledField(*field(seed), f"c{seed}", {}, f"c{seed}") for seed in range(500, 504)]
    settings = TrainingSettings(**SMALL, steps=30, evaluate_every=15)
    folder = tmp_path_factory.mktemp("models") / "champion"
    train_model(TrainingSet(PHASES, fields[:3], fields[3:], []), settings, folder=folder)
    return folder


def test_a_training_goes_on_from_a_model_and_refuses_another_kind(champion: Path) -> None:
    model = SegmentationModel.load(champion)
    fields = [LabelledField(*field(seed), f"c{seed}", {}, f"c{seed}") for seed in range(500, 504)]
    data = TrainingSet(PHASES, fields[:3], fields[3:], [])
    settings = TrainingSettings(**SMALL, steps=1, learning_rate=1e-9, evaluate_every=1)
    further = train_model(data, settings, start=model)
    fresh = train_model(data, settings)
    assert further.card["validation"]["miou"][0] == pytest.approx(
        model.card["validation"]["miou"][0], abs=0.1
    )
    assert fresh.card["validation"]["miou"][0] < 0.8
    other = TrainingSettings(**{**SMALL, "widths": (4, 6)}, steps=1)
    with pytest.raises(ValueError, match="to be trained further"):
        train_model(data, other, start=model)


def pair_rows(folder: Path, part: str, seed: int) -> dict[str, str]:
    """Write a pair as it lies before a retraining's process; return what that is told of it."""
    image, labels = field(seed)
    names = {"image": f"{seed:05d}_image.png", "mask": f"{seed:05d}_mask.png"}
    for key, array in (("image", image), ("mask", labels)):
        Image.fromarray(array).save(folder / names[key])
    paths = {key: str(folder / name) for key, name in names.items()}
    about = {"sample": f"s{seed}", "part": part}
    return {**paths, **about, "name": f"view {seed}.png", "mask_name": f"mask {seed}.png"}


def test_pairs_that_cannot_train_are_left_out_and_the_report_says_so(
    champion: Path, tmp_path: Path
) -> None:
    pairs = tmp_path / "pairs"
    pairs.mkdir()
    parts = ("train", "validation", "hold-out")
    good = [pair_rows(pairs, part, seed) for seed, part in enumerate(parts)]
    tiny = pair_rows(pairs, "train", 3)
    for path in (tiny["image"], tiny["mask"]):
        Image.fromarray(np.zeros((1, 1), np.uint8)).save(path)
    other = pair_rows(pairs, "train", 4)
    Image.fromarray(1 - field(4)[1]).save(other["mask"])
    bad = [pair_rows(pairs, part, 10 + seed) for seed, part in enumerate((*parts, *parts[1:]))]
    Image.new("RGB", (64, 64), (0, 200, 90)).save(bad[0]["mask"])  # foreign colours
    Path(bad[1]["image"]).write_bytes(Path(bad[1]["image"]).read_bytes()[:300])
    Image.fromarray(field(1, edge=48)[1]).save(bad[2]["mask"])
    Path(bad[3]["mask"]).unlink()
    bad[4]["image"] += ".npy"
    np.save(bad[4]["image"], np.full((64, 64), np.nan))
    settings = {"steps": 2, "batch": 2, "patch_px": 32, "evaluate_every": 1}
    made = tmp_path / "out"
    made.mkdir()
    task = RetrainingTask("f" * 64, [*good, tiny, other, *bad], str(champion), str(made), settings)
    report = retrain(task)
    assert report["counts"] == {"train": 3, "validation": 1, "hold-out": 1}
    (exchanged,) = [one["name"] for one in report["notes"] if "phases exchanged" in one["note"]]
    assert exchanged == "view 4.png"
    left_out = {one["name"]: (one["part"], one["reason"]) for one in report["left_out"]}
    assert list(left_out) == [f"view {seed}.png" for seed in range(10, 15)]
    assert left_out["view 10.png"][0] == "train"
    assert "mask 10.png: mask must be painted in" in left_out["view 10.png"][1]
    assert "view 11.png must be a whole PNG image" in left_out["view 11.png"][1]
    assert "mask must have the size of its image" in left_out["view 12.png"][1]
    assert "mask 13.png" in left_out["view 13.png"][1]
    assert "view 14.png must have finite grey levels" in left_out["view 14.png"][1]
    page = (made / "report.html").read_text()
    assert "whose mask does not fit: 5." in page
    assert "マスクが合わないため使用しなかった組：5。" in page
    assert page.count("mask must be painted in") == 1
    assert "マスクは" in page
    assert "view 4.png: bright はここでは dark より暗く、ほかの 3 組では明るく" in page

    task = RetrainingTask("f" * 64, [*good[:2], bad[2]], str(champion), str(made), settings)
    with pytest.raises(ValueError, match=r"got none to hold-out \(view 12\.png: .*size of its"):
        retrain(task)


def use_server_of(retrainings: Retrainings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have commands work on the server of these retrainings."""
    monkeypatch.setenv("BL_STEER_SERVICE_FOLDER", str(retrainings.settings.folder))
    url = retrainings.database.engine.url.render_as_string(hide_password=False)
    monkeypatch.setenv("BL_STEER_SERVICE_DATABASE_URL", url)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_command_line_takes_pairs_in_and_snapshots_them(
    retrainings: Retrainings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "pairs"
    folder.mkdir()
    for number in range(5):
        image, labels = field(number)
        Image.fromarray(image).save(folder / f"spot{number}_a.png")
        Image.fromarray(labels).save(folder / f"spot{number}_a_mask.png")
    use_server_of(retrainings, monkeypatch)
    who = ["--user", "u@example.org"]
    foreign = np.full((*labels.shape, 3), (0, 200, 90), np.uint8)
    Image.fromarray(image).save(folder / "spot9_a.png")
    Image.fromarray(foreign).save(folder / "spot9_a_mask.png")
    assert main(["retrain", "add", str(folder), *who]) == 0
    lines = capsys.readouterr().out.splitlines()
    (refused,) = (line for line in lines if line.startswith("refused"))
    assert "spot9_a_mask.png: mask must be painted in" in refused
    assert main(["retrain", "snapshot", *who, "--json", str(tmp_path / "s.json")]) == 0
    counts = json.loads((tmp_path / "s.json").read_text())
    assert counts["train"] + counts["validation"] + counts["hold-out"] == 5
    assert main(["retrain", "list"]) == 0  # reading is nobody's deed
    assert "no retrainings" in capsys.readouterr().out
    with retrainings.database.read() as session:
        upload = training_pairs(session)[0].image_id
    assert main(["retrain", "withdraw", upload, *who]) == 0
    assert f"snapshot {counts['snapshot'][:12]} has it" in capsys.readouterr().out


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_nothing_is_added_where_all_masks_are_painted_in_foreign_colours(
    retrainings: Retrainings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "pairs"
    folder.mkdir()
    Image.fromarray(field(1)[0]).save(folder / "spot1.png")
    Image.new("RGB", (64, 64), (0, 200, 90)).save(folder / "spot1_mask.png")
    use_server_of(retrainings, monkeypatch)
    assert main(["retrain", "add", str(folder), "--user", "u@example.org"]) == 2
    assert "nothing was added" in capsys.readouterr().err
    with retrainings.database.read() as session:
        assert training_pairs(session) == []
