import errno
import importlib.util
import json
import logging
import os
import resource
import shutil
import sys
import threading
from pathlib import Path

import bluesky.plans as bp
import numpy as np
import pytest
import uvicorn
from bluesky import RunEngine
from hypothesis import given, settings
from hypothesis import strategies as st
from tiled.server.simple import ThreadedServer

from bl_steer.runs import Run, list_runs, open_run
from bl_steer.store import (
    RecordWriter,
    RunMetadata,
    Store,
    StoreError,
    find_records,
    is_being_written,
    read_record,
)
from bl_steer.store.writer import CatalogueWriter
from tests import fork_server

INSTRUMENT = Path(__file__).parents[1] / "minimal_instrument.py"
_spec = importlib.util.spec_from_file_location("minimal_instrument", INSTRUMENT)
instrument = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(instrument)

UID = "7f3a2c51-0000-4000-8000-000000000000"
START = {"uid": UID, "time": 1.0, "plan_name": "find_hotspot"}


@pytest.fixture(scope="module")
def make_engine():
    engines = []

    def make(metadata=None):
        engines.append(RunEngine({} if metadata is None else metadata))
        return engines[-1]

    yield make
    for engine in engines:
        engine.loop.call_soon_threadsafe(engine.loop.stop)
        engine._th.join()
        engine.loop.close()


@pytest.fixture(scope="module")
def measure(make_engine):
    def measure(store, n_points=4):
        engine = make_engine(store.metadata)
        store.subscribe_to(engine)
        (uid,) = engine(instrument.Beamline(store).plan(n_points))
        return uid

    return measure


@pytest.fixture(scope="module")
def shared(tmp_path_factory, measure):
    """An open store at a path with a space and percent signs, and the uids of its two runs."""
    with Store.open(tmp_path_factory.mktemp("shared") / "my data 100%20") as store:
        yield store, [measure(store, 2), measure(store, 4)]


@pytest.fixture
def beamline(shared):
    return instrument.Beamline(shared[0])


def plain(value):
    return json.loads(json.dumps(value, default=lambda other: other.tolist()))


def test_record_holds_every_document_of_a_run_in_order(tmp_path, beamline, make_engine):
    engine, seen = make_engine(), []
    record = RecordWriter(tmp_path / "record")
    engine.subscribe(record)
    engine.subscribe(lambda name, doc: seen.append(plain([name, doc])))
    (uid,) = engine(beamline.plan(3))
    written = [list(document) for document in read_record(record.path(uid))]
    assert written == seen
    assert written[0][0] == "start"
    assert written[-1][0] == "stop"


def test_each_event_is_on_disk_before_the_next_subscriber_sees_it(tmp_path, beamline, make_engine):
    engine, checked = make_engine(), []
    record = RecordWriter(tmp_path / "record")
    engine.subscribe(record)

    def check(name, doc):
        if name == "event":
            (path,) = find_records(record.folder).values()
            assert list(read_record(path))[-1] == (name, plain(doc))
            checked.append(doc["seq_num"])

    engine.subscribe(check)
    engine(beamline.plan(3))
    assert len(checked) == 7


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(), min_size=1), st.text())
def test_record_gives_floats_back_bit_for_bit(tmp_path_factory, floats, text):
    record = RecordWriter(tmp_path_factory.mktemp("record"))
    metadata = {"list": floats, "array": np.array(floats), "one": np.float64(floats[0]), "t": text}
    record("start", {**START, **metadata})
    record.close()
    ((_, doc),) = read_record(record.path(UID))
    for key in ("list", "array"):
        np.testing.assert_array_equal(np.array(doc[key]), np.array(floats))
    assert doc["t"] == text


def test_record_refuses_what_json_cannot_hold(tmp_path):
    record = RecordWriter(tmp_path)
    with pytest.raises(TypeError, match="must hold JSON values and numpy arrays, got <object"):
        record("start", {**START, "sample": object()})
    assert find_records(tmp_path) == {}


