"""What may be said of a run: accepted only where record and catalogue give it back."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PosixPath
from typing import Any

import bluesky.plans as bp
import numpy as np
import pytest
from bluesky_tiled_plugins.utils import truncate_json_overflow
from event_model import DocumentNames, schema_validators
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import ValidationError

from bl_steer.store import (
    RunMetadata,
    StoreError,
    as_json,
    check_md,
    check_storable,
    merge_sample,
)

KEYS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=4)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.binary()
VALUES = st.recursive(
    LEAVES, lambda part: st.lists(part, max_size=3) | st.dictionaries(KEYS, part, max_size=3)
)
TREES = st.recursive(
    st.integers(0, 3), lambda part: st.dictionaries(st.sampled_from("abc"), part, max_size=3)
)


def is_accepted(md: dict[str, Any]) -> bool:
    try:
        check_storable(md, "md")
    except ValueError:
        return False
    return True


def mappings(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value:
        if isinstance(part, dict | list):
            yield from mappings(part)


@given(st.dictionaries(KEYS, VALUES, max_size=3))
def test_what_is_accepted_reads_back_as_it_was(md: dict[str, Any]) -> None:
    if is_accepted(md):
        assert as_json(md) == md
        assert truncate_json_overflow(md) == md  # what Tiled's client does to it
        start = {"uid": "a", "time": 0.0, **md}
        schema_validators[DocumentNames.start].validate(start)


@given(st.dictionaries(KEYS, VALUES, max_size=3))
@example({"0": [{"/": None}]})
def test_what_is_refused_would_not_have_read_back(md: dict[str, Any]) -> None:
    if not is_accepted(md):
        try:
            stored = truncate_json_overflow(json.loads(json.dumps(md, allow_nan=False)))
            for part in mappings(md):  # the schema itself does not look into lists
                schema_validators[DocumentNames.start].validate({"uid": "a", "time": 0.0, **part})
        except (TypeError, ValueError, ValidationError):
            return
        assert stored != md


@given(
    st.dictionaries(st.sampled_from("abc"), TREES), st.dictionaries(st.sampled_from("abc"), TREES)
)
def test_merged_sample_holds_every_word_of_the_users(
    known: dict[str, Any], own: dict[str, Any]
) -> None:
    def holds(merged: Any, told: Any) -> bool:
        if isinstance(told, dict):
            return isinstance(merged, dict) and all(
                key in merged and holds(merged[key], value) for key, value in told.items()
            )
        return bool(merged == told)

    merged = merge_sample(known, own)
    assert holds(merged, own)
    assert merged.keys() == known.keys() | own.keys()
    assert merge_sample(merged, own) == merged
    assert merge_sample({}, own) == own
    assert merge_sample(known, {}) == known


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(ValueError, match="got inf") as caught:
        check_md({"a": np.inf, "b": [1, {"c": np.nan}], "d": {2: 3}, "e": object()})
    for place in ("md['a']", "md['b'][1]['c']", "keys of md['d']", "md['e']"):
        assert place in str(caught.value)


def test_refused_value_leaves_the_metadata_of_the_session_whole(tmp_path: Path) -> None:
    metadata = RunMetadata(tmp_path / "md.json")
    metadata["proposal"] = "p1"
    with pytest.raises(ValueError, match=r"RE\.md\['proposal'\] must be what JSON can hold"):
        metadata["proposal"] = object()
    assert metadata["proposal"] == "p1"
    assert metadata.next_scan_id() == 1
    assert dict(RunMetadata(tmp_path / "md.json")) == {"proposal": "p1", "scan_id": 1}


def test_scan_ids_go_on_in_the_next_session(
    tmp_path: Path, make_engine: Callable[..., Any]
) -> None:
    for expected in (1, 2):
        starts: list[int] = []
        engine = make_engine(RunMetadata(tmp_path / "md.json"))
        engine.subscribe(lambda _, doc, starts=starts: starts.append(doc["scan_id"]), "start")
        engine(bp.count([]))
        assert starts == [expected]


def test_metadata_survives_a_crash_while_it_is_written(tmp_path: Path) -> None:
    metadata = RunMetadata(tmp_path / "md.json")
    metadata["scan_id"] = np.int64(7)
    (tmp_path / "md.tmp").write_text('{"scan_')
    again = RunMetadata(tmp_path / "md.json")
    assert dict(again) == {"scan_id": 7}
    del again["scan_id"]
    assert len(RunMetadata(tmp_path / "md.json")) == 0


def test_broken_metadata_are_named(tmp_path: Path) -> None:
    (tmp_path / "md.json").write_text("{")
    with pytest.raises(StoreError, match=r"must be JSON, got .* in .*md\.json; repair the file"):
        RunMetadata(tmp_path / "md.json")


def test_scan_ids_go_on_across_two_open_sessions(tmp_path: Path) -> None:
    one, other = RunMetadata(tmp_path / "md.json"), RunMetadata(tmp_path / "md.json")
    one["scan_id"] = 1
    other["scan_id"] = other.get("scan_id", 0) + 1
    one["scan_id"] = one.get("scan_id", 0) + 1
    assert one["scan_id"] == other["scan_id"] == 3


def test_what_another_session_writes_while_this_one_reads_is_not_lost(tmp_path: Path) -> None:
    """A scan id was given twice where the file was replaced between its reading and its stat."""
    path, mine, read = tmp_path / "md.json", "{}", threading.Event()
    path.write_text(mine)
    one = RunMetadata(path)
    assert one.next_scan_id() == 1

    class Overtaken(PosixPath):
        """A file that another session replaces as soon as it was read."""

        def read_bytes(self) -> bytes:
            content: bytes = Path(self).read_bytes()
            if not read.is_set():
                read.set()
                assert RunMetadata(path).next_scan_id() == 3
            return content

    assert RunMetadata(path).next_scan_id() == 2
    one.path = Overtaken(path)
    assert one["scan_id"] == 2
    assert one.next_scan_id() == 4


def test_a_walk_through_the_metadata_outlives_keys_that_another_thread_adds(
    tmp_path: Path,
) -> None:
    metadata = RunMetadata(tmp_path / "md.json")
    metadata["a"] = 1
    walk = iter(metadata)
    with ThreadPoolExecutor(1) as thread:
        thread.submit(metadata.update, b=2).result(60)
    assert list(walk) == ["a"]
    assert dict(metadata) == {"a": 1, "b": 2}
