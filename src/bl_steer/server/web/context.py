"""What all routes share: settings, database, files, rates, the access log, and the analyses.

A route is given it by `bl_steer.server.web.dependencies`.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from sqlalchemy.orm import Session

from bl_steer.server.auth.rate_limits import Rate, WrongPasswords
from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import AccessRecord
from bl_steer.server.errors import Refused
from bl_steer.server.packages.catalogue import live_package, released_packages, titles_of
from bl_steer.server.packages.store import PackageStore
from bl_steer.server.settings import ServerSettings
from bl_steer.server.sizes import MIB
from bl_steer.server.uploads.blobs import FileStore
from bl_steer.server.uploads.multipart import Arrival
from bl_steer.server.uploads.uploads import used_bytes
from bl_steer.server.viewing.planes import PlaneCache
from bl_steer.server.web.access_log import AccessLog
from bl_steer.server.web.catalogue import AnalysisEntry, builtin_entries, readable_entry
from bl_steer.server.web.metrics import RequestMetrics

__all__ = ["Context"]


class Context:
    """Everything that one web process works with, made once when it starts.

    Parameters
    ----------
    settings : of the operator
    """

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.database = Database(settings.database)
        self.store = FileStore(settings.files)
        self.packages = PackageStore(settings)
        self.planes = PlaneCache(settings)
        self.log = AccessLog(self.database)
        self.rate = Rate(settings.rate_per_minute)
        self.wrong_passwords = WrongPasswords(
            settings.sign_in_per_minute, settings.sign_in_most_per_minute
        )
        self.resets = Rate(settings.sign_in_per_minute)
        self.requests = RequestMetrics()
        self._noted: dict[str, float] = {}

    @property
    def arrivals(self) -> Path:
        """Folder of the files that are still coming in."""
        return self.settings.folder.absolute() / "arrivals"

    def open(self) -> None:
        """Make tables and folders that are missing, and begin to log."""
        self.arrivals.mkdir(parents=True, exist_ok=True)
        self.database.create_tables()
        self.log.start()

    def close(self) -> None:
        """Write what is left of the log, end decoders, and close the database."""
        self.planes.close()
        self.log.close()
        self.database.close()

    def record(self, record: AccessRecord, route: str) -> None:
        """Put a request on record and count it."""
        self.log.add(record)
        self.requests.add(record, route)

    def arrival(self, *, max_files: int = 1, room: int | None = None) -> Arrival:
        """Return a folder for the files of one request, none larger than the operator allows.

        Parameters
        ----------
        room : for all files together, bytes; none for no limit
        """
        most = self.settings.max_upload_mib * MIB
        return Arrival(self.arrivals, max_files=max_files, max_bytes=most, room=room)

    def room_for(self, user_id: str) -> int:
        """Return how many bytes a user may still upload."""
        with self.database.read() as session:
            used = used_bytes(session, user_id)
        room = self.quota_bytes - used
        return max(0, min(room, self.settings.max_files * self.settings.max_upload_mib * MIB))

    @property
    def quota_bytes(self) -> int:
        """Most that all files of a user may take."""
        return self.settings.quota_mib * MIB

    def catalogue(self) -> list[AnalysisEntry]:
        """Return the analyses that there are."""
        with self.database.read() as session:
            released = released_packages(session)
        return [*builtin_entries(), *filter(None, map(readable_entry, released))]

    def offered(self, session: Session) -> set[str]:
        """Return the names of the analyses that there are."""
        released = {package.name for package in released_packages(session)}
        return released | {entry.name for entry in builtin_entries()}

    def entry(self, name: str) -> AnalysisEntry:
        """Return one analysis; `Refused` where there is none of that name."""
        for entry in builtin_entries():
            if entry.name == name:
                return replace(entry, gpus=int(name in self.settings.with_gpu))
        with self.database.read() as session:
            package = live_package(session, name)
            found = None if package is None else readable_entry(package)
            if found is None:
                known = ", ".join(sorted(self.offered(session)))
                raise Refused(404, "refused.no_analysis", name=name[:80], known=known)
        return found

    def titles(self, language: str) -> dict[str, str]:
        """Return the title of each analysis, also of those that are not offered any more."""
        with self.database.read() as session:
            packages = titles_of(session, language)
        return {**{entry.name: entry.title(language) for entry in builtin_entries()}, **packages}

    def is_due(self, what: str, *, every_s: float) -> bool:
        """Return whether something was last done longer ago than that; if so, it is done now."""
        now = time.monotonic()
        if now - self._noted.get(what, -every_s) < every_s:
            return False
        if len(self._noted) > 10_000:
            self._noted.clear()
        self._noted[what] = now
        return True
