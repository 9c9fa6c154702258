"""What the library says in English, in the reader's language: its sentences by their patterns.

Files and analyses say what is wrong, and what was decided, in English sentences with values in
them, which are kept as they are with jobs, tests of packages and trainings. Such a sentence is
found again by its pattern, a msgid of ``sentences_ja.po`` beside this file, in which ``{name}``
stands for a value; values are sentences or parts of them in turn. What is found in no pattern, as
what the author of a package wrote, stays English.

What the server itself says has keys instead: see `bl_steer.server.languages.text`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from babel.messages.pofile import read_po

__all__ = ["Sentence", "patterns_of", "sentence_in"]

VALUE = re.compile(r"\{(\w+)\}")
LONGEST, DEEPEST, MOST = 4000, 4, 20
"""Of what is looked for: characters, values within values, and sentences or parts of a list."""
PREFIX = re.compile(r"([^\n:]{1,120}): (.+)", re.DOTALL)
"""A field or file that a sentence is about."""
PARTS = re.compile(r"(?<=[^\W\d]\.) (?=[A-Z])|\n+")
"""Where one sentence ends and another begins."""
FEW = 26
"""Characters of its own of a pattern that fits much, where it begins with a value."""
WORDS = re.compile("[a-z]{2} [a-z]{2}")
"""In no value of such a pattern."""
LISTED = re.compile(r"; |, | and ")


class Sentence(str):
    """A sentence of the library that goes as a value into a text, in the same language."""

    __slots__ = ()


@dataclass(frozen=True)
class _Pattern:
    """One kind of sentence.

    Parameters
    ----------
    words : its own, between which values stand
    names : of these values
    fits_much : whether it may be meant only where its values are no sentences
    """

    words: tuple[str, ...]
    names: tuple[str, ...]
    translation: str
    fits_much: bool

    def values(self, sentence: str) -> dict[str, str] | None:
        """Return the values of a sentence, None where it is of another kind.

        Each of the pattern's words is taken where it stands first, which finds a fit where there
        is one, in a time that grows with the sentence's length alone, whatever an author wrote.
        """
        first, *others = self.words
        # A note begins with a capital letter and ends with a point, an error does not.
        sentence = sentence.removesuffix(".")
        if sentence[: len(first[:1])].lower() != first[:1].lower():
            return None
        if not sentence.startswith(first[1:], len(first[:1])):
            return None
        at, found = len(first), []
        for number, word in enumerate(others, start=1):
            is_last = number == len(others)
            end = len(sentence) - len(word) if is_last else sentence.find(word, at)
            if end < at or not sentence.startswith(word, end):
                return None
            found.append(sentence[at:end])
            at = end + len(word)
        if at < len(sentence) or (self.fits_much and any(map(WORDS.search, found))):
            return None
        return dict(zip(self.names, found, strict=True))


def sentence_in(language: str, sentence: str) -> str:
    """Return a sentence of the library in a language; as it is where its pattern is not known.

    Examples
    --------
    >>> sentence_in("ja", "a table must have rows, got none in a.csv; check the file")
    '表 a.csv に行がありません。ファイルを確認してください。'
    >>> sentence_in("ja", "film.tif: the image is noisier.")
    'film.tif：ノイズが増えています'
    >>> sentence_in("ja", "my own words"), sentence_in("en", "no word")
    ('my own words', 'no word')
    """
    if language not in _languages() or len(sentence) > LONGEST:
        return sentence
    return _known(language, sentence) or sentence


@lru_cache(maxsize=2048)
def _known(language: str, sentence: str) -> str:
    return _found(language, sentence, 0)


def _found(language: str, sentence: str, depth: int) -> str:
    """Return a sentence in a language; empty where it is not known.

    Parameters
    ----------
    depth : of how many sentences it is a part
    """
    if depth > DEEPEST:
        return ""
    if whole := _whole(language, sentence, depth):
        return whole
    parts = PARTS.split(sentence)
    if 1 < len(parts) <= MOST:
        told = [_found(language, part, depth + 1) for part in parts]
        both = zip(told, parts, strict=True)
        return " ".join(one or part for one, part in both) if any(told) else ""
    if (about := PREFIX.fullmatch(sentence)) and (rest := _found(language, about[2], depth + 1)):
        return f"{about[1]}：{rest}"
    return ""


def _whole(language: str, sentence: str, depth: int) -> str:
    for pattern in _patterns(language):
        if (values := pattern.values(sentence)) is not None:
            told = {name: _value(language, said, depth) for name, said in values.items()}
            return pattern.translation.format(**told)
    return ""


def _value(language: str, said: str, depth: int) -> str:
    """Return a value, which may be a part of a sentence, or a list of such."""
    if told := _found(language, said, depth + 1):
        return told.removesuffix("。")
    parts = LISTED.split(said)
    if not 1 < len(parts) <= MOST:
        return said
    told_parts = [_found(language, part, DEEPEST) for part in parts]
    return "、".join(told_parts) if all(told_parts) else said


def patterns_of(language: str) -> Mapping[str, str]:
    """Return the sentences of a language by their English patterns."""
    path = Path(__file__).with_name(f"sentences_{language}.po")
    with path.open("rb") as file:
        return {str(one.id): str(one.string) for one in read_po(file, locale=language) if one.id}


@cache
def _languages() -> frozenset[str]:
    found = Path(__file__).parent.glob("sentences_*.po")
    return frozenset(path.stem.partition("_")[2] for path in found)


@cache
def _patterns(language: str) -> tuple[_Pattern, ...]:
    """Return the patterns, those with the most words of their own first."""
    known = patterns_of(language)
    ranked = sorted(known, key=lambda english: -len(VALUE.sub("", english)))
    return tuple(_pattern(english, known[english]) for english in ranked)


def _pattern(english: str, translation: str) -> _Pattern:
    words = VALUE.split(english.removesuffix("."))
    own, names = tuple(words[::2]), tuple(words[1::2])
    return _Pattern(own, names, translation, not own[0] and len("".join(own)) < FEW)
