"""Carry a retraining out: from the snapshot's files to a candidate with its report.

The process of `bl_steer.server.retraining.process` does the work, in the sandbox; here is what
comes before and after it, with the database.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from bl_steer.analysis.segmentation.shipped import MODELS_DIR
from bl_steer.server.db.audit import record_event
from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import User
from bl_steer.server.db.training_tables import Retraining, Snapshot
from bl_steer.server.packages import review
from bl_steer.server.packages.archive import build_archive
from bl_steer.server.packages.catalogue import live_package
from bl_steer.server.packages.store import PackageStore
from bl_steer.server.packages.testing import SAYINGS
from bl_steer.server.retraining.candidate import write_candidate
from bl_steer.server.retraining.process import MODEL, REPORT, RetrainingTask
from bl_steer.server.retraining.settings import RetrainingSettings
from bl_steer.server.retraining.snapshots import check_allowed, export_snapshot, take_snapshot
from bl_steer.server.sandbox.bubblewrap import JOB
from bl_steer.server.sandbox.limits import Limits
from bl_steer.server.sandbox.run import is_kept_apart, run_in_sandbox
from bl_steer.server.settings import ServerSettings
from bl_steer.server.sizes import MIB
from bl_steer.server.told_paths import without_folders
from bl_steer.server.uploads.blobs import FileStore

__all__ = ["RetrainingFailed", "Retrainings"]

CANDIDATE = "candidate.zip"
"""The candidate as a package, in the folder of its retraining."""
COMMAND = (sys.executable, "-P", "-m", "bl_steer.server.retraining.process")


class RetrainingFailed(RuntimeError):
    """A retraining came to no candidate; the message says why."""


class Retrainings:
    """The retrainings of one deployment.

    Parameters
    ----------
    settings : of the server; each candidate has a folder in ``retraining/`` of its folder
    """

    def __init__(
        self,
        settings: ServerSettings,
        database: Database,
        retraining: RetrainingSettings | None = None,
    ) -> None:
        self.settings = settings
        self.retraining = retraining or RetrainingSettings()
        self.database = database
        self.files = FileStore(settings.files)
        self.packages = PackageStore(settings)

    def folder_of(self, retraining_id: str) -> Path:
        """Return where a retraining leaves what it made."""
        return self.settings.folder.absolute() / "retraining" / retraining_id

    def begin(self, *, actor: str, unless: Callable[[Session], bool] | None = None) -> str:
        """Take a snapshot and queue a retraining from the champion of now; return its id.

        Parameters
        ----------
        unless : asked in the same transaction whether to leave it; then the id is empty

        Raises
        ------
        ValueError
            When there are too few samples.
        """
        with self.database.write() as session:
            if unless is not None and unless(session):
                return ""
            snapshot = take_snapshot(session, self.retraining, actor=actor)
            row = Retraining(snapshot_sha256=snapshot.sha256, champion=self._live(session))
            session.add(row)
            session.flush()
            record_event(session, actor, "retraining begin", row.id, {"snapshot": snapshot.sha256})
            return row.id

    def carry_out(
        self, retraining_id: str, on_progress: Callable[[int, int], None] | None = None
    ) -> dict[str, Any]:
        """Train and compare; return the report.

        Raises
        ------
        RetrainingFailed
            With the reason, which is kept too.
        """
        now = time.time()
        with self.database.write() as session:
            row = session.get(Retraining, retraining_id, with_for_update=True)
            if (
                row is None
                or row.state == "done"
                or (row.state == "running" and row.lease_until > now)
            ):
                raise RetrainingFailed(
                    f"a retraining must wait to be carried out, got {retraining_id} "
                    f"{row.state if row else 'unknown'}; begin another"
                )
            row.state, row.lease_until = "running", now + self.retraining.time_s + 60.0
        try:
            report = self._train(retraining_id, on_progress)
            self._pack(retraining_id, report)
        except KeyboardInterrupt:
            self._wait_again(retraining_id)
            raise KeyboardInterrupt(
                f"retraining {retraining_id[:8]} waits again, from the beginning: a server that "
                f"runs takes it up, or 'bl-steer retrain run {retraining_id}'"
            ) from None
        except Exception as error:
            said = without_folders(" ".join(str(error).split()), ours=self.settings.folders)
            self._end(retraining_id, "failed", said[:2000])
            raise RetrainingFailed(
                f"a retraining must end with a candidate, got: {error}"
            ) from error
        self._end(retraining_id, "done", "", report)
        return report

    def submit(self, retraining_id: str, author: User) -> str:
        """Submit the candidate as a package in the name of a user; return its content hash.

        Raises
        ------
        ValueError
            When the retraining came to no candidate, or was submitted already.
        FileNotFoundError
            When the candidate lies on another machine.
        """
        with self.database.read() as session:
            row = session.get(Retraining, retraining_id)
            if row is None or row.state != "done" or row.package_sha256:
                state = "unknown" if row is None else row.state
                raise ValueError(
                    f"a retraining must be done and not yet submitted, got {state} for "
                    f"{retraining_id}; see 'bl-steer retrain list'"
                )
            report = dict(row.report)
        archive = self.folder_of(retraining_id) / CANDIDATE
        if not archive.exists():  # trained by an earlier version, or elsewhere
            self._pack(retraining_id, report)
        with archive.open("rb") as file:
            arrived = self.packages.take_in(file)
        with self.database.write() as session:
            row = session.get_one(Retraining, retraining_id)
            if not row.package_sha256:  # nobody else has submitted it meanwhile
                package = review.submit(session, arrived, author, ours=True)
                row.package_sha256 = package.sha256
            return row.package_sha256

    def _pack(self, retraining_id: str, report: dict[str, Any]) -> None:
        """Make the candidate a package, try it, and leave it in the folder of its retraining."""
        with self.database.read() as session:
            version = self._version(session, retraining_id)
        with tempfile.TemporaryDirectory(prefix="bl_steer_candidate_") as scratch:
            folder = write_candidate(
                self.folder_of(retraining_id),
                Path(scratch) / self.retraining.package,
                name=self.retraining.package,
                version=version,
                report=report,
                limits=Limits.of(self.settings),
                trusted=self.settings.trust_packages,
            )
            build_archive(folder, self.folder_of(retraining_id) / CANDIDATE)

    def _train(
        self, retraining_id: str, on_progress: Callable[[int, int], None] | None
    ) -> dict[str, Any]:
        out = self.folder_of(retraining_id)
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        with tempfile.TemporaryDirectory(prefix="bl_steer_retrain_") as scratch:
            with self.database.read() as session:
                row = session.get_one(Retraining, retraining_id)
                snapshot = session.get_one(Snapshot, row.snapshot_sha256)
                check_allowed(session, snapshot)
                champion = self._champion(session, row.champion)
            apart = is_kept_apart(trusted=self.settings.trust_packages)
            seen = JOB if apart else Path(scratch) / "seen"
            pairs, readable = export_snapshot(snapshot, self.files, Path(scratch), seen / "pairs")
            readable[seen / "champion"] = champion
            for path, place in () if apart else readable.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.symlink_to(place.resolve())
            own = self.retraining
            task = RetrainingTask(
                snapshot=snapshot.sha256,
                pairs=pairs,
                champion=str(seen / "champion"),
                out=str(JOB / "out" if apart else out),
                settings={
                    "steps": own.steps,
                    "batch": own.batch,
                    "patch_px": own.patch_px,
                    "learning_rate": own.learning_rate,
                    "evaluate_every": max(1, own.steps // 10),
                },
            )

            def hear(line: str) -> None:
                if on_progress is not None and line.startswith('{"progress"'):
                    on_progress(*json.loads(line)["progress"])

            outcome = run_in_sandbox(
                COMMAND,
                readable=readable,
                writable=out,
                limits=Limits(
                    time_s=own.time_s,
                    memory=own.memory_mib * MIB,
                    niceness=self.settings.job_niceness,
                ),
                stdin=json.dumps(asdict(task)).encode(),
                on_line=hear,
                environment={"LOGNAME": "job"},  # MONAI asks for it on import
                hidden=[self.settings.folder],
                trusted=self.settings.trust_packages,
            )
        if outcome.cause != "ok":
            words = " ".join(outcome.last_words.split())[-500:]
            raise RetrainingFailed(f"{SAYINGS[outcome.cause]}: {words or 'no word'}")
        report: dict[str, Any] = json.loads((out / REPORT).read_text(encoding="utf-8"))
        return report

    def champion_phases(self, session: Session) -> list[dict[str, Any]]:
        """Return the phases of the champion of now, as `Phases.to_list` has them.

        Raises
        ------
        ValueError
            When there is no such model.
        """
        card = self._champion(session, self._live(session)) / "card.json"
        try:
            return list(json.loads(card.read_text(encoding="utf-8"))["phases"])
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(
                f"the model to be trained further must have its card, got {error!r} for {card}; "
                "correct BL_STEER_SERVICE_RETRAIN_CHAMPION"
            ) from error

    def _live(self, session: Session) -> str:
        """Return the champion of now: a package's hash, or the shipped model's name."""
        live = live_package(session, self.retraining.package)
        return live.sha256 if live else self.retraining.champion

    def _champion(self, session: Session, champion: str) -> Path:
        """Return the folder of the model to begin with."""
        if len(champion) == 64:
            folder, _ = self.packages.permitted(session, champion)
            return folder / MODEL

        shipped = MODELS_DIR / champion
        return shipped if shipped.is_dir() else Path(champion)

    def _version(self, session: Session, retraining_id: str) -> str:
        """Return the version of a candidate, by how many retrainings came before."""
        earlier = Retraining.created < session.get_one(Retraining, retraining_id).created
        return f"1.{session.scalar(select(func.count()).where(earlier)) or 0}.0"

    def _wait_again(self, retraining_id: str) -> None:
        with self.database.write() as session:
            row = session.get_one(Retraining, retraining_id)
            row.state, row.lease_until = "queued", 0.0
            record_event(session, "retraining", "retraining queued", row.id, {"result": "Ctrl-C"})

    def _end(
        self, retraining_id: str, state: str, message: str, report: dict[str, Any] | None = None
    ) -> None:
        with self.database.write() as session:
            row = session.get_one(Retraining, retraining_id)
            row.state, row.message, row.finished = state, message, time.time()
            row.report = report or {}
            verdict = (report or {}).get("comparison", {}).get("verdict", message[:200])
            record_event(session, "retraining", f"retraining {state}", row.id, {"result": verdict})