def test_two_runs_at_once_keep_their_documents_apart(tmp_path):
    record = RecordWriter(tmp_path)
    for uid in "ab":
        record("start", {"uid": uid, "time": 0.0})
        record("descriptor", {"uid": f"d{uid}", "run_start": uid, "name": "primary"})
    for uid in "ba":
        record("event", {"descriptor": f"d{uid}", "seq_num": 1})
        record("stop", {"run_start": uid, "exit_status": "success"})
    for path in find_records(tmp_path).values():
        assert [name for name, _ in read_record(path)] == ["start", "descriptor", "event", "stop"]


def test_record_is_locked_while_it_is_written(tmp_path):
    record = RecordWriter(tmp_path)
    record("start", START)
    assert is_being_written(record.path(UID))
    record("stop", {"run_start": UID, "exit_status": "success"})
    assert not is_being_written(record.path(UID))


def test_torn_last_line_is_left_out(tmp_path, caplog):
    record = RecordWriter(tmp_path)
    record("start", START)
    record.close()
    with record.path(UID).open("ab") as file:
        file.write(b'["event",{"seq_n')
    assert list(read_record(record.path(UID))) == [("start", START)]
    assert "incomplete" in caplog.text


def test_garbage_in_the_midst_of_a_record_is_left_out_with_what_refers_to_it(tmp_path, caplog):
    path = tmp_path / "x.jsonl"
    descriptor, event = '["descriptor",{"uid":"d"}]', '["event",{"descriptor":"lost"}]'
    lines = ['["start",{"uid":"a"}]', "\0\0\0", descriptor, event, descriptor, "7", '["stop",{}]']
    path.write_text("\n".join([*lines, '["sto']))
    assert [name for name, _ in read_record(path)] == ["start", "descriptor", "stop"]
    (warning,) = [record.getMessage() for record in caplog.records]
    assert warning == (
        f"3 damaged lines (from line 2) and an incomplete last line of {path}; the rest was read"
    )


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_zeros_anywhere_in_a_record_cost_no_more_than_the_lines_that_they_cover(
    tmp_path_factory, data
):
    record = RecordWriter(tmp_path_factory.mktemp("record"))
    record("start", START)
    record("descriptor", {"uid": "d", "run_start": UID, "name": "primary"})
    for number in range(5):
        record("event", {"descriptor": "d", "uid": f"e{number}", "seq_num": number})
    record.close()
    path = record.path(UID)
    whole, raw = list(read_record(path)), bytearray(path.read_bytes())
    first_event = raw.index(b'["event"')
    begin = data.draw(st.integers(first_event, len(raw) - 1))
    end = data.draw(st.integers(begin + 1, len(raw)))
    raw[begin:end] = bytes(end - begin)
    path.write_bytes(raw)
    n_before = raw.count(b"\n", 0, begin)
    n_after = max(0, raw.count(b"\n", end) - 1)  # the first of these ends a damaged line
    assert list(read_record(path)) == [*whole[:n_before], *whole[len(whole) - n_after :]]


def test_missing_record_is_named(tmp_path):
    with pytest.raises(StoreError, match=r"got 'No such file or directory' for .*nothing\.jsonl"):
        list(read_record(tmp_path / "nothing.jsonl"))


def test_full_disk_raises_a_clear_error(tmp_path):
    (tmp_path / f"{UID}.jsonl").symlink_to("/dev/full")
    record = RecordWriter(tmp_path)
    with pytest.raises(StoreError, match=r"got 'No space left on device' for .*; free some space"):
        record("start", START)
    record.close()


def test_full_disk_ends_the_run_and_keeps_the_points_before(
    tmp_path, beamline, make_engine, caplog
):
    """A limit on file size stands for the full disk: it too stops a write half way."""
    caplog.set_level(logging.CRITICAL, logger="bluesky")
    engine = make_engine()
    record = RecordWriter(tmp_path / "record")
    engine.subscribe(record)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (14_000, limits[1]))
    try:
        with pytest.raises(StoreError, match=os.strerror(errno.EFBIG)):
            engine(beamline.plan(100))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    (path,) = find_records(record.folder).values()
    run = Run.from_record(path)
    assert path.read_bytes().endswith(b"\n")
    assert not is_being_written(path)
    assert 2 < run.n_points < 100
    np.testing.assert_array_equal(run.y, 2.0 * np.arange(run.n_points))
    assert engine.state == "idle"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("file", "must be a folder, got the file .*file; give another path"),
        ("/proc/store", "must be a writable folder, got .* for /proc/store; "),
        ("what?", r"must not hold '\?' or '#', .* got .*what\?; give another path"),
    ],
)
def test_store_says_why_a_path_will_not_do(tmp_path, path, message):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=message) as caught:
        Store.open(tmp_path / path)
    assert "\n" not in str(caught.value)


