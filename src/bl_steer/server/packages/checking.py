"""The server's own look at what was submitted, before a reviewer spends time on it.

Its tests must pass, and what users read of it must be its author's own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from sqlalchemy import func, select

from bl_steer.files.atomic import alone_in
from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import Job, Package
from bl_steer.server.packages.catalogue import ReviewError
from bl_steer.server.packages.content import verify_content
from bl_steer.server.packages.inspection import unwritten
from bl_steer.server.packages.manifest import PackageError
from bl_steer.server.packages.review import note_check
from bl_steer.server.packages.store import PackageStore
from bl_steer.server.packages.testing import TestReport, try_package
from bl_steer.server.sandbox.caches import caches_of
from bl_steer.server.sandbox.limits import Limits
from bl_steer.server.sandbox.run import SandboxMissing
from bl_steer.server.told_paths import without_folders

__all__ = ["check_next", "check_package", "is_under_check", "package_is_next"]

logger = logging.getLogger(__name__)


def check_next(
    database: Database,
    packages: PackageStore,
    *,
    over: Callable[[], bool] | None = None,
    trusted: bool = False,
) -> str | None:
    """Check the package that has waited longest; return its content hash, None if none waits.

    Parameters
    ----------
    over : asked some 20 times a second whether to stop; a package whose check was stopped waits on

    A worker calls it between jobs, and it has the limits of a job. None too while another worker of
    this folder checks one: no package is checked twice, and the others go on with jobs. Workers
    with folders of their own do no harm: the second finds the package moved on.
    """
    if _waiting(database) is None:
        return None
    try:
        with alone_in(packages.folder):
            waiting = _waiting(database)  # another may have checked it meanwhile
            if waiting is not None:
                _check(database, packages, waiting, over=over, trusted=trusted)
            return waiting
    except FileExistsError:
        return None


def check_package(
    database: Database,
    packages: PackageStore,
    sha256: str,
    *,
    trusted: bool = False,
) -> TestReport:
    """Run a submitted package's tests in the sandbox, and note how they went.

    Raises
    ------
    FileExistsError
        While another process of this folder checks a package.
    """
    try:
        with alone_in(packages.folder):
            return _check(database, packages, sha256, over=None, trusted=trusted)
    except FileExistsError as error:
        raise FileExistsError(
            "packages must be checked one at a time, got another check under way; wait for its end"
        ) from error


def is_under_check(database: Database, packages: PackageStore, sha256: str) -> bool:
    """Return whether a package is being checked at the moment, by a worker of this folder."""
    if _waiting(database) != sha256:
        return False
    try:
        with alone_in(packages.folder):
            return False
    except FileExistsError:
        return True


def package_is_next(database: Database) -> bool:
    """Return whether a package waits for its check for longer than any job waits."""
    with database.read() as session:
        package, job = (
            session.scalar(select(func.min(table.created)).where(table.state == state))
            for table, state in ((Package, "submitted"), (Job, "queued"))
        )
    return package is not None and (job is None or package < job)


def _waiting(database: Database) -> str | None:
    with database.read() as session:
        return session.scalar(
            select(Package.sha256)
            .where(Package.state == "submitted")
            .order_by(Package.created, Package.sha256)
            .limit(1)
        )


def _check(
    database: Database,
    packages: PackageStore,
    sha256: str,
    *,
    over: Callable[[], bool] | None,
    trusted: bool,
) -> TestReport:
    settings = packages.settings
    try:
        with database.read() as session:
            folder = packages.folder_of(session, sha256)
        manifest = verify_content(folder, sha256)
        report = try_package(
            folder,
            limits=Limits.of(settings),
            over=over,
            trusted=trusted,
            dependencies=packages.dependencies_of(manifest),
            caches=caches_of(settings.caches),
            hidden=[settings.folder.absolute()],
        )
        report = replace(report, unwritten=unwritten(manifest))
    except (PackageError, OSError, SandboxMissing) as error:
        said = without_folders(" ".join(str(error).split()), ours=settings.folders)
        report = TestReport((), (said,))
    if over is not None and over():  # nothing of it counts
        return report
    try:
        with database.write() as session:
            note_check(session, sha256, report)
    except ReviewError as error:
        logger.info("a check came too late: %s", error)
    return report
