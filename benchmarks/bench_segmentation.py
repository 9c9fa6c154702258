"""Networks on real and simulated micrographs, beside MONAI's own U-Net.

    python benchmarks/bench_segmentation.py superalloy [--seeds 0:3] [--networks segnet unet …]
    python benchmarks/bench_segmentation.py few [--seeds 0:1] [--images 1 2 4] [--networks …]
    python benchmarks/bench_segmentation.py coatings [--seeds 0:1] [--images 4 13]
    python benchmarks/bench_segmentation.py planner [--seeds 0:1]

Training is timed in CPU seconds of one thread. The weights are chosen on the validation images;
the test images are looked at once, at the end. The shipped model: `bench_shipped_model.py`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bl_steer.analysis.segmentation import (
    ONE_PASS,
    Passes,
    SegmentationModel,
    parse_phases,
)
from bl_steer.analysis.segmentation.model import prepared
from bl_steer.analysis.segmentation.networks import SegmentationNetwork
from bl_steer.analysis.segmentation.training import (
    LabelledField,
    Training,
    TrainingSet,
    TrainingSettings,
    calibrated,
    evaluate_model,
    train_model,
)

SUPERALLOY = Path(__file__).parents[2] / "shared" / "data" / "sem" / "super1"
PHASES = "matrix:none,secondary:blue,tertiary:red"
DEFAULTS = ["forest", "unet"]
PEER = "monai-unet"
TURNED = Passes(views=8)
SETTINGS: dict[str, dict[str, Any]] = {
    "segnet": {"network": "segnet", "widths": (16, 32, 64, 128), "steps": 1000},
    "unet": {"network": "unet", "widths": (16, 32, 64, 128, 256), "steps": 850},
    "pspnet": {"network": "pspnet", "widths": (16, 32, 64, 128), "steps": 600},
    "monai-unet": {"network": "unet", "widths": (16, 32, 64, 128, 256), "steps": 850},
}
"""Steps by what five CPU minutes allow on the machine of docs/benchmarks.md."""
RECIPE: dict[str, Any] = {
    "learning_rate": 4e-3,
    "weight_decay": 0.05,
    "rarity_power": 0.0,
    "evaluate_every": 100,
    "patience": 100,
    "rounds": 1,
    # The paint follows single noisy pixels: warps, blur and more noise would hide what it follows.
    "augmentation": {
        "warp_share": 0.0,
        "noise": 0.0,
        "blur_px": 0.0,
        "gain": 0.35,
        "gamma": 0.3,
        "offset": 0.3,
        "shading": 0.4,
    },
}


class MonaiUNet(SegmentationNetwork):
    """MONAI's U-Net as it comes, with the widths of ours."""

    def __init__(self, n_phases: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        from monai.networks.nets.unet import UNet

        self.stride = 2 ** (len(widths) - 1)
        self.halo = 256  # not measured: no image here is cut into tiles
        self.net = UNet(
            spatial_dims=2,
            in_channels=1,
            out_channels=n_phases,
            channels=widths,
            strides=(2,) * (len(widths) - 1),
            num_res_units=2,
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


class PeerTraining(Training):
    """The same training of MONAI's U-Net."""

    def _build(self) -> SegmentationNetwork:
        widths = self.settings.widths or ()
        return MonaiUNet(len(self.phases), widths).to(memory_format=torch.channels_last)


def superalloy(networks: list[str], seeds: range) -> list[dict[str, Any]]:
    data = TrainingSet.read(
        SUPERALLOY / "train",
        parse_phases(PHASES),
        validation=SUPERALLOY / "val",
        test=SUPERALLOY / "test",
    )
    rows = []
    for name in networks:
        for seed in seeds:
            rows.append(superalloy_row(data, name, seed))
            print(json.dumps(rows[-1]), flush=True)
    for name in networks:
        own = [row for row in rows if row["network"] == name]
        print(
            f"{name:12}",
            *(
                f"{key} {statistics.median(row[key] for row in own):.4f}"
                for key in ("cpu_s", "validation", "test_uncalibrated", "test", "test_8_views")
            ),
            flush=True,
        )
    return rows


def superalloy_row(data: TrainingSet, name: str, seed: int) -> dict[str, Any]:
    kind = PeerTraining if name == PEER else Training
    settings = TrainingSettings(**SETTINGS[name], **RECIPE, seed=seed)
    pairs = [[one.pair for one in part] for part in (data.train, data.validation)]
    began = time.process_time()
    training = kind(settings, data.phases, *pairs)
    plain = prepared(training.run())
    network = prepared(calibrated(plain, pairs[1], len(data.phases)))
    row: dict[str, Any] = {
        "network": name,
        "seed": seed,
        "parameters": sum(p.numel() for p in network.parameters()),
        "steps": training.step,
        "cpu_s": round(time.process_time() - began, 1),
        "validation": round(max(row["miou"] for row in training.history), 4),
    }
    for key, one, passes in (
        ("test_uncalibrated", plain, ONE_PASS),
        ("test", network, ONE_PASS),
        ("test_8_views", network, TURNED),
    ):
        model = SegmentationModel(one, name, settings.widths or (), data.phases)
        found = evaluate_model(model, data.test, passes=passes)
        row[key] = round(found.miou, 4)
        row[f"{key}_interval"] = [round(found.miou_low, 4), round(found.miou_high, 4)]
        row[f"{key}_iou"] = np.round(found.iou, 4).tolist()
    return row


def few(networks: list[str], seeds: range, images: list[int]) -> list[dict[str, Any]]:
    """Train on few images of the superalloy as the command does, with its defaults.

    The peer is trained with the recipe of `superalloy`.
    """
    data = TrainingSet.read(SUPERALLOY, parse_phases(PHASES))
    # One image of each specimen first, as the planner's learning curve takes them.
    train = [*data.train[::2], *data.train[1::2]]
    sets = {n: replace(data, train=train[:n]) for n in images}
    rows = []
    for n, part in sets.items():
        for name in networks:
            for seed in seeds:
                if name == PEER:
                    rows.append({"images": n, **superalloy_row(part, name, seed)})
                    print(json.dumps(rows[-1]), flush=True)
                else:
                    rows.append(default_row(part, n, name, seed))
    return rows


def coatings(networks: list[str], seeds: range, images: list[int]) -> list[dict[str, Any]]:
    """Train on simulated coatings with cracks as the command does, with its defaults."""
    from simulators.electron.coatings import coating_field

    def fields(numbers: range) -> list[LabelledField]:
        return [LabelledField(*coating_field(n), f"s{n}", {}, f"s{n}") for n in numbers]

    data = TrainingSet(
        parse_phases("coating:none,oxide:blue,crack:red"),
        fields(range(13)),
        fields(range(100, 104)),
        fields(range(200, 204)),
    )
    sets = {n: replace(data, train=data.train[:n]) for n in images}
    return [default_row(part, n, name, seed)
            for n, part in sets.items() for name in networks for seed in seeds]  # fmt: skip


def default_row(data: TrainingSet, n: int, name: str, seed: int) -> dict[str, Any]:
    began = time.process_time()
    model = train_model(data, TrainingSettings(network=name, seed=seed))
    row: dict[str, Any] = {
        "images": n,
        "network": name,
        "seed": seed,
        "steps": model.card["steps_done"],
        "cpu_s": round(time.process_time() - began, 1),
        "calibrated": model.calibrated,
    }
    for part in ("validation", "test"):
        row[part] = np.round(model.card[part]["miou"], 4).tolist()
        row[f"{part}_iou"] = {k: round(v[0], 4) for k, v in model.card[part]["iou"].items()}
    print(json.dumps(row), flush=True)
    return row


def planner(seeds: range, sizes: tuple[int, ...] = (5, 10), everything: int = 96) -> list[Any]:
    """Predict the score with all pairs from those with few, on simulated micrographs.

    Each seed shuffles the pairs and the training, which is long enough that the number of pairs
    limits it, not the number of steps.
    """
    return [predict_from_few(seed, sizes, everything) for seed in seeds]


def predict_from_few(seed: int, sizes: tuple[int, ...], everything: int) -> dict[str, Any]:
    sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
    from train_fibsem_model import SETTINGS as SHIPPED
    from train_fibsem_model import training_set

    from bl_steer.analysis.segmentation.planning import curve_of, measure_learning

    settings = SHIPPED.model_copy(update={"steps": 800, "evaluate_every": 100, "seed": seed})
    data = training_set()
    order = np.random.default_rng(seed).permutation(len(data.train)) if seed else range(everything)
    scores = measure_learning(
        replace(data, train=[data.train[i] for i in order]),
        settings,
        (*sizes, everything),
        on_size=lambda size, one: print(f"{size} pairs: mIoU {one.miou:.4f}", flush=True),
    )
    report: dict[str, Any] = {
        "seed": seed,
        "measured": {
            n: [round(x, 4) for x in (one.miou, one.miou_low, one.miou_high)]
            for n, one in zip((*sizes, everything), scores, strict=True)
        },
    }
    mean, low, high = curve_of(sizes, scores[:-1]).predict(everything)
    report["predicted"] = [round(x, 4) for x in (mean, low, high)]
    print(json.dumps(report, indent=1), flush=True)
    return report


def main() -> None:
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "what",
        nargs="?",
        choices=("superalloy", "few", "coatings", "planner"),
    )
    parser.add_argument("--networks", nargs="+")
    parser.add_argument("--seeds", default="0:3")
    parser.add_argument("--images", nargs="+", type=int, help="to train on")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    first, _, end = arguments.seeds.partition(":")
    seeds = range(int(first), int(end))
    results: dict[str, Any] = {}
    if arguments.what in (None, "planner"):
        results["planner"] = planner(seeds)
    if arguments.what in (None, "superalloy"):
        if not SUPERALLOY.is_dir():
            print(f"left out: superalloy, {SUPERALLOY} is absent")
        else:
            results["superalloy"] = superalloy(arguments.networks or list(SETTINGS), seeds)
    if arguments.what == "few":
        results["few"] = few(
            arguments.networks or [*DEFAULTS, PEER], seeds, arguments.images or [1, 2, 4]
        )
    if arguments.what == "coatings":
        results["coatings"] = coatings(
            arguments.networks or DEFAULTS, seeds, arguments.images or [4, 13]
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
