"""What ``bl-steer retrain …`` does on the server's own machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import select

from bl_steer.analysis.segmentation import training
from bl_steer.protocols import Progress
from bl_steer.server.db.tables import Upload
from bl_steer.server.db.training_tables import Retraining
from bl_steer.server.packages.commands import LocalServer, open_local_server
from bl_steer.server.retraining import pairs as corrections
from bl_steer.server.retraining.mask_check import look_at_mask
from bl_steer.server.retraining.process import REPORT_PAGE
from bl_steer.server.retraining.run import Retrainings
from bl_steer.server.retraining.settings import RetrainingSettings
from bl_steer.server.retraining.snapshots import take_snapshot
from bl_steer.server.uploads.blobs import FileStore
from bl_steer.server.uploads.uploads import register_file

__all__ = ["add_pairs", "carry_out", "listed", "report", "snapshot", "submit", "withdraw"]


def add_pairs(local: LocalServer, folder: Path, *, sample_pattern: str | None) -> dict[str, Any]:
    """Upload the painted pairs of a folder in the name of the user, to be trained on.

    Pairs whose mask does not fit the model to be trained further are left out, and told.
    """
    files = FileStore(local.settings.files)
    in_folder = training.find_pairs(folder, sample_pattern=sample_pattern)
    refused = _refused(local, in_folder)
    pairs = [pair for pair in in_folder if pair.mask not in refused]
    for pair in pairs:
        stored = []
        for path in (pair.image, pair.mask):
            with path.open("rb") as file:
                stored.append((path.name, *files.put(file)))
        with local.database.write() as session:
            user = local.user(session)
            uploads = []
            for name, sha256, size in stored:
                register_file(session, sha256, size)
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
            corrections.add_correction(session, uploads[0].id, uploads[1].id, user)
    return {
        "pairs": len(pairs),
        "samples": training.describe_samples(pairs),
        "refused": [{"mask": str(mask), "reason": reason} for mask, reason in refused.items()],
    }


def snapshot(local: LocalServer) -> dict[str, Any]:
    """Keep which pairs there are now."""
    with local.database.write() as session:
        email = local.user(session).email
        row = take_snapshot(session, RetrainingSettings(), actor=email)
        return {"snapshot": row.sha256, **row.manifest["counts"]}


def carry_out(
    retraining_id: str | None,
    *,
    email: str | None,
    folder: Path | None = None,
    progress: Progress | None,
) -> dict[str, Any]:
    """Carry a queued retraining out, or begin one in the name of a user."""
    with open_local_server(email or "", folder) as local:
        retrainings = _retrainings(local)
        if retraining_id is None:
            with local.database.read() as session:
                actor = local.user(session).email
            retraining_id = retrainings.begin(actor=actor)
        result = retrainings.carry_out(retraining_id, progress)
        return {"id": retraining_id, "folder": str(retrainings.folder_of(retraining_id)), **result}


def listed(local: LocalServer) -> list[dict[str, Any]]:
    """Return a row for each retraining, the latest first."""
    with local.database.read() as session:
        rows = session.scalars(select(Retraining).order_by(Retraining.created.desc())).all()
        return [
            {
                "id": row.id,
                "state": row.state,
                "created": row.created,
                "verdict": row.report.get("comparison", {}).get("verdict", row.message),
                "package": row.package_sha256,
            }
            for row in rows
        ]


def report(local: LocalServer, key: str) -> dict[str, Any]:
    """Return a retraining's report, and where its page is."""
    retraining_id = _full_id(local, key)
    with local.database.read() as session:
        row = session.get_one(Retraining, retraining_id)
        page = _retrainings(local).folder_of(row.id) / REPORT_PAGE
        return {"id": row.id, "state": row.state, "page": str(page), **row.report}


def submit(local: LocalServer, key: str) -> dict[str, Any]:
    """Submit a candidate as a package."""
    with local.database.read() as session:
        user = local.user(session)
    sha256 = _retrainings(local).submit(_full_id(local, key), user)
    return {"package": sha256}


def withdraw(local: LocalServer, upload_id: str) -> list[dict[str, Any]]:
    """Take an upload out of all later training; return what has used it already."""
    with local.database.write() as session:
        return [
            asdict(use) for use in corrections.withdraw(session, upload_id, local.user(session))
        ]


def _refused(local: LocalServer, pairs: Sequence[training.Pair]) -> dict[Path, str]:
    """Return why masks would stop a training of the champion, by mask; none that fits."""
    with local.database.read() as session:
        phases = _retrainings(local).champion_phases(session)
    said = {}
    for pair in pairs:
        finding = look_at_mask(pair.image, pair.mask, phases)
        if finding.problem == "several":
            said[pair.mask] = f"a micrograph must be alone in its file, got {finding.got}"
        elif finding.problem == "size":
            said[pair.mask] = f"its size must be {finding.wanted}, got {finding.got}"
        elif finding.problem != "none":
            said[pair.mask] = " ".join(finding.reason.split())
    return said


def _retrainings(local: LocalServer) -> Retrainings:
    return Retrainings(local.settings, local.database)


def _full_id(local: LocalServer, key: str) -> str:
    ids = [row["id"] for row in listed(local) if row["id"].startswith(key)]
    if len(ids) != 1:
        raise ValueError(
            f"a retraining must be named by its id or the beginning of it, got {key!r} for "
            f"{len(ids)}; see 'bl-steer retrain list'"
        )
    return str(ids[0])
