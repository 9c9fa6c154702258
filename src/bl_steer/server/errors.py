"""Errors with a text in the user's language; one that refuses a request has a status of HTTP."""

from __future__ import annotations

from typing import Any

from bl_steer.server.languages import text

__all__ = ["Refused", "WordedError", "missing"]


class Refused(Exception):
    """A request that is not carried out.

    Parameters
    ----------
    status : of HTTP: 401 not signed in, 403 not allowed, 404 not there, 413 too large, …
    key : of the text; see `bl_steer.server.languages`
    retry_after_s : when to try again, for 429 and 503
    values : that the text names
    """

    def __init__(
        self, status: int, key: str, *, retry_after_s: int | None = None, **values: object
    ) -> None:
        super().__init__(text("en", key, **values))
        self.status = status
        self.key = key
        self.retry_after_s = retry_after_s
        self.values = values

    def in_language(self, language: str) -> str:
        """Return the reason."""
        return text(language, self.key, **self.values)


class WordedError(ValueError):
    """What was given is not what it must be; the message names the place and the remedy.

    Parameters
    ----------
    key : of its text on pages; see `bl_steer.server.languages`
    values : that this text names
    """

    def __init__(self, message: str, key: str = "", **values: object) -> None:
        super().__init__(message)
        self.key = key
        self.values: dict[str, Any] = values


def missing(what: str) -> Refused:
    """Return the refusal of what is not there, or is another user's: nobody learns which."""
    return Refused(404, f"refused.no_{what}")
