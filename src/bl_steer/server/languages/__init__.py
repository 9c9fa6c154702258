"""Every text that a user reads, in English and Japanese: pages, mails, errors, labels of forms.

The texts are gettext catalogues, ``en.po`` and ``ja.po`` beside this file. A msgid is a key such as
``form.button``, not the English text: programs are told the key of an error, and forms look up
whether a parameter has a text of its own. Values go in as ``{name}``. What a result calls its
tables and columns goes by that name, with the kind of thing as its msgctxt; in English only where
the name does not speak for itself.
"""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations

from bl_steer.server.languages.sentences import Sentence, sentence_in
from bl_steer.spelling import respelled

__all__ = [
    "LANGUAGES",
    "Sentence",
    "TextKey",
    "choose_language",
    "has_text",
    "in_labels",
    "load_texts",
    "result_label",
    "sentence_in",
    "text",
]

LANGUAGES = {"en": "English", "ja": "日本語"}
DEFAULT = "en"


class TextKey(str):
    """The key of a text that goes as a value into another, in the same language."""

    __slots__ = ()


def load_texts() -> None:
    """Read the texts of all languages now: later ones on disk may be another version's."""
    for language in LANGUAGES:
        _translations(language)
        sentence_in(language, "")


def has_text(key: str) -> bool:
    """Return whether there is a text of this key."""
    return _translations(DEFAULT).gettext(key) != key  # gettext returns what it does not know


def text(language: str, key: str, **values: object) -> str:
    """Return a text with its values; a `TextKey` or `Sentence` among them in the same language.

    Raises
    ------
    KeyError
        When there is no such text, or a value of it is not given.

    Examples
    --------
    >>> text("en", "count.files", n=3)
    '3 files'
    >>> text("ja", "packages.revoked", reason=TextKey("state.draft"))
    '取り消されました：下書き'
    """
    message = _translations(language if language in LANGUAGES else DEFAULT).gettext(key)
    if message == key:
        raise KeyError(key)
    if not values:
        return message
    return message.format(**{name: _said(language, value) for name, value in values.items()})


def _said(language: str, value: object) -> object:
    if isinstance(value, TextKey):
        return text(language, value)
    return sentence_in(language, value) if isinstance(value, Sentence) else value


def result_label(language: str, what: str, name: str) -> str:
    """Return how pages call a known part of a result; the name itself for any other.

    Parameters
    ----------
    what : tables, columns, figures, or for values in a column ``values.`` and its name

    Examples
    --------
    >>> result_label("ja", "columns", "phase")
    '相'
    >>> result_label("ja", "columns", "my_own")
    'my_own'
    """
    return str(_translations(language).pgettext(what, name))


def in_labels(language: str, analysis: str, message: str) -> str:
    """Return a message of an analysis, with the labels of its form in place of its parameters.

    Examples
    --------
    >>> in_labels("en", "reconstruct", "is taken as missing; with keep_bad it is used")
    'is taken as missing; with “Use bad slices, too” it is used'
    """

    def label(name: str, value: str | None) -> str | None:
        key = f"param.{analysis}.{name}"
        if not has_text(key):
            return None
        named = text(language, "param.quoted", name=text(language, key))
        return named if value is None else f"{named} = {value}"

    return respelled(sentence_in(language, message), label)


@cache
def _translations(language: str) -> Translations:
    """Return a language's catalogue, compiled here so that only its text is kept and shipped."""
    with Path(__file__).with_name(f"{language}.po").open("rb") as file:
        catalogue = read_po(file, locale=language)
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled)


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
    for position, part in enumerate(accepted[:400].split(",")):
        name, _, quality = part.strip().partition(";q=")
        try:
            weight = float(quality) if quality else 1.0
        except ValueError:
            continue
        language = name.strip().lower().partition("-")[0]
        if language in LANGUAGES and weight > 0:
            ranked.append((-weight, position, language))
    return min(ranked)[2] if ranked else DEFAULT
