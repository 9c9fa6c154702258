"""The store of a session: where its runs, their frames and its metadata are kept."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from bl_steer import store
from bl_steer.settings import Settings
from bl_steer.store.metadata import RunMetadata
from bl_steer.store.record import (
    Document,
    DocumentRoutes,
    RecordWriter,
    StoreError,
    file_of,
    find_records,
    hold,
    read_record,
)
from bl_steer.store.writer import CatalogueWriter, is_complete, replay

__all__ = ["Store"]

BATCH_SIZE = 10_000
"""Rows that wait for Tiled. A live view reads the record, so the catalogue need not keep pace."""

logger = logging.getLogger(__name__)


class Store:
    """Runs on disk: the write-ahead record first, the Tiled catalogue second.

    Open one with `Store.open` (Tiled in this process) or `Store.connect` (a facility's server);
    close it, or use it in a ``with`` statement. Subscribe it to a RunEngine as it is.

    Parameters
    ----------
    path : shape of the folder: ``record/``, ``frames/``, ``metadata.json``, and the catalogue
    catalog : Tiled's client of the runs: ``catalog[-1]``, ``[scan_id]``, ``["partial uid"]``
    close_catalog : called when the store is closed
    readable : folders besides `frames_dir` from which the catalogue reads detectors' files; None
        where only the server knows them
    """

    def __init__(
        self,
        path: Path,
        catalog: Any,
        *,
        close_catalog: Callable[[], None],
        readable: Sequence[Path] | None,
        batch_size: int = BATCH_SIZE,
    ) -> None:
        self.path = path
        self._catalog = catalog
        self._waits_at_stop = True
        self.metadata = RunMetadata(path / "metadata.json")
        """For ``RunEngine(store.metadata)``: scan ids go on counting from session to session."""
        self._close_catalog = close_catalog
        self._readable = readable
        self._unreadable: set[Path] = set()
        self._routes = DocumentRoutes()
        self._record = RecordWriter(self.record_dir, release_at_stop=False)
        self._writer = CatalogueWriter(
            catalog,
            batch_size=batch_size,
            on_done=self._record.release,
            check_frames=readable is None,
            gives_up=readable is None,
        )

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str] = "./bl_steer_data",
        *,
        readable: Iterable[str | os.PathLike[str]] | None = None,
        batch_size: int = BATCH_SIZE,
    ) -> Self:
        """Open a folder as a store, made if it is missing, with Tiled inside this process.

        A second process may open the same folder to look while this one measures.

        Parameters
        ----------
        readable : folders in which detectors write their own files, besides `frames_dir`; by
            default those of ``BL_STEER_DETECTOR_FOLDERS``

        Raises
        ------
        StoreError
            When the folder cannot be made or written, or its catalogue is damaged.
        """
        folder = _folder(path)
        folders = Settings().detector_folder_paths if readable is None else readable
        outside = [Path(part).expanduser().absolute() for part in folders]
        embedded = store.EmbeddedCatalogue.open(folder, readable=[folder / "frames", *outside])
        try:
            return cls(
                folder,
                embedded.client,
                close_catalog=embedded.close,
                readable=outside,
                batch_size=batch_size,
            )
        except BaseException:
            embedded.close()
            raise

    @classmethod
    def open_existing(cls, path: Path) -> Self:
        """Open a store for what it holds; `FileNotFoundError` where there is no such folder."""
        if not path.is_dir():
            raise FileNotFoundError(
                f"the store must be a folder that exists, got {path}; give --data, or measure first"
            )
        return cls.open(path)

    @classmethod
    def connect(
        cls,
        uri: str,
        *,
        api_key: str | None = None,
        path: str | os.PathLike[str] = "./bl_steer_data",
        batch_size: int = BATCH_SIZE,
    ) -> Self:
        """Open a store whose catalogue is on a Tiled server.

        Parameters
        ----------
        uri : of a container of runs, e.g. ``"https://tiled.facility.eu/api/v1/metadata/raw"``
        api_key : from ``TILED_API_KEY`` by default
        path : the folder for the records, frames and metadata, on a disk that the server reads

        Raises
        ------
        StoreError
            When the server cannot be reached, or the container is not one of runs.
        """
        folder = _folder(path)
        client = store.catalogue_on_server(uri, api_key=api_key)
        return cls(
            folder,
            client,
            close_catalog=client.context.close,
            readable=None,
            batch_size=batch_size,
        )

    @property
    def catalog(self) -> Any:
        """Tiled's client of the runs, once it has every run that is over."""
        self.settle()
        return self._catalog

    def settle(self) -> None:
        """Wait until the catalogue has every run that is over, 10 s at most; the log says more."""
        self._writer.settle()

    @property
    def record_dir(self) -> Path:
        """Where the write-ahead records lie, one file a run."""
        return self.path / "record"

    @property
    def frames_dir(self) -> Path:
        """Where our own detectors write."""
        return self.path / "frames"

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Take a document: on disk when this returns, in the catalogue soon after.

        Of frames that lie where the catalogue cannot read them, the log warns: the run goes on,
        and opens from its record.

        Raises
        ------
        StoreError
            When the record cannot be written.
        """
        self._record(name, doc)
        self._warn_of_unreadable(name, doc)
        self._writer.put(self._routes.run_of(name, doc), name, doc)
        if name == "stop" and self._waits_at_stop:
            self.settle()

    def subscribe_to(self, run_engine: Any, *, waits: bool = True) -> int:
        """Subscribe to a RunEngine; return the token for ``RE.unsubscribe``.

        Parameters
        ----------
        waits : let a stop document wait until the catalogue has the run, so that it is there for
            everybody when RE returns. The RunEngine's loop waits too, and with it a pause: a
            session says no, and calls `settle` when RE is about to return
        """
        self._waits_at_stop = waits
        return int(run_engine.subscribe(self))

    def add_run(self, documents: Iterable[Document]) -> str:
        """Store a run that is over already, such as an analysis; return its uid.

        The work is done in the caller's thread, record first: a run that is being measured at the
        same time waits for none of it.

        Raises
        ------
        StoreError
            When the record cannot be written. A failing catalogue is logged only; `sync` completes
            it.
        """
        documents = list(documents)
        uid = str(documents[0][1]["uid"])
        record = RecordWriter(self.record_dir, release_at_stop=False)
        try:
            for name, doc in documents:
                record(name, doc)
                self._warn_of_unreadable(name, doc)
            replay(self.catalog, uid, documents)
        except StoreError:
            raise
        except Exception as error:
            logger.warning(
                "run %s is not in the catalogue (%s: %s); its record is complete, and "
                "Store.sync() brings it there",
                uid,
                type(error).__name__,
                str(error).partition("\n")[0],
            )
        finally:
            record.close()
        return uid

    def sync(self) -> list[str]:
        """Complete the catalogue from the records: after a crash, a full disk, a lost server.

        Runs that are being written, here or in another process, are left alone. To call it again
        changes nothing. A run that cannot be brought in is named in the log, and the others go on.

        Returns
        -------
        uids of the runs that were written
        """
        written = []
        for uid, path in find_records(self.record_dir).items():
            try:
                written += [uid] * self._mend(uid, path)
            except Exception as error:
                logger.warning(
                    "run %s could not be brought into the catalogue (%s: %s); it opens from its "
                    "record",
                    uid,
                    type(error).__name__,
                    str(error).partition("\n")[0],
                )
        return written

    def close(self) -> None:
        """Finish what is queued and let go of files, threads and connections."""
        self._writer.close()
        self._record.close()
        self._close_catalog()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _mend(self, uid: str, path: Path) -> bool:
        """Complete one run; return whether there was anything to do."""
        with hold(path) as free:
            if not free or is_complete(self.catalog, uid, lambda: list(read_record(path))):
                return False
            documents = list(read_record(path))
            if not documents or documents[0][0] != "start":
                logger.warning("%s holds no start document and was left out", path)
                return False
            replay(self.catalog, uid, documents)
            return True

    def _warn_of_unreadable(self, name: str, doc: Mapping[str, Any]) -> None:
        """Say once of each folder that the catalogue cannot read what lies there."""
        path = file_of(name, doc)
        if path is None or self._readable is None:
            return
        folder = path.resolve().parent
        known = (self.frames_dir, *self._readable)
        if folder in self._unreadable or any(
            folder.is_relative_to(part.resolve()) for part in known
        ):
            return
        self._unreadable.add(folder)
        logger.warning(
            "frames must lie where the catalogue may read them, got %s, which is under none of %s; "
            "the run's record is complete and opens. Let the catalogue read there: "
            "Store.open(path, readable=[%r]) or BL_STEER_DETECTOR_FOLDERS=%s",
            folder,
            [str(part) for part in known],
            str(folder),
            folder,
        )


def _folder(path: str | os.PathLike[str]) -> Path:
    """Return the store's folder, absolute, with its parts; raise if it cannot be written."""
    folder = Path(path).expanduser().absolute()
    if set("?#") & set(str(folder)):
        raise StoreError(
            f"the store's path must not hold '?' or '#', which end a path in a URI, got {folder}; "
            "give another path"
        )
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"the store must be a folder, got the file {folder}; give another path")
    try:
        for part in (folder / "record", folder / "frames"):
            part.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.write_bytes(b"\0" * 4096)
        probe.unlink()
    except OSError as error:
        raise StoreError(
            f"the store must be a writable folder, got {error.strerror!r} for {folder}; free some "
            "space, set the permissions or give another path"
        ) from error
    return folder
