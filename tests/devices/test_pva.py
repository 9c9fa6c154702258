"""The images of a point that come over PV Access, at moments that a busy computer chooses."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from ophyd.status import Status

from devices.connection import fail, finish
from devices.frames_file import DetectorError

pva = pytest.importorskip("devices.pva", reason="PV Access needs p4p: pip install p4p")


class Held(Status):
    """A status that is done when it is let go: ophyd's is, a moment after it was told so."""

    def __init__(self) -> None:
        self.may_end = threading.Event()
        super().__init__(timeout=600.0)  # with one, it ends in a thread of its own

    def _settled(self) -> None:
        self.may_end.wait(60.0)

    def let_go(self) -> None:
        self.may_end.set()
        self.wait(60.0)


def test_an_image_behind_the_last_of_a_point_is_not_its_own() -> None:
    waited = Held()
    series = pva._Series(waited, n_frames=2, n_before=0)
    for number in range(1, 5):
        series.take(np.full((3, 4), number), number)
    series.end(DetectorError("the server has gone"))
    assert not waited.done
    assert np.stack(series.frames)[:, 0, 0].tolist() == [1, 2]
    assert series.problem is None
    waited.let_go()


def test_images_behind_a_gap_do_not_hide_it() -> None:
    waited = Held()
    series = pva._Series(waited, n_frames=3, n_before=0)
    for number in (1, 3, 4, 5):
        series.take(np.zeros((3, 4)), number)
    assert len(series.frames) == 1
    with pytest.raises(DetectorError, match="got number 3 after 1"):
        waited.let_go()


def test_what_has_ended_is_not_ended_again() -> None:
    status = Held()
    finish(status)
    finish(status)
    fail(status, DetectorError("late"))
    status.let_go()
    assert status.success
