"""Fonts of figures: files, samples and phases may have Japanese names."""

from __future__ import annotations

__all__ = ["JAPANESE", "use_japanese_font"]

JAPANESE = ("Noto Sans CJK JP", "IPAGothic", "IPAexGothic", "VL Gothic", "TakaoGothic")
"""Families that stand in for letters that matplotlib's own font lacks."""


def use_japanese_font() -> None:
    """Let this process's figures show Japanese, where the machine has a font for it."""
    import matplotlib
    from matplotlib.font_manager import fontManager

    here = {one.name for one in fontManager.ttflist}
    matplotlib.rcParams["font.family"] = ["sans-serif", *(one for one in JAPANESE if one in here)]
