import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bl_steer.diffraction import FrameAxes
from bl_steer.features import (
    DEFAULT_TARGET,
    MapFeature,
    NMFFeature,
    ReferenceFeature,
    RoiFeature,
    TotalFeature,
    make_feature,
    parse_reference,
    parse_target,
)
from bl_steer.features.target import Box, Ellipse, FrozenPattern, Peak, Target

WINDOW = np.linspace(2.24, 2.345, 33)
FRAME = FrameAxes(WINDOW, WINDOW)
SPECTRUM = FrameAxes(np.linspace(500.0, 1800.0, 131), np.zeros(1), "1/cm")

numbers = st.floats(-1e6, 1e6, allow_nan=False)
radii = st.floats(1e-6, 1e6)
pairs = st.tuples(numbers, numbers).filter(lambda pair: pair[0] < pair[1])
boxes = st.builds(Box, pairs, st.none() | pairs)
fractions = st.floats(0.0, 1.0)
references = st.one_of(
    boxes,
    st.builds(Peak, fractions, fractions, st.floats(-45.0, 45.0)),
    st.builds(Ellipse, numbers, radii),
    st.builds(Ellipse, numbers, radii, numbers, radii),
    st.builds(
        FrozenPattern, st.sampled_from(["a.npz", "/data/run 3,b@c=1:2.npy", "ref:x=0.4.npz"])
    ),
)
targets = st.one_of(
    st.sampled_from([Target("total"), Target("map")]),
    st.builds(lambda box: Target("roi", roi=box), boxes),
    st.builds(lambda ref: Target("ref", reference=ref), references),
    st.builds(
        lambda ref, k: Target("nmf", reference=ref, n_components=k), references, st.integers(1, 99)
    ),
)


@given(targets)
def test_canonical_text_reads_back_to_the_same_target(target: Target) -> None:
    assert parse_target(str(target)) == target


def test_relaxation_and_tilt_have_defaults_and_ref_may_stand_before_the_reference() -> None:
    assert str(parse_target("nmf:4@ref:x=.45")) == DEFAULT_TARGET
    assert str(parse_target(" ref: tilt=0.5 , x=0.3 ")) == "ref:x=0.3,R=0.9,tilt=0.5"
    assert parse_reference("x=0.45") == Peak(0.45, 0.9, 0.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"target must be total, map, field:KEY, roi:.*got ''; e\.g\. nmf:4@x=0\.45"),
        ("nmf", r"target must be .*got 'nmf'"),
        ("total:3", r"target must be .*got 'total:3'"),
        ("nmf:4", r"must name its reference, got 'nmf:4'; write e\.g\. nmf:4@x"),
        ("nmf:0@x=.4", r"components must be an integer above 0, got '0'"),
        ("nmf:four@x=.4", r"components must be an integer above 0, got 'four'"),
        ("nmf:4@2", r"reference must be x=0\.45.*got '2'"),
        ("ref:x=45", r"x of a reference must lie in 0 … 1, got 45"),
        ("ref:x=.4,R=2", r"R of a reference must lie in -0\.1 … 1\.2, got 2"),
        ("ref:x=.4,tilt=90", r"tilt of a reference must lie in -45 … 45 degrees, got 90"),
        ("ref:R=.9", r"must give the Ge fraction x, got 'R=\.9'"),
        ("ref:x=.4,x=.5", r"each once, got 'x=\.5'"),
        ("ref:x=.4,y=.5", r"each once, got 'y=\.5'"),
        ("ref:x=nan", r"must hold finite numbers, got 'nan'"),
        ("roi:1,2,3", r"form QX0,QX1,QZ0,QZ1.*got 3 numbers"),
        ("roi:2,1", r"box must run from low to high, got 2,1"),
        ("ref:box:1,2,4,4", r"box must run from low to high, got 4,4"),
        ("ref:ellipse:1,2,0,1", r"radii of an ellipse must be above 0, got 0"),
        ("ref:ellipse:1,2,3", r"form ellipse:QX,QZ,RX,RZ, got 3 numbers"),
        ("ref:file:a.pkl", r"must end in \.npz or \.npy, got 'a\.pkl'"),
    ],
)
def test_bad_target_says_what_was_got_and_what_to_write(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        parse_target(text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("total", TotalFeature),
        ("roi:2.28,2.3,2.25,2.27", RoiFeature),
        ("ref:ellipse:2.29,2.26,0.01,0.01", ReferenceFeature),
        (DEFAULT_TARGET, NMFFeature),
    ],
)
def test_feature_carries_its_target(text: str, kind: type) -> None:
    feature = make_feature(text, FRAME)
    assert isinstance(feature, kind)
    assert (feature.target, feature.version) == (text, 0)


def test_map_target_takes_frames_of_one_value_only() -> None:
    feature = make_feature("map", FrameAxes.channels((1, 1)))
    assert isinstance(feature, MapFeature)
    np.testing.assert_array_equal(feature.transform(np.array([[3.0], [-1.0]])), [3.0, -1.0])
    with pytest.raises(ValueError, match=r"frames of one value, got frames of shape \(33, 33\)"):
        make_feature("map", FRAME)


def test_target_that_does_not_fit_the_frame_is_refused() -> None:
    with pytest.raises(ValueError, match=r"q_x 2\.24 … 2\.345 1/Å, q_z 2\.24 … 2\.345 1/Å, got no"):
        make_feature("roi:1,2,1,2", FRAME)
    with pytest.raises(ValueError, match=r"inside the frame's window, q_x 2\.24 … 2\.345 1/Å"):
        make_feature("nmf:4@x=1,R=1", FRAME)
    with pytest.raises(ValueError, match=r"channel axis 500 … 1800 1/cm, got none; move or widen"):
        make_feature("roi:10,20", SPECTRUM)
    with pytest.raises(ValueError, match=r"must be used on frames in 1/Å, got frames in 1/cm"):
        make_feature(DEFAULT_TARGET, SPECTRUM)
    with pytest.raises(ValueError, match=r"must lie in 1 … 131, the frame's pixels, got 132"):
        make_feature("nmf:132@box:600,700", SPECTRUM)
