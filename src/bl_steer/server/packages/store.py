"""Where packages lie: archives in the file store, unpacked in the server's folder to be used."""

from __future__ import annotations

from pathlib import Path
from typing import IO

from sqlalchemy.orm import Session

from bl_steer.server.db.tables import Package
from bl_steer.server.packages.approval import Permit, ReviewKey
from bl_steer.server.packages.archive import unpack
from bl_steer.server.packages.catalogue import permit_of
from bl_steer.server.packages.content import content_hash
from bl_steer.server.packages.manifest import Manifest, PackageError
from bl_steer.server.sandbox.dependencies import Dependencies, DependencyRefused
from bl_steer.server.settings import ServerSettings
from bl_steer.server.sizes import MIB
from bl_steer.server.uploads.blobs import FileStore

__all__ = ["PackageStore"]


class PackageStore:
    """The packages of one deployment, and the key that signs approvals of them.

    Parameters
    ----------
    settings : of the operator; packages are unpacked in ``packages/`` of its folder, and the key
        is in ``keys/``
    """

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.folder = settings.folder.absolute() / "packages"
        self._keys = settings.keys
        self._most_bytes = settings.max_upload_mib * MIB
        self._files = FileStore(settings.files)
        self._dependencies = Dependencies.of(settings)

    @property
    def key(self) -> ReviewKey:
        """The key of the reviews; read anew each time, made at the first."""
        return ReviewKey.open(self._keys)

    def take_in(self, archive: IO[bytes]) -> tuple[Path, str, int]:
        """Unpack and store an archive; return the folder, the archive's sha256 and its size.

        Raises
        ------
        PackageError
            When it is no built package.
        """
        folder = unpack(archive, self.folder, most_bytes=self._most_bytes)
        archive.seek(0)
        return folder, *self._files.put(archive)

    def dependencies_of(self, manifest: Manifest) -> Path | None:
        """Return the folder of the libraries that a package names; None where it needs none.

        Raises
        ------
        PackageError
            When the administrator does not allow them, or has not installed them.
        """
        try:
            return self._dependencies.check(manifest.dependencies)
        except DependencyRefused as error:
            raise PackageError(str(error)) from error

    def permitted(self, session: Session, sha256: str) -> tuple[Path, Permit]:
        """Return the folder of a package that may run, and what shows that to its process.

        Raises
        ------
        PackageError
            When it is not, or no longer, what was approved and released.
        """
        permit = permit_of(session, sha256, public_key=self.key.public)
        folder = self.folder_of(session, sha256)
        permit.check(folder)
        return folder, permit

    def folder_of(self, session: Session, sha256: str) -> Path:
        """Return the folder of a package, unpacked from the file store where it is missing here.

        Raises
        ------
        PackageError
            When there is no such package, or its archive holds another one.
        """
        folder = self.folder / sha256
        if folder.is_dir():
            return folder
        package = session.get(Package, sha256)
        if package is None:
            raise PackageError(f"a package must be known, got {sha256[:12]}…; submit it")
        with self._files.open(package.blob_sha256) as archive:
            unpacked = unpack(archive, self.folder, most_bytes=self._most_bytes)
        if unpacked != folder:
            raise PackageError(
                f"the archive of {package.name} {package.version} must hold {sha256[:12]}…, got "
                f"{content_hash(unpacked)[:12]}…; bring back the backup of the file store"
            )
        return folder