def test_damaged_catalogue_is_rebuilt_from_the_records(tmp_path, shared):
    store, uids = shared
    folder = tmp_path / "data"
    shutil.copytree(store.path, folder, ignore=shutil.ignore_patterns("*.db*"))
    for name in ("catalogue.db", "tables.db"):
        (folder / name).write_bytes(b"no database, but long enough to look like one" * 99)
        with pytest.raises(StoreError, match=f"sound SQLite file, got .*{name}; move") as caught:
            Store.open(folder)
        assert "\n" not in str(caught.value)
        (folder / name).unlink()
    with Store.open(folder) as rebuilt:
        assert sorted(rebuilt.sync()) == sorted(uids)
        assert Run.from_tiled(rebuilt.catalog[uids[1]]).n_points == 4


@pytest.mark.parametrize("how", [shutil.copytree, shutil.move])
def test_a_store_that_was_copied_or_moved_is_opened_as_before(tmp_path, measure, how):
    with Store.open(tmp_path / "first") as store:
        uid = measure(store)
        before = open_run(store, uid)
        expected = np.asarray(before.frames)
    unfinished = tmp_path / "first" / "record" / "broken.jsonl"
    record = (tmp_path / "first" / "record" / f"{uid}.jsonl").read_text().replace(uid, "broken")
    unfinished.write_text("".join(record.splitlines(keepends=True)[:-1]))
    how(tmp_path / "first", tmp_path / "second place")
    if how is shutil.copytree:
        (tmp_path / "first" / "frames").rename(tmp_path / "first" / "gone")
    with Store.open(tmp_path / "second place") as store:
        run = open_run(store, uid)
        assert run.finished
        np.testing.assert_array_equal(run.primary["time"], before.primary["time"])
        np.testing.assert_array_equal(np.asarray(run.frames), expected)
        np.testing.assert_array_equal(np.asarray(open_run(store, "broken").frames), expected)
        assert measure(store) != uid


def test_catalogue_has_the_habits_of_databroker(shared):
    store, (first, second) = shared
    assert store.catalog[-1].metadata["start"]["uid"] == second
    assert store.catalog[1].metadata["start"]["uid"] == first
    assert store.catalog[first[:8]].metadata["start"]["uid"] == first
    names = [name for name, _ in store.catalog[second].documents()]
    assert names[0] == "start"
    assert names[-1] == "stop"


def test_tiled_serves_the_frames(shared):
    store, _ = shared
    image = store.catalog[-1]["primary"]["det_image"]
    np.testing.assert_array_equal(image[1], instrument.expected_frames(1, (2, 4, 5)))


def test_scan_ids_go_on_in_the_next_session(tmp_path, make_engine):
    for expected in (1, 2):
        engine, starts = make_engine(RunMetadata(tmp_path / "md.json")), []
        engine.subscribe(lambda _, doc, starts=starts: starts.append(doc["scan_id"]), "start")
        engine(bp.count([]))
        assert starts == [expected]


def test_metadata_survives_a_crash_while_it_is_written(tmp_path):
    metadata = RunMetadata(tmp_path / "md.json")
    metadata["scan_id"] = np.int64(7)
    (tmp_path / "md.tmp").write_text('{"scan_')
    again = RunMetadata(tmp_path / "md.json")
    assert dict(again) == {"scan_id": 7}
    del again["scan_id"]
    assert len(RunMetadata(tmp_path / "md.json")) == 0


def test_broken_metadata_are_named(tmp_path):
    (tmp_path / "md.json").write_text("{")
    with pytest.raises(StoreError, match=r"must be JSON, got .* in .*md\.json; repair the file"):
        RunMetadata(tmp_path / "md.json")


