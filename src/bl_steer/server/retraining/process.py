"""What trains a candidate inside the sandbox: ``python -m bl_steer.server.retraining.process``.

It reads one task as JSON from standard input, tells of its progress on standard output, and leaves
the candidate's folder, ``report.json`` and ``report.html`` in the folder it may write.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bl_steer import files, plotting
from bl_steer.analysis import segmentation
from bl_steer.analysis.segmentation import training
from bl_steer.server import retraining
from bl_steer.single_thread import single_thread

__all__ = ["MODEL", "REPORT", "REPORT_PAGE", "RetrainingTask", "main", "retrain"]

MODEL = "model"
REPORT = "report.json"
REPORT_PAGE = "report.html"
PARTS = ("train", "validation", "hold-out")


@dataclass(frozen=True)
class RetrainingTask:
    """What the process is told.

    Parameters
    ----------
    snapshot : its hash
    pairs : ``image``, ``mask`` (paths), ``sample``, ``part``, ``name`` and ``mask_name`` of each
    champion : folder of the model to begin with
    settings : of the training, beside network and widths, which are the champion's
    """

    snapshot: str
    pairs: Sequence[dict[str, Any]]
    champion: str
    out: str
    settings: dict[str, Any] = field(default_factory=dict)


def main() -> None:
    """Carry out the task of standard input; a failure is the last line of standard error."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def progress(done: int, total: int) -> None:
        answers.write(json.dumps({"progress": [done, total]}) + "\n")

    try:
        retrain(RetrainingTask(**json.loads(sys.stdin.read())), progress)
    except (ValueError, OSError) as error:
        sys.exit(" ".join(str(error).split()))


def retrain(task: RetrainingTask, progress: Any = None) -> dict[str, Any]:
    """Train the candidate from the champion, hold both against each other, and report.

    A pair that cannot be read, or whose mask does not fit, is left out, and the report says so.

    Raises
    ------
    ValueError
        When the other pairs lack a part, or a phase.
    """
    began = time.perf_counter()
    out = Path(task.out)
    champion = segmentation.SegmentationModel.load(task.champion)
    fields, left_out = _read(task, champion)
    notes = [
        {"name": labelled.name, "note": note}
        for part in PARTS
        for labelled in fields[part]
        for note in labelled.notes
    ]
    every = [labelled for part in PARTS for labelled in fields[part]]
    notes += [
        {"name": every[number].name, "note": note}
        for contrary, note in training.exchanged_phases(
            [labelled.pair for labelled in every], champion.phases.names
        )
        for number in contrary
    ]
    data = _training_set(fields, champion)
    settings = training.TrainingSettings(
        **task.settings,
        network=champion.name,
        widths=champion.widths,
        calibrate=champion.calibrated,
        rounds=1,
    )
    # The hold-out is no part of this: it is used once, when all is done.
    candidate = training.train_model(
        data, settings, folder=out / MODEL, progress=progress, start=champion
    )
    (out / MODEL / "checkpoint.pt").unlink(missing_ok=True)
    hold_out = fields["hold-out"]
    compared = retraining.compare(
        [labelled.labels for labelled in hold_out],
        _labels(champion, hold_out),
        _labels(candidate, hold_out),
        len(champion.phases),
    )
    report: dict[str, Any] = _finite(
        {
            "snapshot": task.snapshot,
            "counts": {part: len(rows) for part, rows in fields.items()},
            "left_out": left_out,
            "notes": notes,
            "hold_out": [labelled.name for labelled in hold_out],
            "phases": list(champion.phases.names),
            "champion_weights": champion.weights_sha256,
            "candidate_weights": candidate.weights_sha256,
            "steps": settings.steps,
            "steps_done": candidate.card["steps_done"],
            "film_log_odds": dict(
                zip(champion.phases.names, candidate.film_log_odds, strict=False)
            ),
            "comparison": {**asdict(compared), "verdict": compared.verdict},
            "duration_s": time.perf_counter() - began,
        }
    )
    _write(report, candidate, out)
    return report


def _training_set(fields: Mapping[str, Sequence[Any]], champion: Any) -> Any:
    return training.TrainingSet(
        champion.phases, fields["train"], fields["validation"], [], champion.pixel_size_nm
    )


def _read(task: RetrainingTask, champion: Any) -> tuple[dict[str, list[Any]], list[dict[str, str]]]:
    """Return the micrographs and masks of each part, and which pairs are left out, and why."""
    fields: dict[str, list[Any]] = {part: [] for part in PARTS}
    left_out = []
    for row in task.pairs:
        try:
            fields[row["part"]].append(_field(row, champion))
        except ValueError as error:
            reason = " ".join(str(error).split())
            for key, name in (("image", "name"), ("mask", "mask_name")):
                reason = reason.replace(Path(row[key]).name, row[name])
            left_out.append({"name": row["name"], "part": row["part"], "reason": reason[:500]})
    if empty := [part for part in PARTS if not fields[part]]:
        why = "; ".join(f"{row['name']}: {row['reason']}" for row in left_out)
        raise ValueError(
            f"a retraining must have pairs of each part, got none to {' and '.join(empty)} "
            f"({why[:800] or 'none was given'}); collect more"
        )
    return fields, left_out


def _field(row: dict[str, Any], champion: Any) -> Any:
    """Return a micrograph and its mask, at the champion's pixel size."""
    image, painted = Path(row["image"]), Path(row["mask"])
    read, mask = training.load_pair(
        training.Pair(image, painted, row["sample"], {}), champion.phases, called=row["name"]
    )
    (grey,) = read.fields
    if not np.isfinite(grey).all():
        raise ValueError(
            f"{image.name} must have finite grey levels, got others; crop or fill them"
        )
    size, model_nm = read.pixel_size_nm, champion.pixel_size_nm
    if size and model_nm and not 1 <= grey.size * (size / model_nm) ** 2 <= files.MAX_PIXELS:
        raise ValueError(
            f"{image.name} must have pixels of about {model_nm:g} nm, got {size:g} nm; give another"
        )
    conditions = {} if size is None else {"pixel_size_nm": size}
    field = training.LabelledField(
        grey, mask.labels, row["sample"], conditions, row["name"], mask.report.notes
    )
    return training.at_pixel_size(field, model_nm)


def _labels(model: Any, fields: Sequence[Any]) -> list[Any]:
    with single_thread():
        return [
            segmentation.segment(model, labelled.image, keep_probability=False).labels
            for labelled in fields
        ]


def _write(report: dict[str, Any], candidate: Any, out: Path) -> None:
    with plotting.with_japanese():
        history = retraining.draw_training(candidate.card["history"])
        page = retraining.write_report(report, [retraining.draw_comparison(report), history])
    (out / REPORT_PAGE).write_text(page, encoding="utf-8")
    (out / REPORT).write_text(json.dumps(report), encoding="utf-8")


def _finite(value: Any) -> Any:
    """Return JSON-compatible data, NaN turned into None."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


if __name__ == "__main__":
    main()
