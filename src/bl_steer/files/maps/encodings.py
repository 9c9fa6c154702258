"""The text of a table, in the encoding that the program which wrote it uses.

Unicode is told by its mark, or by decoding. Older encodings are told apart by what their characters
would be: a language uses a small part of what its encoding can write, and bytes of another seldom
fall into that part. Where two fit equally well, the file is refused with both readings: a guess
would call a column by a name that nobody wrote.
"""

from __future__ import annotations

import codecs
import re
from pathlib import Path

__all__ = ["text_of_table"]

PEEK = 1 << 20
NOT_ASCII = re.compile(rb"[\x80-\xff]+")
LATIN = "cp1252"
SIGNS = set("µ°±²³·×åÅ§¹¼½¾")
"""What Western tables write beside letters, alone."""
NAMES = {"cp932": "CP932 (Shift-JIS)", "euc_jp": "EUC-JP", "cp949": "CP949 (Korean)"}
NAMES |= {LATIN: "Latin-1"}
WIDE = 0.4
"""Share of characters with a zero byte, always on one side, from which bytes are UTF-16."""
FITS, MAY_FIT = 0.6, 0.3
"""Share of usual characters from which a text is of a language, and below which it is not."""
HANGUL = frozenset(
    "이다는에을의가고를하은지사기로도시자대리나아어스일해전인정보수서주부한그제상과원구장여안동비조미"
    "내공소세유국치라성마만연적관무신화경방회체간오선모개면년중물요감위계발들드려러게며니습입했있것"
    "온두께값가측류밀강각길폭높깊농압력속파에너결번호름날짜단건좌표축향저항질량무부피료험실데터축설명"
    "초분점행열평균표준편차오합최소최대범출목록노이즈배당률비율점용액접착합금속막층판소재반응변형"
    "굴절광원흡산란격자운석철산탄질규알루늄티탄구리은백니켈코발트망간황인염칼슘나트륨마그네슘"
    "재생외내경반지름둘레좌우상하앞뒤위아래바깥처음끝중심왼오른쪽진폭주기위상신호잡음투세척건조열"
)
"""Syllables that Korean tables and texts are mostly made of; 2,350 can be written."""


def text_of_table(content: bytes, name: str) -> tuple[str, list[str]]:
    """Return the text of a table, and a note where its encoding was told by its characters.

    Parameters
    ----------
    name : of the file, for errors

    Raises
    ------
    ValueError
        When it is no text, or may be in one encoding as well as in another.
    """
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return content.decode("utf-16"), []
        except UnicodeDecodeError as error:
            raise ValueError(
                f"a table must be whole, got {name} with half a character of UTF-16 at byte "
                f"{error.start}; save it anew"
            ) from error
    if wide := _wide(content[:PEEK]):
        try:
            return content.decode(wide), ["the text is read as UTF-16, whose mark is missing"]
        except UnicodeDecodeError:
            pass
    if b"\0" in content[:PEEK]:
        raise ValueError(f"a table must be text, got {name}; save it as CSV (UTF-8)")
    try:
        return content.decode("utf-8-sig"), []
    except UnicodeDecodeError:
        return _told_apart(content, Path(name).name)


def _wide(content: bytes) -> str:
    """Return which UTF-16 bytes are without its mark, empty for none.

    Digits and Latin letters have a zero as their upper byte, and nothing has one as its lower.
    """
    first, second = (content[start::2].count(0) / max(len(content) // 2, 1) for start in (0, 1))
    if first == 0 and second > WIDE:
        return "utf-16-le"
    return "utf-16-be" if second == 0 and first > WIDE else ""


def _told_apart(content: bytes, name: str) -> tuple[str, list[str]]:
    texts: dict[str, str] = {}
    for encoding in NAMES:
        try:
            texts[encoding] = content.decode(encoding)
        except UnicodeDecodeError:
            continue
    shares = {encoding: _share(encoding, content, text) for encoding, text in texts.items()}
    fit = [encoding for encoding, share in shares.items() if share >= FITS]
    korean = shares.get("cp949", 0.0)
    if fit == ["euc_jp", "cp949"] and len(_signs(texts["cp949"])) > 1:
        fit = ["cp949"]  # kanji that happen to be usual Hangul are few
    elif fit == ["euc_jp"] and korean > MAY_FIT:
        fit = ["euc_jp", "cp949"]
    elif fit == ["euc_jp"] and all("｡" <= sign <= "ﾟ" for sign in _signs(texts.get("cp932", "漢"))):
        fit = ["cp932", "euc_jp"]
    elif not fit and "cp932" in texts and not _is_hangul(texts.get("cp949", "")):
        fit = ["cp932"]  # with half-width katakana
    if len(fit) == 1:
        told = [] if fit[0] in ("cp932", LATIN) else [f"the text is read as {NAMES[fit[0]]}"]
        return texts[fit[0]], told
    readings = ", or ".join(
        f"{NAMES[encoding]} ({_signs(texts[encoding])[:12]!r})" for encoding in fit or texts
    )
    raise ValueError(
        "a table must be UTF-8 or CP932, or tell by its characters what else it is, got "
        f"{name}, which may be {readings or 'nothing that is known here'}; save it as UTF-8"
    )


def _signs(text: str) -> str:
    """Return the characters that are not ASCII."""
    return "".join(sign for sign in text if not sign.isascii())


def _is_hangul(text: str) -> bool:
    """Return whether a text has Hangul syllables alone beside ASCII."""
    signs = _signs(text)
    return bool(signs) and all("\uac00" <= sign <= "\ud7a3" for sign in signs)


def _share(encoding: str, content: bytes, text: str) -> float:
    """Return which share of the characters that are not ASCII the language uses often."""
    if encoding == LATIN:
        runs = NOT_ASCII.findall(content)
        return sum(map(_is_latin, runs)) / len(runs)
    signs = _signs(text)
    if encoding == "cp949":
        return sum(sign in HANGUL for sign in signs) / len(signs)
    return sum(_is_japanese(encoding, sign.encode(encoding)) for sign in signs) / len(signs)


def _is_latin(run: bytes) -> bool:
    """Return whether bytes are Western signs, or one or two accented letters, as in a word."""
    text = run.decode(LATIN)
    letters = all(map(str.isalpha, text)) and text[-1].islower()
    return len(text) <= 2 and (letters or len(text) == 1 or set(text) <= SIGNS)


def _is_japanese(encoding: str, code: bytes) -> bool:
    """Return whether a character is kana, one of the more frequent kanji, or a wide sign."""
    if len(code) != 2:
        return False  # half-width katakana, and what few texts need
    lead, trail = code
    if encoding == "cp932":
        return 0x81 <= lead <= 0x84 or 0x87 <= lead <= 0x98
    return trail >= 0xA1 and (0xA1 <= lead <= 0xA6 or 0xB0 <= lead <= 0xCF)
