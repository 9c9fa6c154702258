import importlib.util
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bluesky import RunEngine

from bl_steer.runs import RecordsAlone, Run, list_runs, open_named, open_run
from bl_steer.store import RecordWriter, Store, StoreError, find_records
from tests import fork_server

INSTRUMENT = Path(__file__).parents[1] / "minimal_instrument.py"
_spec = importlib.util.spec_from_file_location("minimal_instrument", INSTRUMENT)
instrument = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(instrument)

N = 4


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A store with one run of four points."""
    with Store.open(tmp_path_factory.mktemp("data")) as store:
        engine = RunEngine(store.metadata)
        store.subscribe_to(engine)
        beamline = instrument.Beamline(store)
        engine(beamline.plan(N))
        yield store
        engine.loop.call_soon_threadsafe(engine.loop.stop)
        engine._th.join()
        engine.loop.close()


@pytest.fixture(scope="module", params=["tiled", "record"])
def run(stored, request):
    uid = list_runs(stored)[-1].uid
    if request.param == "tiled":
        return Run.from_tiled(stored.catalog[uid])
    return Run.from_record(stored.record_dir / f"{uid}.jsonl")


def test_run_is_its_points_as_arrays(run):
    assert run.finished
    assert run.status == "success"
    assert run.n_points == N
    np.testing.assert_array_equal(run.x, np.arange(N) / 3)
    np.testing.assert_array_equal(run.y, 2.0 * np.arange(N))
    np.testing.assert_array_equal(run.monitor, np.full(N, 1000.0))
    np.testing.assert_array_equal(run.sim_time, 10.0 * np.arange(N))
    np.testing.assert_array_equal(run.qx, instrument.QX)
    np.testing.assert_array_equal(run.qz, instrument.QZ)
    assert run.valid.all()
    assert run.exposure_s == 0.5
    assert np.all(np.diff(run.time) > 0)
    np.testing.assert_array_equal(run.total, np.asarray(run.frames).sum(axis=(1, 2, 3)))


def test_decisions_and_result_are_read_back_exactly(run):
    assert run.decisions["reason"].tolist() == ["start"] * N
    np.testing.assert_array_equal(run.decisions["mean"], np.arange(N) / 7)
    assert run.result["best_x"] == (N - 1) / 3
    assert run.result["stop_reason"] == "budget"


def test_frames_are_read_on_demand(run):
    shape = (2, 4, 5)
    assert run.frames.shape == (N, *shape)
    expected = np.stack([instrument.expected_frames(point, shape) for point in range(N)])
    np.testing.assert_array_equal(run.frames[2], expected[2])
    np.testing.assert_array_equal(run.frames[-1], expected[-1])
    np.testing.assert_array_equal(run.frames[1:3], expected[1:3])
    np.testing.assert_array_equal(run.frames[[3, 0]], expected[[3, 0]])
    np.testing.assert_array_equal(run.frames[run.x > 0.5], expected[run.x > 0.5])
    np.testing.assert_array_equal(np.asarray(run.frames), expected)


def test_patterns_are_those_that_the_plan_saw(run):
    scale = instrument.NOMINAL / 1000.0
    expected = [frames.sum(axis=0, dtype=float).ravel() * scale for frames in run.frames[:]]
    np.testing.assert_array_equal(run.patterns(), expected)


def test_tiled_and_record_give_the_same_tables(stored):
    uid = list_runs(stored)[-1].uid
    tiled = Run.from_tiled(stored.catalog[uid])
    record = Run.from_record(stored.record_dir / f"{uid}.jsonl")
    assert tiled.start == record.start
    assert tiled.stop == record.stop
    assert tiled.streams.keys() == record.streams.keys()
    for name, table in record.streams.items():
        assert tiled.streams[name].keys() == table.keys()
        for key, column in table.items():
            np.testing.assert_array_equal(tiled.streams[name][key], column, err_msg=key)


def test_point_without_beam_or_with_dead_frames_has_no_pattern(run):
    primary = dict(run.primary)
    primary["det_valid"] = np.array([1, 0, 1, 1])
    primary["monitor_counts"] = np.array([1000.0, 1000.0, 0.0, 1000.0])
    spoilt = Run(
        run.start, run.stop, {**run.streams, "primary": primary}, run.configuration, run.frames
    )
    assert np.isnan(spoilt.patterns()).all(axis=1).tolist() == [False, True, True, False]


def test_point_measured_again_under_its_number_counts_once():
    """What Bluesky emits when a pause sends it back to a checkpoint."""
    documents = [
        ("start", {"uid": "u", "time": 0.0}),
        ("descriptor", {"uid": "d", "name": "primary", "data_keys": {}}),
        *(
            (
                "event",
                {
                    "descriptor": "d",
                    "seq_num": seq_num,
                    "time": time,
                    "data": {"stage_x": x},
                    "timestamps": {"stage_x": time},
                },
            )
            for seq_num, time, x in [(1, 1.0, 5.0), (2, 2.0, 6.0), (2, 3.0, 7.0), (3, 4.0, 8.0)]
        ),
    ]
    run = Run.from_documents(documents)
    np.testing.assert_array_equal(run.x, [5.0, 7.0, 8.0])
    assert not run.finished


def test_runs_are_found_by_index_scan_id_and_beginning(stored):
    (uid,) = find_records(stored.record_dir)
    assert [open_run(stored, key).uid for key in (-1, 1, uid[:6])] == [uid] * 3


def test_a_few_digits_are_a_scan_id_or_else_the_beginning_of_a_uid(tmp_path):
    uids = ["0835aaaa-0000-4000-8000-000000000000", "71234567-0000-4000-8000-000000000000"]
    (tmp_path / "record").mkdir()
    for scan_id, uid in enumerate(uids, start=7):
        start = {"uid": uid, "time": float(scan_id), "scan_id": scan_id, "plan_name": "count"}
        (tmp_path / "record" / f"{uid}.jsonl").write_text(json.dumps(["start", start]) + "\n")
    store = RecordsAlone(tmp_path)
    names = ["0835", "7", "71", "8", "-1", "-2", uids[0]]
    found = [uids.index(open_named(store, name).uid) for name in names]
    assert found == [0, 0, 1, 1, 1, 0, 0]
    for unknown in ("9", "-3"):
        with pytest.raises(KeyError, match="list the runs"):
            open_named(store, unknown)


@pytest.mark.parametrize("key", [99, -99, "nothing", "0" * 36])
def test_unknown_run_is_named(stored, key):
    with pytest.raises(
        KeyError, match=rf"must be in the store, got {key!r}, .* list the runs"
    ) as error:
        open_run(stored, key)
    assert str(error.value).startswith("a run must")  # a plain KeyError prints quotes
    assert str(error.value).endswith(
        "uid, the first characters of it, its scan id, or -1 for the latest"
    )


def test_missing_column_and_missing_frames_are_named(stored):
    run = Run({"uid": "u"}, None, {"primary": {"seq_num": np.arange(2)}})
    with pytest.raises(StoreError, match="must have a column 'stage_x', got"):
        _ = run.x
    with pytest.raises(StoreError, match="must come from frames, got a run without any"):
        run.patterns()


def test_frames_file_that_was_moved_is_named(stored, tmp_path):
    run = open_run(stored, -1)
    (path,) = stored.frames_dir.glob("*.h5")
    path.rename(tmp_path / path.name)
    try:
        with pytest.raises(StoreError, match=r"got no file .*\.h5; bring it back"):
            _ = run.frames[0]
    finally:
        (tmp_path / path.name).rename(path)


def test_empty_store_and_empty_run_have_no_points(tmp_path):
    with Store.open(tmp_path) as store:
        assert list_runs(store) == []
        with pytest.raises(KeyError, match="must be in the store, got -1"):
            open_run(store)
    assert Run({"uid": "u"}, None, {}).x.shape == (0,)


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A folder whose measurement was killed at its fourth point, as seen before and after."""
    folder = tmp_path_factory.mktemp("killed")
    child = fork_server.Popen(
        [sys.executable, INSTRUMENT, folder, "100000"], stdout=subprocess.PIPE, text=True
    )
    try:
        with Store.open(folder) as looking:
            for line in child.stdout:
                if int(line) == 3:
                    break
            child.send_signal(signal.SIGSTOP)
            (seen,) = list_runs(looking)
            during = Run.from_record(looking.record_dir / f"{seen.uid}.jsonl")
            frames = during.frames[:]
            synced = looking.sync()
    finally:
        child.kill()
        child.communicate()
    return folder, seen, frames, synced


