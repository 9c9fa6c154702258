"""First looks find a process that is ready; each decodes one file, ends, and is replaced."""

from __future__ import annotations

import io
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bl_steer.server.errors import Refused
from bl_steer.server.sandbox.limits import process_tree
from bl_steer.server.sandbox.run import sandbox_problem
from bl_steer.server.settings import ServerSettings
from bl_steer.server.uploads.blobs import FileStore
from bl_steer.server.viewing import decoders
from bl_steer.server.viewing.decoders import PREFIX, Decoder, Decoders
from bl_steer.server.viewing.decoding import INFO, VALUES, Request
from bl_steer.server.viewing.planes import Info, PlaneCache, Planes, Stored, sweep_views
from bl_steer.server.viewing.scenes import describe_view
from bl_steer.server.viewing.views import Layer, View
from tests.bl_steer.server.segmented import GREY, png

pytestmark = pytest.mark.skipif(bool(sandbox_problem()), reason=sandbox_problem() or "-")


@pytest.fixture
def settings(tmp_path: Path) -> ServerSettings:
    return ServerSettings(folder=tmp_path / "server")


@pytest.fixture
def ready(settings: ServerSettings) -> Iterator[Decoders]:
    decoders = Decoders(settings, settings.views)
    (settings.views / f"{PREFIX}of-a-dead-server").mkdir(parents=True)
    decoders.keep_ready(1, after_s=0.0)
    yield decoders
    decoders.close()
    assert list(settings.views.iterdir()) == []


def taken_ready(decoders: Decoders) -> Decoder:
    deadline = time.monotonic() + 180
    while not decoders._ready:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    last = decoders._ready[-1]
    assert decoders.take() is last
    return last


def test_a_ready_decoder_decodes_one_file_ends_and_is_replaced(
    ready: Decoders, tmp_path: Path
) -> None:
    decoder = taken_ready(ready)
    (tmp_path / "grey.png").write_bytes(png(GREY))
    seen = decoder.give("file.png", tmp_path / "grey.png")
    decoder.decode(Request(seen, ""))
    assert (decoder.out / VALUES).read_bytes() == GREY.tobytes()
    assert (decoder.out / INFO).exists()
    assert not decoder.is_alive
    decoder.close()
    ready.refill(after_s=0.0)
    other = taken_ready(ready)
    assert other is not decoder
    other.close()


def test_a_decoder_that_was_killed_is_not_handed_out(ready: Decoders) -> None:
    decoder = taken_ready(ready)
    ready._ready.append(decoder)
    os.kill(decoder._process.pid, 9)
    decoder._process.wait()
    other = ready.take()
    assert other is not decoder
    assert other.is_alive
    other.close()


def test_an_old_decoder_that_waits_is_not_swept_as_unused_values_are(ready: Decoders) -> None:
    decoder = taken_ready(ready)
    folder = decoder.out.parent
    (folder.parent / "values").mkdir()
    sweep_views(folder.parent, now=time.time() + 10**6)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert decoder.is_alive
    decoder.close()


def test_values_that_go_while_they_are_counted_are_no_error(tmp_path: Path) -> None:
    """As drafts of other looks do; whoever looked at a file meanwhile got an error."""
    ended, usual = threading.Event(), sys.getswitchinterval()
    sys.setswitchinterval(1e-5)

    def come_and_go() -> None:
        while not ended.is_set():
            with tempfile.TemporaryDirectory(prefix="draft-", dir=tmp_path) as draft:
                for number in range(20):
                    Path(draft, str(number)).touch()

    others = [threading.Thread(target=come_and_go) for _ in range(2)]
    for other in others:
        other.start()
    try:
        for _ in range(10_000):
            sweep_views(tmp_path)
    finally:
        ended.set()
        for other in others:
            other.join()
        sys.setswitchinterval(usual)


def test_a_decoder_cannot_change_what_it_is_given(ready: Decoders) -> None:
    decoder = taken_ready(ready)
    mounts = [
        line.split()[4:6]
        for pid in process_tree(decoder._process.pid)
        for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
    ]
    given = {options.split(",")[0] for place, options in mounts if place == "/job/in"}
    assert given == {"ro"}
    decoder.close()


def test_a_file_whose_sandbox_fails_once_is_read_and_one_where_it_fails_again_is_told(
    settings: ServerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a folder that the sandbox is to show goes for a moment."""
    cache, store = PlaneCache(settings), FileStore(settings.files)
    sha256, _ = store.put(io.BytesIO(png(GREY)))
    stored = Stored(sha256, "断面.png")
    real, failing = decoders.started_in_sandbox, [True, True, True]

    def start(command: Any, *, readable: Any, **options: Any) -> Any:
        gone = {Path("/job/gone"): settings.folder / "gone"} if failing and failing.pop() else {}
        return real(command, readable={**readable, **gone}, **options)

    monkeypatch.setattr(decoders, "started_in_sandbox", start)
    view = View("file", {"image": Layer(stored)})
    for language, said in (("en", "Try again"), ("ja", "もう一度")):
        failing[:] = [True, True]
        with pytest.raises(Refused) as refused:
            describe_view(view, lambda one: cache.open(one, store), base="", language="en")
        assert (refused.value.status, failing) == (503, [])
        assert said in refused.value.in_language(language)
    failing[:] = [True]
    assert np.array_equal(cache.open(stored, store)[0], GREY)
    cache.close()


def test_a_part_that_may_come_later_is_not_left_out_without_a_word() -> None:
    def opened(stored: Stored) -> Planes:
        if stored.name == "labels":
            raise Refused(503, "refused.not_decoded")
        return Planes(Info(shapes=[(2, 2)]), GREY[:2, :2].ravel())

    layers = {name: Layer(Stored("0", name)) for name in ("image", "labels")}
    with pytest.raises(Refused, match="ended unexpectedly"):
        describe_view(View("file", layers), opened, base="", language="en")


def test_values_are_the_same_with_and_without_a_ready_decoder(settings: ServerSettings) -> None:
    cache, store = PlaneCache(settings), FileStore(settings.files)
    first, second = (store.put(io.BytesIO(png(values)))[0] for values in (GREY, GREY[::-1]))
    assert np.array_equal(cache.open(Stored(first, "a.png"), store)[0], GREY)
    cache._decoders.keep_ready(1, after_s=0.0)
    taken_ready(cache._decoders).close()
    assert np.array_equal(cache.open(Stored(second, "b.png"), store)[0], GREY[::-1])
    cache.close()
