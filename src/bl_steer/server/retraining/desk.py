"""What ``bl-steer retrain …`` does on the server's own machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bl_steer.protocols import Progress
from bl_steer.server.packages.desk import Desk

if TYPE_CHECKING:
    from bl_steer.analysis.segmentation.training.pairs import Pair
    from bl_steer.server.retraining.run import Retrainings

__all__ = ["add_pairs", "carry_out", "listed", "report", "snapshot", "submit", "withdraw"]


def add_pairs(desk: Desk, folder: Path, *, sample_pattern: str | None) -> dict[str, Any]:
    """Upload the painted pairs of a folder in the name of the user, to be trained on.

    Pairs whose mask does not fit the model to be trained further are left out, and told.
    """
    from bl_steer.analysis.segmentation.training.pairs import describe_samples, find_pairs
    from bl_steer.server.db.tables import Blob, Upload
    from bl_steer.server.retraining.pairs import add_correction
    from bl_steer.server.uploads.blobs import FileStore

    files = FileStore(desk.settings.files)
    found = find_pairs(folder, sample_pattern=sample_pattern)
    refused = _refused(desk, found)
    pairs = [pair for pair in found if pair.mask not in refused]
    for pair in pairs:
        stored = []
        for path in (pair.image, pair.mask):
            with path.open("rb") as file:
                stored.append((path.name, *files.put(file)))
        with desk.database.write() as session:
            user = desk.user(session)
            uploads = []
            for name, sha256, size in stored:
                if session.get(Blob, sha256) is None:
                    session.add(Blob(sha256=sha256, size=size))
                uploads.append(
                    Upload(
                        user_id=user.id,
                        sha256=sha256,
                        file_name=name,
                        size=size,
                        may_train=True,
                        sample=pair.sample,
                    )
                )
            session.add_all(uploads)
            session.flush()
            add_correction(session, uploads[0].id, uploads[1].id, user)
    return {
        "pairs": len(pairs),
        "samples": describe_samples(pairs),
        "refused": [{"mask": str(mask), "reason": reason} for mask, reason in refused.items()],
    }


def snapshot(desk: Desk) -> dict[str, Any]:
    """Keep which pairs there are now."""
    from bl_steer.server.retraining.settings import RetrainingSettings
    from bl_steer.server.retraining.snapshots import take_snapshot

    with desk.database.write() as session:
        email = desk.user(session).email
        taken = take_snapshot(session, RetrainingSettings(), actor=email)
        return {"snapshot": taken.sha256, **taken.manifest["counts"]}


def carry_out(
    retraining_id: str | None,
    *,
    email: str | None,
    folder: Path | None = None,
    progress: Progress | None,
) -> dict[str, Any]:
    """Carry a queued retraining out, or begin one in the name of a user."""
    from bl_steer.server.packages.desk import open_desk

    with open_desk(email or "", folder) as desk:
        retrainings = _retrainings(desk)
        if retraining_id is None:
            with desk.database.read() as session:
                actor = desk.user(session).email
            retraining_id = retrainings.begin(actor=actor)
        found = retrainings.carry_out(retraining_id, progress)
        return {"id": retraining_id, "folder": str(retrainings.folder_of(retraining_id)), **found}


def listed(desk: Desk) -> list[dict[str, Any]]:
    """Return a row for each retraining, the latest first."""
    from sqlalchemy import select

    from bl_steer.server.db.training_tables import Retraining

    with desk.database.read() as session:
        rows = session.scalars(select(Retraining).order_by(Retraining.created.desc())).all()
        return [
            {
                "id": one.id,
                "state": one.state,
                "created": one.created,
                "verdict": one.report.get("comparison", {}).get("verdict", one.message),
                "package": one.package_sha256,
            }
            for one in rows
        ]


def report(desk: Desk, key: str) -> dict[str, Any]:
    """Return a retraining's report, and where its page is."""
    from bl_steer.server.db.training_tables import Retraining
    from bl_steer.server.retraining.process import REPORT_PAGE

    retraining_id = _full_id(desk, key)
    with desk.database.read() as session:
        row = session.get_one(Retraining, retraining_id)
        page = _retrainings(desk).folder_of(row.id) / REPORT_PAGE
        return {"id": row.id, "state": row.state, "page": str(page), **row.report}


def submit(desk: Desk, key: str) -> dict[str, Any]:
    """Submit a candidate as a package."""
    with desk.database.read() as session:
        user = desk.user(session)
    sha256 = _retrainings(desk).submit(_full_id(desk, key), user)
    return {"package": sha256}


def withdraw(desk: Desk, upload_id: str) -> list[dict[str, Any]]:
    """Take an upload out of all later training; return what has used it already."""
    from bl_steer.server.retraining.pairs import withdraw as take_out

    with desk.database.write() as session:
        return [asdict(one) for one in take_out(session, upload_id, desk.user(session))]


def _refused(desk: Desk, pairs: Sequence[Pair]) -> dict[Path, str]:
    """Return why masks would stop a training of the champion, by mask; none that fits."""
    from bl_steer.server.retraining.mask_check import look_at_mask

    with desk.database.read() as session:
        phases = _retrainings(desk).champion_phases(session)
    said = {}
    for pair in pairs:
        found = look_at_mask(pair.image, pair.mask, phases)
        if found.problem == "several":
            said[pair.mask] = f"a micrograph must be alone in its file, got {found.got}"
        elif found.problem == "size":
            said[pair.mask] = f"its size must be {found.wanted}, got {found.got}"
        elif found.problem != "none":
            said[pair.mask] = " ".join(found.reason.split())
    return said


def _retrainings(desk: Desk) -> Retrainings:
    from bl_steer.server.retraining.run import Retrainings

    return Retrainings(desk.settings, desk.database)


def _full_id(desk: Desk, key: str) -> str:
    found = [one["id"] for one in listed(desk) if one["id"].startswith(key)]
    if len(found) != 1:
        raise ValueError(
            f"a retraining must be named by its id or the beginning of it, got {key!r} for "
            f"{len(found)}; see 'bl-steer retrain list'"
        )
    return str(found[0])
