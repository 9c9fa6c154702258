"""Where packages lie: archives in the file store, unpacked in the server's folder to be used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from sqlalchemy.orm import Session

from bl_steer.server.db.tables import Package
from bl_steer.server.packages.approval import Permit, ReviewKey
from bl_steer.server.packages.archive import unpack
from bl_steer.server.packages.catalogue import permit_of
from bl_steer.server.packages.content import content_hash
from bl_steer.server.packages.inspection import inspect
from bl_steer.server.packages.manifest import Manifest, PackageError, read_manifest
from bl_steer.server.sandbox.dependencies import Dependencies, DependencyRefused
from bl_steer.server.settings import ServerSettings
from bl_steer.server.sizes import MIB
from bl_steer.server.uploads.blobs import FileStore

__all__ = ["Arrived", "PackageStore"]


@dataclass(frozen=True)
class Arrived:
    """A built package that lies in the store, unpacked and looked through, but in no table yet.

    Parameters
    ----------
    sha256 : content hash
    blob : sha256 of its archive in the file store
    size : of the archive, in bytes
    inspection : what its code and weights would use
    """

    sha256: str
    manifest: Manifest
    blob: str
    size: int
    inspection: dict[str, Any]


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

    def take_in(self, archive: IO[bytes]) -> Arrived:
        """Unpack, look through and store an archive.

        It may take seconds, and needs no database: others would wait to write meanwhile.

        Raises
        ------
        PackageError
            When it is no built package, or asks for libraries that this server does not have for
            it.
        """
        folder = unpack(archive, self.folder, most_bytes=self._most_bytes)
        manifest = read_manifest(folder)
        self.dependencies_of(manifest)
        archive.seek(0)
        blob, size = self._files.put(archive)
        return Arrived(folder.name, manifest, blob, size, inspect(folder, manifest))

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
            raise PackageError(str(error), error.key, **error.values) from error

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
