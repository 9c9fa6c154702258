"""Every text that a user reads, in English and Japanese: pages, mails, errors, labels of forms.

The texts are in ``en.json`` and ``ja.json`` beside this file, by key. Values go in as ``{name}``.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

__all__ = [
    "LANGUAGES",
    "Word",
    "choose_language",
    "has_text",
    "load_texts",
    "result_label",
    "text",
    "texts",
]

LANGUAGES = {"en": "English", "ja": "日本語"}
DEFAULT = "en"


class Word(str):
    """The key of a text that goes as a value into another, in the same language."""

    __slots__ = ()


@cache
def texts(language: str) -> dict[str, str]:
    """Return all texts of a language by key."""
    path = Path(__file__).with_name(f"{language}.json")
    read: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return read


def load_texts() -> None:
    """Read the texts of all languages now: later ones on disk may be another version's."""
    for language in LANGUAGES:
        texts(language)
        _result_labels(language)


def has_text(key: str) -> bool:
    """Return whether there is a text of this key."""
    return key in texts(DEFAULT)


def text(language: str, key: str, **values: object) -> str:
    """Return a text with its values put in; a `Word` among them in the same language.

    Raises
    ------
    KeyError
        When there is no such text, or a value of it is not given.

    Examples
    --------
    >>> text("en", "count.files", n=3)
    '3 files'
    >>> text("ja", "packages.revoked", reason=Word("state.draft"))
    '取り消されました：下書き'
    """
    known = texts(language if language in LANGUAGES else DEFAULT)
    put = {name: known[one] if isinstance(one, Word) else one for name, one in values.items()}
    return known[key].format(**put) if put else known[key]


def result_label(language: str, what: str, name: str) -> str:
    """Return how pages call a known part of a result; the name itself for any other.

    Parameters
    ----------
    what : tables, columns, figures, or for words in a column ``values.`` and its name

    Examples
    --------
    >>> result_label("ja", "columns", "phase")
    '相'
    >>> result_label("ja", "columns", "my_own")
    'my_own'
    """
    return _result_labels(language).get(what, {}).get(name, name)


@cache
def _result_labels(language: str) -> dict[str, dict[str, str]]:
    path = Path(__file__).with_name(f"results_{language}.json")
    if not path.is_file():  # in English the names speak for themselves
        return {}
    read: dict[str, dict[str, str]] = json.loads(path.read_text(encoding="utf-8"))
    return read


def choose_language(chosen: str, accepted: str = "") -> str:
    """Return the language that was chosen, else the browser's first that we speak, else English.

    Parameters
    ----------
    chosen : from the account or a cookie, or nothing
    accepted : the browser's ``Accept-Language``

    Examples
    --------
    >>> choose_language("", "fr;q=0.9, ja-JP, en;q=0.5")
    'ja'
    """
    if chosen in LANGUAGES:
        return chosen
    ranked: list[tuple[float, int, str]] = []
    for place, part in enumerate(accepted[:400].split(",")):
        name, _, quality = part.strip().partition(";q=")
        try:
            weight = float(quality) if quality else 1.0
        except ValueError:
            continue
        language = name.strip().lower().partition("-")[0]
        if language in LANGUAGES and weight > 0:
            ranked.append((-weight, place, language))
    return min(ranked)[2] if ranked else DEFAULT
