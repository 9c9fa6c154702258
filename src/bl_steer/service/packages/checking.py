"""The server's own look at what was submitted, before a reviewer spends time on it."""

from __future__ import annotations

import logging

from sqlalchemy import select

from bl_steer.service.database import Database
from bl_steer.service.limits import Limits
from bl_steer.service.packages.catalogue import GateError
from bl_steer.service.packages.content import verify_content
from bl_steer.service.packages.gate import note_check
from bl_steer.service.packages.manifest import PackageError
from bl_steer.service.packages.store import PackageStore
from bl_steer.service.packages.testing import TRIAL_LIMITS, TestReport, try_package
from bl_steer.service.sandbox import SandboxMissing
from bl_steer.service.tables import Package

__all__ = ["check_next", "check_package"]

logger = logging.getLogger(__name__)


def check_next(
    database: Database,
    packages: PackageStore,
    *,
    limits: Limits = TRIAL_LIMITS,
    trusted: bool = False,
) -> str | None:
    """Check the package that has waited longest; return its content hash, None if none waits.

    A worker calls it between jobs. Two that check the same package at once do no harm: the second
    finds it moved on.
    """
    with database.read() as session:
        waiting = session.scalar(
            select(Package.sha256)
            .where(Package.state == "submitted")
            .order_by(Package.created, Package.sha256)
            .limit(1)
        )
    if waiting is not None:
        check_package(database, packages, waiting, limits=limits, trusted=trusted)
    return waiting


def check_package(
    database: Database,
    packages: PackageStore,
    sha256: str,
    *,
    limits: Limits = TRIAL_LIMITS,
    trusted: bool = False,
) -> TestReport:
    """Run a submitted package's tests in the sandbox, and note how they went."""
    try:
        with database.read() as session:
            folder = packages.folder_of(session, sha256)
        verify_content(folder, sha256)
        report = try_package(folder, limits=limits, trusted=trusted)
    except (PackageError, OSError, SandboxMissing) as error:
        report = TestReport((), (" ".join(str(error).split()),))
    try:
        with database.write() as session:
            note_check(session, sha256, report)
    except GateError as error:
        logger.info("a check came too late: %s", error)
    return report
