"""What ``bl-steer package …`` and ``bl-steer review …`` do; they return what is printed.

Packages are made on their author's machine. Reviews work on the server's own folder and database,
by its settings, in the name of a user; over the network, the server's pages and its REST API do the
same.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bl_steer import server
from bl_steer.server import auth, db, packages
from bl_steer.server.packages.catalogue import approvals_of
from bl_steer.server.packages.inputs import files_by_input
from bl_steer.server.packages.manifest import Manifest
from bl_steer.server.sandbox.dependencies import Dependencies, missing_here

if TYPE_CHECKING:  # the tables need sqlalchemy, which nobody needs who only makes a package
    from sqlalchemy.orm import Session

    from bl_steer.server.db.tables import Package, User

__all__ = [
    "LocalServer",
    "build",
    "check",
    "decide",
    "init",
    "listed",
    "open_local_server",
    "roll_back",
    "run",
    "send",
    "shown",
    "submit",
    "test",
]


def init(
    folder: Path, *, author: str, weights: Sequence[packages.Format] = (), table: bool = False
) -> dict[str, Any]:
    """Write a new package that works."""
    files = packages.write_template(folder, author=author, weights=weights, table=table)
    return {"package": str(folder), "files": [str(path) for path in files]}


def test(folder: Path, *, accept: bool, trusted: bool) -> dict[str, Any]:
    """Run a package's tests; write what they found as what is expected, where that is asked."""
    dependencies = _installed(folder)
    report = packages.try_package(folder, trusted=trusted, dependencies=dependencies)
    if not accept:
        return {**report.to_dict(), "accepted": []}
    written = packages.accept(folder, report)
    again = report
    if written:
        again = packages.try_package(folder, trusted=trusted, dependencies=dependencies)
    return {**again.to_dict(), "accepted": [str(path) for path in written]}


def _installed(folder: Path) -> Path | None:
    """Return the libraries that a package asks for, where the server of this machine has them."""
    asked = packages.package_analysis(folder).manifest.dependencies
    installed = Dependencies.of(server.read_settings()).installed(asked) if asked else None
    return installed if missing_here(asked) else None


def build(folder: Path, out: Path) -> dict[str, Any]:
    """Build a package into an archive."""
    manifest, sha256 = packages.build_archive(folder, out)
    return {
        "archive": str(out),
        "sha256": sha256,
        "name": manifest.name,
        "version": manifest.version,
        "files": len(manifest.files),
        "approvals_needed": manifest.approvals_needed,
    }


def run(
    folder: Path, files: Sequence[str], params: Mapping[str, Any], *, out: Path, trusted: bool
) -> dict[str, Any]:
    """Run a package on files, as a job would, and write its result.

    Parameters
    ----------
    files : paths; ``NAME=PATH`` where the package has several inputs
    trusted : run it without a sandbox where there is none
    """
    given = files_by_input(files, packages.package_analysis(folder).manifest.input_names)
    dependencies = _installed(folder)
    return packages.run_package(
        folder, given, params, out, trusted=trusted, dependencies=dependencies
    )


@dataclass(frozen=True)
class LocalServer:
    """The server's database and packages, in the name of one of its users."""

    database: db.Database
    store: packages.PackageStore
    settings: server.ServerSettings
    email: str

    def user(self, session: Session) -> User:
        """Return the user in whose name it is done."""
        user = auth.find_user(session, self.email)
        if user is not None and user.disabled is not None:
            raise ValueError(
                f"--user must have an open account, got {self.email!r}, whose account is closed; "
                "an administrator reopens it on the page Administration, Accounts"
            )
        if user is None:
            raise ValueError(
                f"--user must be the e-mail address of an account on the server, got "
                f"{self.email!r}; an admin makes accounts"
            )
        return user


