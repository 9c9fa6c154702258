"""A store: folders that will do, a catalogue that follows the records, frames that are found."""

import shutil
import sys

import numpy as np
import pytest

from bl_steer.runs import Run, list_runs, open_run
from bl_steer.store import Store, StoreError
from tests import fork_server
from tests.bl_steer import minimal_instrument as instrument


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
