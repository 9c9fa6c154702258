"""The record of a run: every document on disk at once, and what is left of a damaged one."""

import errno
import json
import logging
import os
import resource

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bl_steer.runs import Run
from bl_steer.store import RecordWriter, StoreError, find_records, is_being_written, read_record

UID = "7f3a2c51-0000-4000-8000-000000000000"
START = {"uid": UID, "time": 1.0, "plan_name": "find_hotspot"}


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
