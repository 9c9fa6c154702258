"""XML of files from anywhere: no document types, and so no entities that expand or fetch files."""

from __future__ import annotations

from typing import NoReturn
from xml.etree import ElementTree
from xml.parsers import expat

import numpy as np

from bl_steer.files.errors import FileFormatError
from bl_steer.protocols import Array

__all__ = ["numbers", "parse_xml", "text_at"]


def parse_xml(content: bytes, what: str = "the file") -> ElementTree.Element:
    """Return the root of an XML document, its tags without namespaces.

    Raises
    ------
    FileFormatError
        When it is no whole XML, or declares a document type.
    """
    # A pass of its own at the speed of C: ElementTree hides its parser's handlers.
    guard = expat.ParserCreate()
    guard.StartDoctypeDeclHandler = _refuse_doctype
    try:
        guard.Parse(content, True)
        root = ElementTree.fromstring(content)
    except (expat.ExpatError, ElementTree.ParseError, LookupError, ValueError) as error:
        raise FileFormatError(
            f"must hold whole XML, got a fault in {what} ({str(error)[:80]}); save it anew"
        ) from error
    for element in root.iter():
        element.tag = str(element.tag).rpartition("}")[2]
    return root


def _refuse_doctype(name: str, *_: object) -> NoReturn:
    raise FileFormatError(
        f"must be XML without a document type, got <!DOCTYPE {name[:40]}>; no diffractometer "
        "writes one, take it out"
    )


def text_at(root: ElementTree.Element, path: str, default: str = "") -> str:
    """Return the text of the first element at a path."""
    return (root.findtext(path) or default).strip()


def numbers(text: str | None, what: str, *, commas: bool = False) -> Array:
    """Return the numbers of a text, parted by blanks; with `commas`, by these.

    A comma between blanks is a decimal one, which some programs write by the user's language.

    Raises
    ------
    FileFormatError
        When it holds anything else.
    """
    words = (text or "").replace(",", " " if commas else ",").split()
    try:
        return np.array(words, dtype=float)
    except ValueError as error:
        raise FileFormatError(
            f"must have numbers as {what}, got {(text or '').strip()[:40]!r}; save it anew, "
            "with points and no commas in numbers"
        ) from error
