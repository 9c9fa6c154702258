"""A box of q that is partly beyond the frame counts less than it says: it is told by how much."""

from __future__ import annotations

import numpy as np
import pytest

from bl_steer.diffraction import FrameAxes
from bl_steer.features import LateFeature, RoiFeature, make_feature

AXES = FrameAxes(np.linspace(0.0, 1.0, 11), np.linspace(2.0, 3.0, 11))


@pytest.mark.parametrize(
    ("box", "share"),
    [("0.55,1.55,2.2,2.7", 50), ("-0.45,0.55,1.45,2.45", 70), ("0.9,1.1,2.2,2.4", 25)],
)
def test_the_share_beyond_is_told(box: str, share: int) -> None:
    feature = make_feature(f"roi:{box}", AXES)
    assert isinstance(feature, RoiFeature)
    assert feature.remark.startswith(f"{share} % of the box {box} lie beyond the frame's window")


@pytest.mark.parametrize("box", ["0.2,0.4,2.2,2.7", "-0.05,1.05,1.95,3.05"])
def test_a_box_within_is_no_matter(box: str) -> None:
    feature = make_feature(f"roi:{box}", AXES)
    assert isinstance(feature, RoiFeature)
    assert not feature.remark


def test_it_is_a_warning_where_the_frame_is_known_late(caplog: pytest.LogCaptureFixture) -> None:
    late = LateFeature("roi:0.5,1.5", lambda: FrameAxes(AXES.qx, np.zeros(1)))
    late.transform(np.ones((1, 11)))
    assert "lie beyond the frame's window" in caplog.text
