"""Equal content, equal digest; any other value, another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn
from numpy.typing import NDArray

from bl_steer.analysis import digest_of
from bl_steer.processing.digest import canonical_json
from bl_steer.protocols import AnalysisResult

NUMBERS = st.one_of(
    stn.boolean_dtypes(),
    stn.integer_dtypes(endianness="="),
    stn.unsigned_integer_dtypes(endianness="="),
    stn.floating_dtypes(endianness="=", sizes=(16, 32, 64)),
)
ARRAYS = NUMBERS.flatmap(
    lambda dtype: stn.arrays(dtype, stn.array_shapes(min_dims=0, max_dims=3, max_side=4))
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=200),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=200), inner, max_size=3)
    ),
    max_leaves=6,
)
IDENTITY = {"name": "mine", "version": "1", "params": {"a": 1}, "weights": None}


def result(
    tables: Mapping[str, Any] | None = None, arrays: Mapping[str, Any] | None = None, **about: Any
) -> AnalysisResult:
    return AnalysisResult(tables or {}, arrays or {}, {**IDENTITY, **about})


@given(ARRAYS)
def test_memory_layout_and_byte_order_do_not_matter(array: NDArray[Any]) -> None:
    digest = digest_of(result(arrays={"a": array}))
    swapped = array.astype(array.dtype.newbyteorder(">"))
    padded = np.zeros((*array.shape, 2), array.dtype)
    padded[..., 0] = array
    for same in (swapped, np.array(array, order="F"), padded[..., 0]):
        assert digest_of(result(arrays={"a": same})) == digest


@given(ARRAYS.filter(lambda a: a.size > 0), st.data())
def test_any_changed_value_gives_another_digest(array: NDArray[Any], data: st.DataObject) -> None:
    changed = array.copy().reshape(-1)
    at = data.draw(st.integers(0, array.size - 1))
    value = data.draw(stn.from_dtype(array.dtype).filter(lambda v: not same(v, changed[at])))
    changed[at] = value
    changed = changed.reshape(array.shape)
    assert digest_of(result(arrays={"a": changed})) != digest_of(result(arrays={"a": array}))


def same(one: Any, other: Any) -> bool:
    return bool(one == other or (one != one and other != other))


@given(ARRAYS)
def test_shape_type_and_name_are_part_of_it(array: NDArray[Any]) -> None:
    digest = digest_of(result(arrays={"a": array}))
    assert digest_of(result(arrays={"b": array})) != digest
    assert digest_of(result(arrays={"a": array[None]})) != digest
    assert digest_of(result(arrays={"a": array.astype("c16")})) != digest
    assert digest_of(result(tables={"a": {"a": array}})) != digest


@given(st.lists(st.text(max_size=200), max_size=4), st.lists(st.text(max_size=200), max_size=4))
def test_text_counts_by_its_letters_and_not_by_its_width(one: list[str], other: list[str]) -> None:
    def digest(texts: list[str], dtype: Any) -> str:
        return digest_of(result({"t": {"c": np.array(texts, dtype=dtype)}}))

    # numpy's fixed width drops trailing NULs; they are no letters.
    one, other = ([text.rstrip("\0") for text in texts] for texts in (one, other))
    assert digest(one, object) == digest(one, "U200")
    assert (digest(one, object) == digest(other, object)) == (one == other)


@given(st.dictionaries(st.text(max_size=200), JSON, max_size=4))
def test_the_order_of_names_does_not_matter(params: dict[str, Any]) -> None:
    backwards = dict(reversed(params.items()))
    assert digest_of(result(params=params)) == digest_of(result(params=backwards))
    assert canonical_json(params) == canonical_json(backwards)
    a, b = np.arange(3), np.ones(3)
    assert digest_of(result({"t": {"a": a, "b": b}}, {"a": a, "b": b})) == digest_of(
        result({"t": {"b": b, "a": a}}, {"b": b, "a": a})
    )


@given(JSON, JSON)
def test_other_parameters_give_another_digest(one: Any, other: Any) -> None:
    equal = canonical_json(one) == canonical_json(other)
    assert (digest_of(result(params=one)) == digest_of(result(params=other))) == equal


def test_zero_and_nan_have_one_form() -> None:
    strange = np.array([0x7FF8000000000001, 0xFFF8000000000000], "u8").view("f8")
    one = result(arrays={"a": np.array([0.0, np.nan, np.nan])}, params={"p": 0.0})
    other = result(arrays={"a": np.array([-0.0, *strange])}, params={"p": -0.0})
    assert digest_of(one) == digest_of(other)


@pytest.mark.parametrize("key", IDENTITY)
def test_name_version_parameters_and_weights_are_part_of_it(key: str) -> None:
    assert digest_of(result(**{key: "other"})) != digest_of(result())


def test_figures_warnings_source_and_duration_are_not() -> None:
    plain = result(arrays={"a": np.eye(2)})
    dressed = replace(
        plain,
        provenance={**plain.provenance, "source": {"files": ["a.tif"]}, "duration_s": 3.0},
        figures={"f": lambda: None},
        warnings=["careful"],
    )
    assert digest_of(dressed) == digest_of(plain)


@pytest.mark.parametrize("values", [np.array([object()]), np.array(["2026-01-01"], "M8[D]")])
def test_what_has_no_canonical_form_is_refused(values: NDArray[Any]) -> None:
    with pytest.raises(TypeError, match=r"must hold numbers or text, got .* in 'a'"):
        digest_of(result(arrays={"a": values}))
