"""What a list is filtered by, as pages and programs say it: what does not fit is refused."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from bl_steer.server.errors import Refused
from bl_steer.server.texts import plain_number

__all__ = ["STATES", "check_choice", "check_span", "day_begins", "read_moment", "zone_of"]

STATES = ("queued", "running", "done", "failed", "cancelled")
SHOWN = 80
PLUS_LOST = re.compile(r"(?<=\d) (?=\d\d:?\d\d$)")
"""Where a ``+`` of an address that was not written ``%2B`` became a blank."""


def check_choice(name: str, chosen: str, known: Iterable[str]) -> None:
    """Refuse a choice that is not known; none at all is no choice."""
    known = list(known)
    if chosen and chosen not in known:
        names = ", ".join(known)
        raise Refused(422, "refused.choice", name=name, known=names, value=chosen[:SHOWN])


def zone_of(name: str, default: str) -> tuple[tzinfo | None, str]:
    """Return a zone, and what it is called.

    Parameters
    ----------
    name : as a browser says it; empty where it does not
    default : for one that is not known; empty for this machine's, which is None

    Examples
    --------
    >>> zone_of("Pacific/Kiritimati", "UTC")[1], zone_of("Mars/Utopia", "UTC")[1]
    ('Pacific/Kiritimati', 'UTC')
    """
    for one in filter(None, (name, default)):
        try:
            return ZoneInfo(one), one
        except (KeyError, ValueError, OSError):  # neither a zone nor, it may be, a file
            continue
    own = datetime.now().astimezone().tzname() or ""
    return None, own if own.isalpha() else f"UTC{own}"


def day_begins(day: str, zone: tzinfo | None, *, later: int = 0) -> float | None:
    """Return when a day begins in a zone, s since 1970; None without a day.

    Parameters
    ----------
    day : year, month and day, as browsers send it
    zone : None for this machine's
    later : days after it

    Raises
    ------
    Refused
        For what is no day.

    Examples
    --------
    >>> day_begins("2001-09-09", ZoneInfo("UTC"))
    999993600.0
    >>> day_begins("2001-09-09", ZoneInfo("Asia/Tokyo"), later=1)
    1000047600.0
    """
    if not day:
        return None
    try:
        there = datetime.strptime(day, "%Y-%m-%d") + timedelta(days=later)
        return there.replace(tzinfo=zone).timestamp()
    except (ValueError, OverflowError, OSError):
        raise Refused(422, "refused.day", value=day[:SHOWN]) from None


def read_moment(name: str, value: str) -> float | None:
    """Return a time as programs say it, s since 1970; None for none.

    Parameters
    ----------
    name : of what it is for, for the refusal
    value : s since 1970, or an ISO date with its zone

    Raises
    ------
    Refused
        For anything else, also a date whose zone is not said.

    Examples
    --------
    >>> read_moment("since", "1e9"), read_moment("since", "2001-09-09T10:46:40+09:00")
    (1000000000.0, 1000000000.0)
    """
    if not value:
        return None
    try:
        moment = float(plain_number(value))
    except ValueError:
        moment = _iso(PLUS_LOST.sub("+", value))
    if not math.isfinite(moment):
        raise Refused(422, "refused.moment", name=name, value=value[:SHOWN])
    return moment


def check_span(
    begin: float | None, end: float | None, *, since: str, until: str
) -> tuple[float | None, float | None]:
    """Return when a time begins and ends; `Refused` where it ends before it begins.

    Parameters
    ----------
    since, until : as they were said, for the refusal
    """
    if begin is not None and end is not None and end <= begin:
        raise Refused(422, "refused.span", since=since[:SHOWN], until=until[:SHOWN])
    return begin, end


def _iso(value: str) -> float:
    try:
        there = datetime.fromisoformat(value)
        return math.nan if there.tzinfo is None else there.timestamp()
    except (ValueError, OverflowError):
        return math.nan