@contextmanager
def open_local_server(email: str, folder: Path | None = None) -> Iterator[LocalServer]:
    """Open the server whose folder and database the settings name, or the one in a folder."""
    settings = server.read_settings(**({} if folder is None else {"folder": folder}))
    settings.check_folder()
    database = db.Database(settings.database)
    try:
        yield LocalServer(database, packages.PackageStore(settings), settings, email)
    finally:
        database.close()


def submit(local: LocalServer, path: Path) -> dict[str, Any]:
    """Submit an archive, or a folder that is built first."""
    with _archive(path) as archive, archive.open("rb") as file:
        arrived = local.store.take_in(file)
    with local.database.write() as session:
        return listed_one(packages.submit(session, arrived, local.user(session)))


def send(path: Path, *, address: str, key: str) -> dict[str, Any]:
    """Submit an archive, or a folder that is built first, to a server over the network."""
    with server.Client(address, key) as client, _archive(path) as archive:
        return client.submit_package(archive)


@contextmanager
def _archive(path: Path) -> Iterator[Path]:
    """Return an archive as it is, and one of a folder that lasts as long as it is needed."""
    with tempfile.TemporaryDirectory(prefix="bl_steer_submit_") as folder:
        if path.is_dir():
            archive = Path(folder) / "package.zip"
            packages.build_archive(path, archive)
        else:
            archive = path
        yield archive


def listed(local: LocalServer, *, state: str | None) -> list[dict[str, Any]]:
    """Return a row for each package, the latest first."""
    with local.database.read() as session:
        return [listed_one(package) for package in packages.list_packages(session, state=state)]


def listed_one(package: Package) -> dict[str, Any]:
    """Return what a list says of a package."""
    return {
        "sha256": package.sha256,
        "name": package.name,
        "version": package.version,
        "state": package.state,
        "created": package.created,
    }


def _approvals(session: Session, package: Package) -> dict[str, int]:
    needed = Manifest.model_validate(package.manifest).approvals_needed
    return {"approvals": len(approvals_of(session, package)), "approvals_needed": needed}


def shown(local: LocalServer, key: str) -> dict[str, Any]:
    """Return all that a reviewer asks about one package, and where its files lie."""
    with local.database.read() as session:
        package = packages.find_package(session, key)
        before = packages.release_before(session, package)
        return {
            **listed_one(package),
            **_approvals(session, package),
            "author": packages.author_of(session, package),
            "release_before": before
            and {"version": before.version, "author": packages.author_of(session, before)},
            "folder": str(local.store.folder_of(session, package.sha256)),
            "manifest": package.manifest,
            "report": package.report,
            "reviews": packages.reviews_of(session, package),
        }


def check(local: LocalServer, key: str) -> dict[str, Any]:
    """Run a submitted package's tests in the sandbox, and note how they went."""
    with local.database.read() as session:
        sha256 = packages.find_package(session, key).sha256
    trusted = local.settings.trust_packages
    return packages.check_package(local.database, local.store, sha256, trusted=trusted).to_dict()


def decide(local: LocalServer, action: str, key: str, comment: str) -> dict[str, Any]:
    """Approve, reject, release or revoke a package."""
    signing = local.store.key
    with local.database.write() as session:
        user = local.user(session)
        sha256 = packages.find_package(session, key).sha256
        if action == "approve":
            package = packages.approve(session, sha256, user, comment, key=signing)
        elif action == "reject":
            package = packages.reject(session, sha256, user, comment)
        elif action == "release":
            package = packages.release(session, sha256, user, public_key=signing.public)
        else:
            package = packages.revoke(session, sha256, user, comment)
            address = local.settings.known_address or local.settings.address
            packages.tell_users(session, package, comment, address=address)
        return {**listed_one(package), **_approvals(session, package)}


def roll_back(local: LocalServer, name: str) -> dict[str, Any]:
    """Release again what was released under a name before."""
    with local.database.write() as session:
        user = local.user(session)
        return listed_one(
            packages.roll_back(session, name, user, public_key=local.store.key.public)
        )
