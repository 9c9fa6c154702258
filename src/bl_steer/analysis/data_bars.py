"""The data bar that a microscope writes below its image, found by its looks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["BEGINS_HIGHER", "EDGE_ROWS", "bar_below", "rows_above"]

BAR_SHARES = (0.02, 0.25)
"""Of the image's height, for a data bar."""
LEAST_ROWS = 8
"""Of an image above its data bar."""
BAR_ROW, BAR_WHOLE = 0.6, 0.75
"""Least share of one grey level in each row of a data bar, and of two in the whole of it."""
PAPER = 0.2
"""Least share of the paper in a row of a data bar where text and scale bar stand side by side."""
SMOOTH, TEXT_ROW, TEXT_WHOLE = 12, 0.35, 0.6
"""Levels by which the paper beside letters changes at the most where a program smooths their edges
or JPEG rings about them, and its least share in a row of such letters, which lies between rows that
are none, and in the whole of the bar."""
EDGE_ROWS, EDGE_STEP = 4, 0.3
"""Rows at either side of the upper edge of a data bar, and by how much the share of its paper falls
from the one to the other."""
INK_STEP, INK = 64, 0.01
"""Levels between ink and paper, and the least share of ink in a data bar, unless it is empty paper:
a dark foot that is clipped has levels beside its darkest one, and no ink."""
EMPTY, EMPTY_ABOVE = 0.999, 0.05
"""Share of the paper in a bar without text, which a program has filled, and how much more of it
than elsewhere may be in the rows above, if it does not come again higher."""
LEFT_ABOVE, NEAR_ABOVE = 0.15, 0.25
"""How much more paper, and levels near it, than the image has elsewhere may be above the edge."""
BLOCK, FOOT_ROWS = 8, 16
"""Rows of a block of JPEG, in which the edge of the bar rings; and those that tell the paper."""
TIGHT, TIGHT_WHOLE = 3, 0.4
"""Levels by which empty paper changes in JPEG, and the least share of such in a bar."""
SPREADS, EXACT = (0, TIGHT, SMOOTH), 0.05
"""Levels beside the paper that are tried as paper, and how much less of a step at the edge is
enough with none."""
FLAT = 0.1
"""Least share of rows of one grey level in a bar of JPEG: noise of a specimen leaves none."""
MARGIN = 0.85
"""Least share of paper in some row just below the edge, which void with a ragged edge has not."""
FRAME, FRAME_ROWS = 0.95, 2
"""Least share of the ink in a row of a frame about the bar, and the rows of such a line."""
BEGINS_HIGHER = (
    "the bar may begin higher, or be none, for the rows above it are much the same: look at them, "
    "and count the rows from the first that is no specimen to the last"
)
"""What to say of a bar without a sharp edge."""


def rows_above(height: int, bar_px: int, stated: int = 0) -> tuple[int, list[str]]:
    """Return how many rows of an image are left without its data bar, and what to say of it.

    Parameters
    ----------
    height : rows that were read
    bar_px : rows of the bar, as somebody told them
    stated : rows of the bar that the file states: they were left out as it was read

    Raises
    ------
    ValueError
        When next to nothing is left.
    """
    left = height + min(0, stated - bar_px)
    if left < LEAST_ROWS:
        raise ValueError(
            f"bar_px must leave rows of the images of {height + stated}, got {bar_px}; give less"
        )
    if stated <= bar_px:
        return left, []
    return left, [
        f"the file states a data bar of {stated} rows, which is left out; bar_px={bar_px} was "
        "given: where it is no bar, save the image without that header"
    ]


def bar_below(image: NDArray[Any]) -> tuple[int, bool]:
    """Return how many of the last rows of an image (H, W) are a data bar, and whether all of it is.

    Most rows of a bar have nearly one grey level; where text and scale bar share rows, these have
    its paper and its ink. Above its edge the paper is rarer at once. JPEG spreads the paper over
    some levels: where the one level alone shows no edge, those beside it count as paper, too.

    Returns
    -------
    rows : 0 for none
    sharp : whether the image above differs at once; else the bar may begin higher, or be none
    """
    low, high = float(np.min(image)), float(np.max(image))
    least, most = (round(share * len(image)) for share in BAR_SHARES)
    if not high > low or least < 1:
        return 0, True
    start = max(0, len(image) - most - FOOT_ROWS)
    levels = np.rint((image[start:] - low) * (255.0 / (high - low))).astype(np.intp)
    counts = np.stack([np.bincount(row, minlength=256) for row in levels[::-1]])
    above = np.rint((image[:start] - low) * (255.0 / (high - low))).astype(np.intp)
    foot = _Foot(
        counts / image.shape[1], np.bincount(above.ravel(), minlength=256) / max(1, above.size)
    )
    found = [(foot.bar(least, most, spread), spread) for spread in SPREADS]
    sharp = [(bar[2] + (EXACT if not spread else 0.0), bar[0]) for bar, spread in found if bar[1]]
    if sharp:
        return max(sharp)[1], True
    rows = found[0][0][0]
    return rows, not rows


