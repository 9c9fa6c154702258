"""A result becomes a run, and comes back as it was."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from event_model import DocumentNames, schema_validators

from bl_steer.analysis import AnalysisFailed, Request, analyses_of, digest_of, open_analysis
from bl_steer.processing.documents import failure_documents, result_documents
from bl_steer.processing.publish import publish, publish_documents, result_of
from bl_steer.protocols import AnalysisResult
from bl_steer.runs import Run, list_runs, open_run
from bl_steer.store import Document, Store

ABOUT = {"name": "mine", "version": "2", "params": {"a": [1, 2.5]}, "weights": "ab" * 32}


def draw() -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1, 1))
    figure.subplots().plot([0, 1])
    return figure


@pytest.fixture(scope="module")
def result() -> AnalysisResult:
    rng = np.random.default_rng(0)
    grains = {
        "label": np.arange(5, dtype="i2"),
        "area": np.array([1.0, np.nan, -0.0, np.inf, 0.1], "f4"),
        "phase": np.array(["oxide", "ß", "", "two words", "carbon, void"]),
        "whole": np.array([True, False, True, True, False]),
        "id": np.array([0, 1, 2**60 + 1, 3, 2**63 - 1], "u8"),
        "swapped": np.linspace(0.0, 1.0, 5).astype(">f8"),
    }
    arrays = {
        "labels": (np.arange(12).reshape(3, 4) % 3).astype("u1"),
        "probability": rng.normal(size=(2, 3, 4)).astype("f4"),
        "mask": np.eye(3, dtype=bool),
        "profile": rng.normal(size=7),
        "swapped": np.arange(6).astype(">u2").reshape(2, 3),
        "one": np.array([3.5]),
        "zero_d": np.array(2, "i4"),
        "empty": np.empty((0, 3)),
    }
    none = {"x": np.empty(0), "phase": np.empty(0, "U3")}
    provenance = {**ABOUT, "source": {"run": "raw"}, "duration_s": 0.5}
    return AnalysisResult(
        {"grains": grains, "none": none}, arrays, provenance, {"overview": draw}, ["a warning"]
    )


def assert_equal(read: AnalysisResult, result: AnalysisResult) -> None:
    for name, table in result.tables.items():
        assert set(read.tables[name]) == set(table)
        for key, column in table.items():
            assert_identical(read.tables[name][key], column)
    assert read.arrays.keys() == result.arrays.keys()
    for name, array in result.arrays.items():
        assert_identical(read.arrays[name], array)
    assert read.provenance == result.provenance
    assert list(read.warnings) == list(result.warnings)
    assert digest_of(read) == digest_of(result)


def assert_identical(one: Any, other: Any) -> None:
    assert one.dtype == other.dtype
    np.testing.assert_array_equal(one, other)
    assert one.shape == other.shape


def test_it_comes_back_exactly_from_the_catalogue_and_from_the_record(
    store: Store, result: AnalysisResult
) -> None:
    uid = publish(store, result, raw_uid="raw-uid")
    assert_equal(open_analysis(store, uid[:9]), result)
    for run in (
        Run.from_tiled(store.catalog[uid]),
        Run.from_record(store.record_dir / f"{uid}.jsonl"),
    ):
        assert_equal(result_of(run, store.frames_dir), result)
    assert open_analysis(store, uid).figures["overview"]().size == (150, 150)


def test_tiled_serves_its_tables_and_arrays(store: Store, result: AnalysisResult) -> None:
    node = store.catalog[publish(store, result, raw_uid="raw-uid")]
    table = node["grains"].read()
    assert table["phase"].values.tolist() == result.tables["grains"]["phase"].tolist()
    np.testing.assert_array_equal(table["area"], result.tables["grains"]["area"])
    for name in ("labels", "probability", "mask", "profile", "swapped"):
        served = node["arrays"][name].read()
        assert_identical(served[0], result.arrays[name])


def test_both_runs_lead_to_each_other(
    store: Store, result: AnalysisResult, measured: Callable[..., str]
) -> None:
    raw = measured()
    first, second = (publish(store, result, raw_uid=raw) for _ in range(2))
    publish(store, result, raw_uid="another")
    assert analyses_of(store, raw) == [first, second]
    assert open_run(store, first).start["analysis"]["raw_run"] == raw
    rows = {row.uid: row for row in list_runs(store)}
    assert (rows[first].plan, rows[first].analysis) == ("analysis", "mine")
    assert rows[raw].analysis == ""
    scan_ids = [rows[uid].scan_id for uid in (first, second)]
    assert scan_ids == [1, 2]
    assert store.metadata["scan_id"] == 3


def test_its_documents_obey_their_schemas(store: Store, result: AnalysisResult) -> None:
    request = Request("raw-uid", "mine", {"a": [1, 2.5]})
    documents = [
        *result_documents(result, request=request, frames_dir=store.frames_dir),
        *failure_documents("it\nbroke", request=request, traceback="Traceback: …"),
    ]
    for name, doc in documents:
        schema_validators[DocumentNames[name]].validate(doc)
    assert documents[-1][1]["reason"] == "it broke"


def test_a_failure_is_a_failed_run_with_its_reason(store: Store) -> None:
    documents = failure_documents("no beam", request=Request("raw", "mine"), traceback="at line 3")
    uid = publish_documents(store, documents)
    run = open_run(store, uid)
    assert (run.status, run.stop["reason"], run.stop["traceback"]) == (
        "fail",
        "no beam",
        "at line 3",
    )
    with pytest.raises(AnalysisFailed, match="failed: no beam"):
        open_analysis(store, uid)


def test_a_picture_that_cannot_be_drawn_costs_a_warning_and_not_the_result(store: Store) -> None:
    result = AnalysisResult({}, {}, ABOUT, {"bad": lambda: 1 / 0})
    read = open_analysis(store, publish(store, result, raw_uid="raw"))
    assert read.figures == {}
    assert read.warnings == ["figure 'bad' was not drawn: ZeroDivisionError: division by zero"]
    assert digest_of(read) == digest_of(result)


def test_a_raw_run_is_no_analysis(store: Store, measured: Callable[..., str]) -> None:
    with pytest.raises(ValueError, match="must come from an analysis run, got a run of 'count'"):
        open_analysis(store, measured())


def test_a_lost_file_of_arrays_is_named(store: Store, result: AnalysisResult) -> None:
    uid = publish(store, result, raw_uid="raw")
    (store.frames_dir / f"{uid}.h5").unlink()
    with pytest.raises(RuntimeError, match=rf"must be in a sound HDF5 file, got .*{uid}\.h5"):
        open_analysis(store, uid)


BAD = [
    ({"arrays": {"a": np.ones(2)}}, {}, "tables must not be called 'arrays'"),
    ({"t": {"time": np.ones(2)}}, {}, "which the stored form needs, got table 't'"),
    ({"t": {"a": np.ones(2), "b": np.ones(3)}}, {}, "must have columns of one length"),
    ({"t": {"a": np.ones((2, 2))}}, {}, "put anything else into the arrays"),
    ({"t.x": {"a": np.ones(2)}}, {}, r"must hold no '\.' or '/', got \['t\.x'\]"),
    ({}, {"a": np.array(["text"])}, "array 'a' must hold real numbers"),
]


@pytest.mark.parametrize(("tables", "arrays", "text"), BAD, ids=lambda value: str(value)[:25])
def test_what_cannot_be_stored_is_refused_by_name(
    tables: Any, arrays: Any, text: str, store: Store
) -> None:
    with pytest.raises(ValueError, match=text):
        publish(store, AnalysisResult(tables, arrays, ABOUT), raw_uid="raw")
    assert list_runs(store) == []
    assert list(store.frames_dir.iterdir()) == []


def test_results_may_be_stored_while_a_run_is_measured(
    store: Store, result: AnalysisResult, raw_run: Callable[..., list[Document]]
) -> None:
    published: list[str] = []
    thread = threading.Thread(
        target=lambda: published.extend(publish(store, result, raw_uid="raw") for _ in range(3))
    )
    thread.start()
    measured = 0
    while thread.is_alive() or measured < 3:
        for name, doc in raw_run({"scan_id": store.metadata.next_scan_id()}):
            store(name, doc)
        measured += 1
    thread.join()
    rows = list_runs(store)
    assert [row.status for row in rows] == ["success"] * (3 + measured)
    assert sorted(row.scan_id or 0 for row in rows) == list(range(1, 4 + measured))
    # What a locked catalogue could not take at once is in the record, and sync brings it.
    store.sync()
    assert store.sync() == []
    assert set(store.catalog) == {row.uid for row in rows}
    for uid in published:
        assert_equal(open_analysis(store, uid), result)