def test_second_process_looks_on_while_a_run_is_measured(killed):
    _, seen, frames, synced = killed
    assert (seen.status, seen.in_progress) == ("unfinished", True)
    np.testing.assert_array_equal(frames[3], instrument.expected_frames(3, frames[3].shape))
    assert synced == []


def test_killed_run_is_listed_as_unfinished_with_its_points_and_frames(killed):
    folder, seen, *_ = killed
    with Store.open(folder) as store:
        (row,) = list_runs(store)
        assert (row.status, row.in_progress) == ("unfinished", False)
        assert row.n_points >= seen.n_points >= 4
        run = open_run(store, -1)
    _check_killed(run)


def test_killed_run_is_completed_in_the_catalogue_and_stays_unfinished(killed):
    folder, *_ = killed
    with Store.open(folder) as store:
        (uid,) = find_records(store.record_dir)
        assert store.sync() == [uid]
        assert store.sync() == []
        node = store.catalog[uid]
        assert "stop" not in node.metadata
        assert node["primary"]["det_image"][0].shape == (2, 4, 5)
        run = Run.from_tiled(node)
        assert [row.status for row in list_runs(store)] == ["unfinished"]
        np.testing.assert_array_equal(run.y, Run.from_record(store.record_dir / f"{uid}.jsonl").y)
    assert run.status == "unfinished"


def _check_killed(run):
    assert not run.finished
    assert run.result is None
    np.testing.assert_array_equal(run.y, 2.0 * np.arange(run.n_points))
    for point in range(run.n_points):
        expected = instrument.expected_frames(point, run.frames.shape[1:])
        np.testing.assert_array_equal(run.frames[point], expected)
    assert len(run.decisions["point"]) >= run.n_points


def test_runs_are_listed_and_opened_from_their_records_alone(tmp_path: Path) -> None:
    record = RecordWriter(tmp_path / "record")
    start = {"uid": "b" * 36, "time": 1.0, "plan_name": "find_hotspot", "scan_id": 7}
    record("start", start)
    record("stop", {"uid": "s", "run_start": "b" * 36, "time": 2.0, "exit_status": "success"})
    record.close()
    store = RecordsAlone(tmp_path)
    assert [row.status for row in list_runs(store)] == ["success"]
    assert open_run(store, -1).scan_id == open_run(store, "bbb").scan_id == 7
    with pytest.raises(KeyError, match="got '', which is not in"):
        open_run(store, "")
