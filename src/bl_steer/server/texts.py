"""Texts that users give: as they are kept, as they are searched, and read as numbers."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["THOUSANDS", "folded", "plain_number", "plain_text"]

DECIMAL = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
"""Where a comma may part decimals or thousands."""


def plain_text(text: str) -> str:
    r"""Return a text in one line, without characters that nobody sees or that turn others round.

    Examples
    --------
    >>> plain_text(" film\t7\u202e \0")
    'film 7'
    """
    seen = (char for char in " ".join(text.split()) if char.isprintable())
    return "".join(seen).strip()


def folded(text: str) -> str:
    """Return a text so that equal words are equal, however they are typed.

    Decomposed letters, as macOS writes them, become whole, full-width forms plain, and capitals
    small (NFKC_Casefold of the Unicode Standard, section 3.13, but for what nobody sees).

    Examples
    --------
    >>> folded("Ｆｉｌｍ ３") == folded("film 3")
    True
    """
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def plain_number(typed: str) -> str:
    """Return what was typed for a number as programs write numbers: the rule of every door.

    Full-width digits and signs of Japanese keyboards become plain, minus signs a hyphen, and a
    comma that cannot part thousands becomes a decimal point.

    Examples
    --------
    >>> [plain_number(typed) for typed in ("１２．５", "－３", "−3", " 0,5", "1,5e3")]
    ['12.5', '-3', '-3', '0.5', '1.5e3']
    >>> [plain_number(typed) for typed in ("1,000", "1,234,567", "auto")]
    ['1,000', '1,234,567', 'auto']
    """
    plain = unicodedata.normalize("NFKC", typed).replace("\u2212", "-").strip()
    if DECIMAL.fullmatch(plain) and not THOUSANDS.fullmatch(plain):
        return plain.replace(",", ".")
    return plain