class _Foot:
    """The last rows of an image, from its lower edge up, as shares of its 256 levels.

    Parameters
    ----------
    shares : of each level in each row
    elsewhere : of each level in the rows above them
    """

    def __init__(self, shares: NDArray[np.float64], elsewhere: NDArray[np.float64]) -> None:
        self.shares, self.elsewhere = shares, elsewhere
        self.paper = int(shares[:FOOT_ROWS].sum(axis=0).argmax())
        self.near = shares[:, self._paper(SMOOTH)].sum(axis=1)
        self.ink = np.abs(np.arange(256) - self.paper) >= INK_STEP
        widths = np.ones(2 * SMOOTH + 1)
        about = np.stack([np.convolve(row, widths, mode="same") for row in shares])
        self.framed = about[:, self.ink].max(axis=1) >= FRAME

    def bar(self, least: int, most: int, spread: int) -> tuple[int, bool, float]:
        """Return the rows of a bar, whether its edge is sharp, and how far its paper falls there.

        Parameters
        ----------
        least, most : rows of a bar
        spread : levels beside the paper that are paper, too
        """
        share = self.shares[:, self._paper(spread)].sum(axis=1)
        rows = self._rows(share)
        if not max(least, FOOT_ROWS if spread else 0) <= rows <= most:
            return 0, False, 0.0
        sharp = self._ends_at_once(rows, share, spread)
        if not (
            self._is_flat(rows, max(2.0, FLAT * rows) if spread else least)
            and self._is_paper(rows)
            and (self._has_ink(rows, sharp) or (not spread and self._is_empty(rows, most, sharp)))
        ):
            return 0, False, 0.0
        seen = np.maximum(self.near, self.framed)
        fall = seen[max(0, rows - EDGE_ROWS) : rows].mean() - seen[rows:][:EDGE_ROWS].mean()
        return rows, sharp, float(fall)

    def _rows(self, share: NDArray[np.float64]) -> int:
        """Return how many rows are plain, with letters and a frame between them."""
        paper = self.shares[:, self.paper]
        two = paper + np.delete(self.shares, self.paper, axis=1).max(axis=1)
        plain = (share >= BAR_ROW) | ((paper >= PAPER) & (two >= BAR_WHOLE))
        in_bar, row, rows = plain | (self.near >= TEXT_ROW), 0, 0
        while row < len(plain):
            if in_bar[row]:
                row += 1
                rows = row if plain[row - 1] else rows
                continue
            frame = np.flatnonzero(self.framed[row : row + FRAME_ROWS])
            # Many rows alike are a specimen of low contrast, and no frame.
            if not frame.size or self.framed[row + frame[-1] + 1 :][:1].any():
                break
            rows = row = row + int(frame[-1]) + 1
        return rows

    def _is_flat(self, rows: int, least: float) -> bool:
        return int((self.shares[:rows].max(axis=1) >= BAR_ROW).sum()) >= least

    def _is_paper(self, rows: int) -> bool:
        """Return whether two levels fill most of the rows, or one smoothly, up to their margin."""
        if self.near[max(0, rows - BLOCK) : rows].max() < MARGIN:
            return False
        two = np.sort(self.shares[:rows].sum(axis=0))[-2:].sum() / rows
        tight = self.shares[:rows, self._paper(TIGHT)].sum(axis=1).mean()
        smooth = self.near[:rows].mean() >= TEXT_WHOLE and tight >= TIGHT_WHOLE
        return bool(two >= BAR_WHOLE or smooth)

    def _ends_at_once(self, rows: int, share: NDArray[np.float64], spread: int) -> bool:
        inside, above = (
            share[max(0, rows - EDGE_ROWS) : rows].max(),
            share[rows:][:EDGE_ROWS].mean(),
        )
        left = above - self.elsewhere[self._paper(spread)].sum()
        near = self._near_above(rows)
        return bool(inside - above >= EDGE_STEP and left < LEFT_ABOVE and near < NEAR_ABOVE)

    def _near_above(self, rows: int) -> float:
        """Return how much more of what is near the paper the rows above have than elsewhere is."""
        return float(self.near[rows:][:BLOCK].mean() - self.elsewhere[self._paper(SMOOTH)].sum())

    def _has_ink(self, rows: int, sharp: bool) -> bool:
        # What differs in the upper rows may be the specimen's, unless bare paper stands above it.
        bare = np.flatnonzero(self.shares[:rows, self.paper] >= EMPTY)
        lower = max((2 * rows + 2) // 3, bare.max(initial=0)) if sharp else (rows + 1) // 2
        return bool(self.shares[:lower, self.ink].sum() >= INK * lower)

    def _is_empty(self, rows: int, most: int, sharp: bool) -> bool:
        """Return whether the paper alone fills the rows, apart from what is above them."""
        if self.shares[:rows, self.paper].mean() < EMPTY:
            return False
        if sharp:
            return self._near_above(rows) < EMPTY_ABOVE
        other = np.flatnonzero(self.near[rows:most] < BAR_ROW)
        return other.size > 0 and bool((self.near[rows + other[0] : most] >= MARGIN).any())

    def _paper(self, spread: int) -> slice:
        return slice(max(0, self.paper - spread), self.paper + spread + 1)
