"""Who writes to a catalogue, of this process or of a server, and what ends with the store."""

import logging
import threading

import pytest
import uvicorn
from tiled.server.simple import ThreadedServer

from bl_steer.runs import Run
from bl_steer.store import Store, StoreError
from bl_steer.store.writer import CatalogueWriter

UID = "7f3a2c51-0000-4000-8000-000000000000"


def threads_left(before):
    """Return the names of the threads begun since `before` that do not end."""
    left = set(threading.enumerate()) - before
    left = {thread for thread in left if thread.name != "bluesky-run-engine"}
    for thread in left:  # workers of Tiled's loop are told to end, which takes them a moment
        thread.join(timeout=60.0)
    return [thread.name for thread in left if thread.is_alive()]


def test_closed_store_leaves_no_thread_behind(tmp_path, measure):
    before = set(threading.enumerate())
    with Store.open(tmp_path) as store, Store.open(tmp_path) as looking:
        uid = measure(store, 1)
        assert looking.catalog[-1].metadata["stop"]["run_start"] == uid
        assert looking.sync() == []
    assert threads_left(before) == []


def test_store_that_outlives_another_of_its_folder_leaves_no_thread_behind(tmp_path):
    """Tiled keeps one pool of connections for both, and lets go of it with the first."""
    before = set(threading.enumerate())
    with Store.open(tmp_path) as store:
        with Store.open(tmp_path) as looking:
            assert len(looking.catalog) == 0
        assert len(store.catalog) == 0
    assert threads_left(before) == []


@pytest.mark.parametrize("gives_up", [True, False])
def test_slow_catalogue_in_this_process_is_waited_for_and_a_servers_is_not(caplog, gives_up):
    """Tiled that is closed while it writes leaves threads that never end, nor does the process."""
    free, done = threading.Event(), []

    def be_slow(uid):
        free.wait()
        done.append(uid)

    class Freeing(logging.Handler):
        def emit(self, record):
            if "waited for" in record.getMessage():
                free.set()

    handler = Freeing()
    writer_log = logging.getLogger("bl_steer.store.writer")
    writer_log.addHandler(handler)
    try:
        writer = CatalogueWriter(
            {}, batch_size=1, on_done=be_slow, patience_s=0.05, gives_up=gives_up
        )
        writer.put(UID, "stop", {})
        writer.close()
        assert done == ([] if gives_up else [UID])
        assert ("sync() completes it when it answers" in caplog.text) == gives_up
    finally:
        free.set()
        writer_log.removeHandler(handler)


def test_run_goes_to_a_facilitys_server(tmp_path, measure, caplog):
    with Store.open(tmp_path / "server") as facility:
        frames = tmp_path / "server" / "frames"
        app = facility.catalog.context.http_client.app
        server = ThreadedServer(uvicorn.Config(app, port=0, log_config=None, ws="none"))
        with server.run_in_thread() as address:
            key = facility.catalog.context.api_key
            with pytest.raises(StoreError, match="must have the spec 'CatalogOfBlueskyRuns', got"):
                Store.connect(f"{address}/api/v1/", api_key=key, path=tmp_path / "here")
            uri = f"{address}/api/v1/metadata/runs"
            with Store.connect(uri, api_key=key, path=tmp_path / "here") as store:
                (tmp_path / "here" / "frames").rmdir()
                (tmp_path / "here" / "frames").symlink_to(frames)
                uid = measure(store)
                assert Run.from_tiled(store.catalog[uid]).n_points == 4
                assert store.sync() == []
            # To the server, which follows no link, these frames lie in another folder.
            assert (
                f"got status 500 for det_image of stream primary of run {uid}; let" in caplog.text
            )
            caplog.clear()
            with Store.connect(uri, api_key=key, path=tmp_path / "server") as store:
                measure(store)
            assert "the Tiled server must be able to read" not in caplog.text


def test_server_that_does_not_answer_is_named(tmp_path):
    with pytest.raises(StoreError, match=r"server must answer, got .* from http://127\.0\.0\.1:9/"):
        Store.connect("http://127.0.0.1:9/api/v1/metadata/raw", path=tmp_path)
