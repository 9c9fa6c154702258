"""What ``bl-steer package …`` and ``bl-steer review …`` do; they return what is printed.

Packages are made on their author's machine. Reviews work on the server's own folder and database,
by its settings, in the name of a user; over the network, the server's pages and its REST API do the
same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bl_steer.protocols import Progress

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from bl_steer.server.db.database import Database
    from bl_steer.server.db.tables import Package, User
    from bl_steer.server.packages.manifest import Format
    from bl_steer.server.packages.store import PackageStore
    from bl_steer.server.settings import ServerSettings

__all__ = [
    "Desk",
    "build",
    "check",
    "decide",
    "init",
    "listed",
    "open_desk",
    "roll_back",
    "run",
    "send",
    "shown",
    "submit",
    "test",
]


def init(folder: Path, *, author: str, weights: Format | None) -> dict[str, Any]:
    """Write a new package that works."""
    from bl_steer.server.packages.template import write_template

    files = write_template(folder, author=author, weights=weights)
    return {"package": str(folder), "files": [str(path) for path in files]}


def test(folder: Path, *, accept: bool, trusted: bool) -> dict[str, Any]:
    """Run a package's tests; write what they found as what is expected, where that is asked."""
    from bl_steer.server.packages.testing import accept as write_expected
    from bl_steer.server.packages.testing import try_package

    report = try_package(folder, trusted=trusted)
    if not accept:
        return {**report.to_dict(), "accepted": []}
    written = write_expected(folder, report)
    again = try_package(folder, trusted=trusted) if written else report
    return {**again.to_dict(), "accepted": [str(path) for path in written]}


def build(folder: Path, out: Path) -> dict[str, Any]:
    """Build a package into an archive."""
    from bl_steer.server.packages.building import build_archive

    manifest, sha256 = build_archive(folder, out)
    return {
        "archive": str(out),
        "sha256": sha256,
        "name": manifest.name,
        "version": manifest.version,
        "files": len(manifest.files),
        "approvals_needed": manifest.approvals_needed,
    }


