"""The images of a point that come over PV Access, at moments that a busy computer chooses."""

from __future__ import annotations

import numpy as np
import pytest
from ophyd.status import Status

from devices.connection import fail, finish
from devices.frames_file import DetectorError

pva = pytest.importorskip("devices.pva", reason="PV Access needs p4p: pip install p4p")

LATE_S = 0.5


def test_an_image_behind_the_last_of_a_point_is_not_its_own() -> None:
    waited = Status(settle_time=LATE_S)  # done so much later than it is told to be
    series = pva._Series(waited, n_frames=2, n_before=0)
    for number in range(1, 5):
        series.take(np.full((3, 4), number), number)
    series.end(DetectorError("the server has gone"))
    assert not waited.done
    assert np.stack(series.frames)[:, 0, 0].tolist() == [1, 2]
    assert series.problem is None
    waited.wait(10 * LATE_S)


def test_images_behind_a_gap_do_not_hide_it() -> None:
    waited = Status(settle_time=LATE_S)
    series = pva._Series(waited, n_frames=3, n_before=0)
    for number in (1, 3, 4, 5):
        series.take(np.zeros((3, 4)), number)
    assert len(series.frames) == 1
    with pytest.raises(DetectorError, match="got number 3 after 1"):
        waited.wait(10 * LATE_S)


def test_what_has_ended_is_not_ended_again() -> None:
    status = Status(settle_time=LATE_S)
    finish(status)
    finish(status)
    fail(status, DetectorError("late"))
    status.wait(10 * LATE_S)
    assert status.success
