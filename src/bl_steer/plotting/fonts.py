"""Fonts of figures: files, samples, phases and columns may have Japanese names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import matplotlib
from matplotlib.font_manager import findSystemFonts, fontManager

__all__ = ["JAPANESE", "with_japanese"]

JAPANESE = {
    "Noto Sans CJK JP": "NotoSansCJK-Regular",
    "IPAGothic": "ipag",
    "IPAexGothic": "ipaexg",
    "VL Gothic": "VL-Gothic-Regular",
    "TakaoGothic": "TakaoGothic",
}
"""Families that stand in for letters that matplotlib's own font lacks, and their files' names."""


@contextmanager
def with_japanese() -> Iterator[None]:
    """Let figures that are drawn here show Japanese, where the machine has a font for it."""
    with matplotlib.rc_context({"font.family": ["sans-serif", *_families()]}):
        yield


@cache
def _families() -> tuple[str, ...]:
    if not (families := _installed()):
        # The list that matplotlib keeps may be older than the machine's fonts.
        for path in findSystemFonts():
            if Path(path).stem in JAPANESE.values():
                fontManager.addfont(path)
        families = _installed()
    return families


def _installed() -> tuple[str, ...]:
    names = {font.name for font in fontManager.ttflist}
    return tuple(family for family in JAPANESE if family in names)