def run(
    folder: Path,
    paths: Sequence[Path],
    params: Mapping[str, Any],
    *,
    out: Path,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Run a package on files, in this process, and write its result."""
    from bl_steer.processing.digest import digest_of
    from bl_steer.processing.registry import make_params
    from bl_steer.processing.result_folder import write_result
    from bl_steer.server.packages import package_analysis
    from bl_steer.server.packages.inputs import package_inputs

    analysis = package_analysis(folder)
    inputs = package_inputs(analysis.manifest.input.kind, paths)
    result = analysis.run(inputs, make_params(analysis, params), progress)
    return {
        "digest": digest_of(result),
        "warnings": list(result.warnings),
        "duration_s": result.provenance["duration_s"],
        "files": [str(path) for path in write_result(result, out)],
    }


@dataclass(frozen=True)
class Desk:
    """The server's database and packages, in the name of one of its users."""

    database: Database
    packages: PackageStore
    settings: ServerSettings
    email: str

    def user(self, session: Session) -> User:
        """Return the user in whose name it is done."""
        from sqlalchemy import select

        from bl_steer.server.db.tables import User

        found = session.scalar(select(User).where(User.email == self.email.strip().lower()))
        if found is None or found.disabled is not None:
            raise ValueError(
                f"--user must be the e-mail address of an account on the server, got "
                f"{self.email!r}; an admin makes accounts"
            )
        return found


@contextmanager
def open_desk(email: str, folder: Path | None = None) -> Iterator[Desk]:
    """Open the server whose folder and database the settings name, or the one in a folder."""
    from bl_steer.server.db.database import Database
    from bl_steer.server.environment import read_settings
    from bl_steer.server.packages.store import PackageStore

    settings = read_settings(**({} if folder is None else {"folder": folder}))
    settings.check_folder()
    database = Database(settings.database)
    try:
        yield Desk(database, PackageStore(settings), settings, email)
    finally:
        database.close()


def submit(desk: Desk, path: Path) -> dict[str, Any]:
    """Submit an archive, or a folder that is built first."""
    from bl_steer.server.packages import review as gate

    with (
        _archive(path) as archive,
        archive.open("rb") as file,
        desk.database.write() as session,
    ):
        package = gate.submit(session, file, desk.user(session), packages=desk.packages)
        return listed_one(package)


def send(path: Path, *, address: str, key: str) -> dict[str, Any]:
    """Submit an archive, or a folder that is built first, to a server over the network."""
    from bl_steer.server.client import Client

    with Client(address, key) as server, _archive(path) as archive:
        return server.submit_package(archive)


@contextmanager
def _archive(path: Path) -> Iterator[Path]:
    """Return an archive as it is, and one of a folder that lasts as long as it is needed."""
    import tempfile

    from bl_steer.server.packages.building import build_archive

    with tempfile.TemporaryDirectory(prefix="bl_steer_submit_") as place:
        if path.is_dir():
            archive = Path(place) / "package.zip"
            build_archive(path, archive)
        else:
            archive = path
        yield archive


def listed(desk: Desk, *, state: str | None) -> list[dict[str, Any]]:
    """Return a row for each package, the latest first."""
    from sqlalchemy import select

    from bl_steer.server.db.tables import Package

    with desk.database.read() as session:
        wanted = select(Package).order_by(Package.created.desc(), Package.sha256)
        rows = session.scalars(wanted if state is None else wanted.where(Package.state == state))
        return [listed_one(one) for one in rows]


def listed_one(package: Package) -> dict[str, Any]:
    """Return what a list says of a package."""
    return {
        "sha256": package.sha256,
        "name": package.name,
        "version": package.version,
        "state": package.state,
        "created": package.created,
    }


def shown(desk: Desk, key: str) -> dict[str, Any]:
    """Return all that a reviewer asks about one package, and where its files lie."""
    from sqlalchemy import select

    from bl_steer.server.db.tables import Review, User
    from bl_steer.server.packages.catalogue import find_package

    with desk.database.read() as session:
        package = find_package(session, key)
        author = session.get(User, package.author_id)
        reviews = session.execute(
            select(Review, User.email)
            .join(User, User.id == Review.reviewer_id)
            .where(Review.package_sha256 == package.sha256)
            .order_by(Review.id)
        ).all()
        return {
            **listed_one(package),
            "author": author.email if author else package.author_id,
            "folder": str(desk.packages.folder_of(session, package.sha256)),
            "manifest": package.manifest,
            "report": package.report,
            "reviews": [
                {"by": email, "decision": r.decision, "comment": r.comment, "time": r.time}
                for r, email in reviews
            ],
        }


def check(desk: Desk, key: str) -> dict[str, Any]:
    """Run a submitted package's tests in the sandbox, and note how they went."""
    from bl_steer.server.packages.catalogue import find_package
    from bl_steer.server.packages.checking import check_package

    with desk.database.read() as session:
        sha256 = find_package(session, key).sha256
    trusted = desk.settings.trust_packages
    return check_package(desk.database, desk.packages, sha256, trusted=trusted).to_dict()


def decide(desk: Desk, deed: str, key: str, comment: str) -> dict[str, Any]:
    """Approve, reject, release or revoke a package."""
    from bl_steer.server.packages import review as gate
    from bl_steer.server.packages.catalogue import find_package
    from bl_steer.server.packages.revocation import tell_users

    signing = desk.packages.key
    with desk.database.write() as session:
        user = desk.user(session)
        sha256 = find_package(session, key).sha256
        if deed == "approve":
            package = gate.approve(session, sha256, user, comment, key=signing)
        elif deed == "reject":
            package = gate.reject(session, sha256, user, comment)
        elif deed == "release":
            package = gate.release(session, sha256, user, public_key=signing.public)
        else:
            package = gate.revoke(session, sha256, user, comment)
            address = desk.settings.known_address or desk.settings.address
            tell_users(session, package, comment, address=address)
        return listed_one(package)


def roll_back(desk: Desk, name: str) -> dict[str, Any]:
    """Release again what was released under a name before."""
    from bl_steer.server.packages import review as gate

    with desk.database.write() as session:
        user = desk.user(session)
        return listed_one(gate.roll_back(session, name, user, public_key=desk.packages.key.public))
