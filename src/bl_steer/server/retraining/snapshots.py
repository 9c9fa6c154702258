"""The training data at one time: a list of hashes under one hash, split by sample.

A sample is put into a part when it is first seen, and stays there for ever. So the hold-out grows
and never trains, neither this model nor any later one.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from bl_steer.processing.digest import canonical_json
from bl_steer.server.db.audit import record_event
from bl_steer.server.db.training_tables import SamplePart, Snapshot
from bl_steer.server.retraining.pairs import training_pairs
from bl_steer.server.retraining.settings import RetrainingSettings
from bl_steer.server.uploads.blobs import FileStore

__all__ = ["PARTS", "TooFewSamples", "check_allowed", "export_snapshot", "take_snapshot"]

Part = Literal["train", "validation", "hold-out"]
PARTS: tuple[Part, ...] = ("train", "validation", "hold-out")
FORM = 1


class TooFewSamples(ValueError):
    """There are too few samples for the three parts.

    Parameters
    ----------
    counts : of pairs by part
    samples : that there are
    """

    def __init__(self, counts: Mapping[Part, int], samples: int) -> None:
        named = ", ".join(f"{n} to {part}" for part, n in counts.items())
        super().__init__(
            f"a snapshot must have pairs of at least {len(PARTS)} samples, got {named} (of "
            f"{samples} samples); collect more, and name their samples"
        )
        self.counts, self.samples = dict(counts), samples


def take_snapshot(session: Session, settings: RetrainingSettings, *, actor: str) -> Snapshot:
    """Keep which pairs there are now; the same pairs give the snapshot that there is already.

    Raises
    ------
    TooFewSamples
        For the three parts.

    Notes
    -----
    A micrograph that lies in the hold-out under one sample's name does not train under another's.
    """
    pairs = training_pairs(session)
    part_of = _assign(session, sorted({pair.sample for pair in pairs}), settings)
    held_out = {pair.image for pair in pairs if part_of[pair.sample] == "hold-out"}
    rows = [
        {**asdict(pair), "part": part_of[pair.sample]}
        for pair in pairs
        if part_of[pair.sample] == "hold-out" or pair.image not in held_out
    ]
    counts = {part: sum(row["part"] == part for row in rows) for part in PARTS}
    if not all(counts.values()):
        raise TooFewSamples(counts, len(part_of))
    manifest: dict[str, Any] = {"form": FORM, "counts": dict(counts), "pairs": rows}
    sha256 = hashlib.sha256(canonical_json(manifest).encode()).hexdigest()
    known = session.get(Snapshot, sha256)
    if known is not None:
        return known
    snapshot = Snapshot(sha256=sha256, manifest=manifest)
    session.add(snapshot)
    session.flush()
    record_event(session, actor, "snapshot take", sha256, manifest["counts"])
    return snapshot


def check_allowed(session: Session, snapshot: Snapshot) -> None:
    """Raise `ValueError` where something in a snapshot was withdrawn or deleted since."""
    allowed = {(pair.image_id, pair.image) for pair in training_pairs(session)}
    deleted = [
        row["image_id"]
        for row in snapshot.manifest["pairs"]
        if (row["image_id"], row["image"]) not in allowed
    ]
    if deleted:
        raise ValueError(
            f"a snapshot must hold what may still be used, got {len(deleted)} pairs withdrawn or "
            f"deleted since {snapshot.sha256[:12]}… was taken; take a new one"
        )


def export_snapshot(
    snapshot: Snapshot, files: FileStore, scratch: Path, inside: Path
) -> tuple[list[dict[str, Any]], dict[Path, Path]]:
    """Return the pairs with the paths that a process sees, and where these lie on this machine.

    Parameters
    ----------
    scratch : for copies of files that are far away
    inside : folder of the files as the process sees them
    """
    rows, readable = [], {}
    for number, row in enumerate(snapshot.manifest["pairs"]):
        seen = {}
        for key in ("image", "mask"):
            suffix = Path(row[f"{key}_name"]).suffix.lower()
            seen[key] = inside / f"{number:05d}_{key}{suffix}"
            with contextlib.suppress(FileNotFoundError):
                # The process leaves out what is not there, and says so.
                readable[seen[key]] = files.path_for(row[key], scratch)
        rows.append(
            {
                "image": str(seen["image"]),
                "mask": str(seen["mask"]),
                "sample": row["sample"],
                "part": row["part"],
                "name": row["image_name"],
                "mask_name": row["mask_name"],
            }
        )
    return rows, readable


def _assign(
    session: Session, samples: list[str], settings: RetrainingSettings
) -> Mapping[str, str]:
    """Return the part of each sample; new ones go where samples are lacking most."""
    known = {row.sample: row.part for row in session.scalars(select(SamplePart))}
    pending = {
        "hold-out": settings.hold_out_share,
        "validation": settings.validation_share,
        "train": 1.0 - settings.hold_out_share - settings.validation_share,
    }
    # In an order that nobody chose: by hash, not by name.
    new = sorted(set(samples) - set(known), key=lambda s: hashlib.sha256(s.encode()).hexdigest())
    for sample in new:
        counts = {part: sum(p == part for p in known.values()) for part in pending}
        empty = [part for part in ("train", "validation", "hold-out") if not counts[part]]
        total = len(known) + 1
        lacking = max(pending, key=lambda part: pending[part] * total - counts[part])
        known[sample] = empty[0] if empty else lacking
        session.add(SamplePart(sample=sample, part=known[sample]))
    session.flush()
    return {sample: known[sample] for sample in samples}