def test_frames_elsewhere_are_kept_and_a_warning_names_the_folder_once(
    tmp_path, make_engine, caplog
):
    (tmp_path / "detector").mkdir()
    with Store.open(tmp_path / "data") as store:
        engine, beamline = make_engine(), instrument.Beamline(store)
        store.subscribe_to(engine)
        beamline.det.folder = tmp_path / "detector"
        uids = [engine(beamline.plan(2))[0] for _ in range(2)]
        (warning,) = [r.getMessage() for r in caplog.records if r.name == "bl_steer.store.store"]
        assert f"BL_STEER_DETECTOR_FOLDERS={tmp_path / 'detector'}" in warning
        for uid in uids:
            run = open_run(store, uid)
            assert run.status == "success"
            assert run.frames[1].any()


def test_the_catalogue_reads_folders_that_it_is_given(tmp_path, make_engine, caplog, monkeypatch):
    (tmp_path / "detector").mkdir()
    uids = []
    for number, readable in enumerate([[tmp_path / "detector"], None]):
        monkeypatch.setenv("BL_STEER_DETECTOR_FOLDERS", f"/nowhere:{tmp_path / 'detector'}")
        with Store.open(tmp_path / f"data{number}", readable=readable) as store:
            engine, beamline = make_engine(), instrument.Beamline(store)
            store.subscribe_to(engine)
            beamline.det.folder = tmp_path / "detector"
            uids += engine(beamline.plan(2))
            image = store.catalog[uids[-1]]["primary"]["det_image"].read()
            np.testing.assert_array_equal(image, np.asarray(open_run(store).frames))
    assert not caplog.records


def test_failing_catalogue_neither_stops_nor_loses_a_run(tmp_path, measure, caplog):
    with Store.open(tmp_path) as store:
        (tmp_path / "tables.db").unlink()
        (tmp_path / "tables.db").mkdir()
        uid = measure(store)
        assert "stop" not in store.catalog[uid].metadata
        assert "Store.sync() brings the rest" in caplog.text
        assert [row.status for row in list_runs(store)] == ["success"]
        before = open_run(store, uid).patterns()
        (tmp_path / "tables.db").rmdir()
        assert store.sync() == [uid]
        assert store.sync() == []
        assert "stop" in store.catalog[uid].metadata
        np.testing.assert_array_equal(open_run(store, uid).patterns(), before)


def threads_left(before):
    """Return the names of the threads begun since `before` that do not end."""
    left = set(threading.enumerate()) - before
    left = {thread for thread in left if thread.name != "bluesky-run-engine"}
    for thread in left:  # workers of Tiled's loop are told to end, which takes them a moment
        thread.join(timeout=10.0)
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
        assert ("Store.sync() will complete it" in caplog.text) == gives_up
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


def test_databroker_reads_the_store_in_a_process_of_its_own(shared):
    store, (first, second) = shared
    script = """
import sys
from bl_steer.runs import Run
from bl_steer.store import open_broker
db = open_broker(sys.argv[1])
header = db[-1]
table = header.table("primary")
run = Run.from_header(header)
print(header.start["uid"], db[1].start["uid"], db[sys.argv[2]].start["uid"])
print(len(table), float(table["stage_y"].iloc[-1]), *run.y)
assert (run.frames[1] == Run.from_record(sys.argv[3]).frames[1]).all()
"""
    record = store.record_dir / f"{second}.jsonl"
    done = fork_server.run(
        [sys.executable, "-c", script, store.path, first[:8], record],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [second, first, first, "4", "6.0", "0.0", "2.0", "4.0", "6.0"]


def test_scan_ids_go_on_across_two_open_sessions(tmp_path: Path) -> None:
    from bl_steer.store import RunMetadata

    one, other = RunMetadata(tmp_path / "md.json"), RunMetadata(tmp_path / "md.json")
    one["scan_id"] = 1
    other["scan_id"] = other.get("scan_id", 0) + 1
    one["scan_id"] = one.get("scan_id", 0) + 1
    assert one["scan_id"] == other["scan_id"] == 3
