"""Texts that users give: as they are kept, and as they are searched."""

from __future__ import annotations

import unicodedata

__all__ = ["folded", "plain_text"]


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
