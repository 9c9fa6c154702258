"""Masks of one grey value a pixel, as other programs write them, against the labels they hold."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bl_steer.analysis.segmentation.masks import decode_mask
from bl_steer.analysis.segmentation.phase_names import parse_phases
from bl_steer.analysis.segmentation.phases import FIBSEM_PHASES, UNLABELLED, Phase, Phases

LABELS = np.random.default_rng(0).integers(0, 3, (12, 16)).astype(np.uint8)
TWO = np.minimum(LABELS, 1)
ABSENT = np.where(LABELS == 0, UNLABELLED, LABELS - 1).astype(np.uint8)
PAINTED = parse_phases("matrix:none,pore:white")
UNPAINTED = parse_phases("matrix:none,pore:red")
MASKS: dict[str, tuple[NDArray[Any], Any, NDArray[np.uint8] | None]] = {
    "Fiji, white is the pore": (TWO * np.uint8(255), PAINTED, TWO),
    "Fiji, no grey paint": (TWO * np.uint8(255), UNPAINTED, TWO),
    "black is the pore": ((1 - TWO) * np.uint8(255), parse_phases("matrix:white,pore:black"), TWO),
    "16 bits": (TWO * np.uint16(65535), PAINTED, TWO),
    "one bit": (TWO.astype(bool), PAINTED, TWO),
    "Weka": (np.array([0, 127, 255], np.uint8)[LABELS], FIBSEM_PHASES, LABELS),
    "Dragonfly": (np.array([0, 128, 255], np.uint8)[LABELS], FIBSEM_PHASES, LABELS),
    "ilastik, whole": (LABELS + np.uint8(1), FIBSEM_PHASES, LABELS),
    "napari, in part": (LABELS.astype(np.int32), PAINTED, ABSENT),
    "real numbers": (LABELS.astype(np.float32), FIBSEM_PHASES, LABELS),
    "own, in part": (np.where(LABELS, LABELS, UNLABELLED), FIBSEM_PHASES, None),
    "three greys": (
        np.array([255, 0, 128], np.uint8)[LABELS],
        parse_phases("oxide:white,carbon:black,void:#808080"),
        LABELS,
    ),
}


@pytest.mark.parametrize("name", MASKS)
def test_a_mask_is_read_as_the_program_meant_it(name: str) -> None:
    mask, phases, expected = MASKS[name]
    decoded = decode_mask(mask, phases)
    np.testing.assert_array_equal(decoded.labels, mask if expected is None else expected)
    told = [note for note in decoded.report.notes if "grey values are read so" in note]
    own = np.array_equal(mask, decoded.labels)
    assert len(told) == (0 if own else 1)
    for name in phases.names if told else ():
        assert name in told[0]


@pytest.mark.parametrize("values", [[0, 7, 200], [0, 4], [3, 5], [0, 100, 200, 255]])
def test_other_greys_are_refused_with_their_values(values: list[int]) -> None:
    mask = np.array([values, values], np.uint8)
    wrong = [value for value in values if value not in (0, 255)]
    told = r"labels must be 0 to 2 or 255 \(unlabelled\) for the phases oxide, carbon, void, got"
    with pytest.raises(ValueError, match=rf"{told} {re.escape(str(wrong))} in .*; save the numb"):
        decode_mask(mask, FIBSEM_PHASES)


@pytest.mark.parametrize(
    ("values", "unpainted", "count"),
    [([1, 2, 3], None, 3), ([1, 2, 3], "unlabelled", 3), ([0, 127, 255], None, 3),
     ([0, 128, 255], None, 3), ([1, 2, 3, 4], None, 4), ([0, 2, 5], None, 0)],
)  # fmt: skip
def test_numbers_of_more_phases_say_how_many_are_to_be_named(
    values: list[int], unpainted: str | None, count: int
) -> None:
    mask = np.array([values, values], np.uint8)
    two = Phases(FIBSEM_PHASES.members[:2])
    with pytest.raises(ValueError, match=r"for the phases oxide, carbon, got") as refused:
        decode_mask(mask, two, unpainted=unpainted)
    remedy = f"numbers of {count} phases: give phases=NAMES of all {count}"
    assert (remedy in str(refused.value)) == bool(count)
    if count:
        names = [Phase(f"p{k}", (k, k + 1, 0), (0, 0, 0)) for k in range(count)]
        labels = decode_mask(mask, Phases(tuple(names)), unpainted=unpainted).labels
        assert set(np.unique(labels)) == set(range(count))


@pytest.mark.parametrize(
    ("unpainted", "phases", "mask", "expected"),
    [
        ("unlabelled", FIBSEM_PHASES, [0, 1, 2, 255], [UNLABELLED, 0, 1, UNLABELLED]),
        ("oxide", FIBSEM_PHASES, [0, 1, 2], [0, 1, 2]),
        ("void", FIBSEM_PHASES, [0, 1, 2], [2, 0, 1]),
        ("unlabelled", UNPAINTED, [0, 255], [UNLABELLED, 1]),
        ("pore", UNPAINTED, [0, 255], [1, 0]),
    ],
)
def test_what_0_is_can_be_told(
    unpainted: str, phases: Any, mask: list[int], expected: list[int]
) -> None:
    decoded = decode_mask(np.array([mask], np.uint8), phases, unpainted=unpainted)
    np.testing.assert_array_equal(decoded.labels, [expected])


def test_0_may_mean_that_nobody_looked_and_that_is_said() -> None:
    hint = "0 is read as oxide: where it means not annotated"
    notes = decode_mask(LABELS, FIBSEM_PHASES).report.notes
    assert [note.startswith(hint) for note in notes] == [True]
    notes = decode_mask(LABELS, FIBSEM_PHASES, unpainted="oxide").report.notes
    assert notes == ()
    with pytest.raises(ValueError, match="unpainted must be a phase"):
        decode_mask(LABELS, FIBSEM_PHASES, unpainted="crack")


def test_a_few_odd_numbers_are_refused_with_their_share() -> None:
    mask = LABELS.copy()
    mask[0, 0] = 7
    with pytest.raises(ValueError, match=r"got \[7\] in 0.52% of the pixels"):
        decode_mask(mask, FIBSEM_PHASES)
