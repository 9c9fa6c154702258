"""Fonts of figures: files, samples, phases and columns may have Japanese names. Loads nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

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
    import matplotlib

    with matplotlib.rc_context({"font.family": ["sans-serif", *_families()]}):
        yield


@cache
def _families() -> tuple[str, ...]:
    from matplotlib.font_manager import findSystemFonts, fontManager

    if not (found := _known()):
        # The list that matplotlib keeps may be older than the machine's fonts.
        for path in findSystemFonts():
            if Path(path).stem in JAPANESE.values():
                fontManager.addfont(path)
        found = _known()
    return found


def _known() -> tuple[str, ...]:
    from matplotlib.font_manager import fontManager

    here = {one.name for one in fontManager.ttflist}
    return tuple(name for name in JAPANESE if name in here)
