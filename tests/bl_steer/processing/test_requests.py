"""What a run asks for, and what of it is still to be done."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bl_steer.analysis import Request, pending_analyses, requests_of
from bl_steer.processing.callback import FollowRuns
from bl_steer.processing.documents import failure_documents
from bl_steer.processing.publish import publish, publish_documents
from bl_steer.protocols import AnalysisResult
from bl_steer.store import Document, Store

Make = Callable[..., list[Document]]
WITH_SEED = {"name": "components", "params": {"seed": 1}}


def test_names_and_parameters_are_both_understood_and_repeats_left_out() -> None:
    start = {"uid": "u", "analyses": ["components", WITH_SEED, {"name": "components"}]}
    assert requests_of(start) == [
        Request("u", "components"),
        Request("u", "components", {"seed": 1}),
    ]
    assert requests_of({"uid": "u"}) == []


@pytest.mark.parametrize(
    "asked", ["components", [3], [{"params": {}}], [{"name": "a", "param": {}}], {"name": "a"}]
)
def test_what_is_no_list_of_requests_is_refused(asked: Any) -> None:
    with pytest.raises(ValueError, match=r"write e\.g\. md=\{'analyses': \['components'\]\}"):
        requests_of({"uid": "u", "analyses": asked})


def follow(*runs: list[tuple[str, dict[str, Any]]]) -> list[Request]:
    asked: list[Request] = []
    callback = FollowRuns(asked.append)
    for documents in runs:
        for name, doc in documents:
            callback(name, doc)
    return asked


def test_the_callback_hands_over_at_the_stop_document_of_a_good_run(raw_run: Make) -> None:
    good = raw_run({"analyses": ["a", WITH_SEED]})
    bad = raw_run({"analyses": ["a"]}, status="fail")
    anyway = raw_run({"analyses": [{"name": "a", "always": True}]}, status="abort")
    broken = raw_run({"analyses": ["a"]}, status=None)
    asked = follow(good, bad, anyway, broken, raw_run())
    assert [(r.raw_uid, r.name) for r in asked] == [
        (good[0][1]["uid"], "a"),
        (good[0][1]["uid"], "components"),
        (anyway[0][1]["uid"], "a"),
    ]
    assert follow(good[:-1]) == []


def test_the_callback_keeps_runs_apart_that_are_open_at_once(raw_run: Make) -> None:
    one, other = raw_run({"analyses": ["a"]}), raw_run({"analyses": ["b"]})
    mixed = [doc for pair in zip(one, other, strict=True) for doc in pair]
    assert [(r.raw_uid, r.name) for r in follow(mixed)] == [
        (one[0][1]["uid"], "a"),
        (other[0][1]["uid"], "b"),
    ]


def test_the_callback_never_raises(raw_run: Make, caplog: pytest.LogCaptureFixture) -> None:
    def full(request: Request) -> None:
        raise RuntimeError("no room")

    callback = FollowRuns(full)
    for name, doc in [*raw_run({"analyses": ["a"]}), *raw_run({"analyses": 3}), ("stop", {})]:
        callback(name, doc)
    assert caplog.text.count("the run is unharmed") == 3


def test_what_was_asked_for_is_pending_until_an_analysis_run_answers(
    store: Store, measured: Callable[..., str]
) -> None:
    first = measured({"analyses": ["sum", WITH_SEED]})
    second = measured({"analyses": ["sum"]})
    measured({"analyses": ["sum"]}, status="fail")
    measured({"analyses": ["sum"]}, status=None)
    measured()
    requests = [
        Request(first, "sum"),
        Request(first, "components", {"seed": 1}),
        Request(second, "sum"),
    ]
    assert pending_analyses(store) == requests
    about = {"name": "sum", "version": "1", "params": {"factor": 1.0}, "weights": None}
    answer = AnalysisResult({"t": {"a": np.ones(1)}}, {}, about)
    publish(store, answer, raw_uid=first, request=requests[0])
    publish_documents(store, failure_documents("no", request=requests[1]))
    assert pending_analyses(store) == requests[2:]


def test_only_the_ends_of_a_long_record_are_needed(
    store: Store, measured: Callable[..., str]
) -> None:
    long = measured({"analyses": ["sum"], "note": "x" * 300_000})
    assert [request.raw_uid for request in pending_analyses(store)] == [long]


def test_scan_ids_are_given_once_however_many_ask(store: Store) -> None:
    given: list[int] = []

    def count(md: Any) -> None:
        for _ in range(20):
            number = store.metadata.next_scan_id(md)
            if md is not None:
                store.metadata["scan_id"] = number  # as the RunEngine does
            given.append(number)

    threads = [threading.Thread(target=count, args=(md,)) for md in (None, {}, None)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(given) == list(range(1, 61))
    assert store.metadata["scan_id"] == 60
    store.metadata["scan_id"] = 7
    assert store.metadata.next_scan_id() == 8
