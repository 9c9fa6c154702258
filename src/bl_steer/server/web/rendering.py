"""Pages from templates: escaped, in the visitor's language, with or without scripts."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import DictLoader, Environment, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from bl_steer.server.auth.accounts import Visitor
from bl_steer.server.db.tables import Job
from bl_steer.server.errors import Refused
from bl_steer.server.languages import (
    LANGUAGES,
    choose_language,
    in_labels,
    load_texts,
    sentence_in,
    text,
)
from bl_steer.server.sandbox.run import is_kept_apart
from bl_steer.server.sizes import amount
from bl_steer.stages import STAGES, SURE_SHARE, stage_of

__all__ = [
    "LANGUAGE_COOKIE",
    "STATIC",
    "language_of",
    "load_pages",
    "local_path",
    "render",
    "static_files",
    "time_in",
]

HERE = Path(__file__).parent
LANGUAGE_COOKIE = "bl_steer_language"
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".LICENSE": "text/plain; charset=utf-8",
}
STATIC = HERE / "static"


def language_of(request: Request) -> str:
    """Return the language of the account, of the cookie, or of the browser."""
    visitor: Visitor = getattr(request.state, "visitor", Visitor())
    chosen = visitor.user.language if visitor.user else ""
    return choose_language(
        chosen or request.cookies.get(LANGUAGE_COOKIE, ""),
        request.headers.get("accept-language", ""),
    )


def render(
    request: Request,
    page: str,
    /,
    *,
    status: int = 200,
    refused: Refused | None = None,
    headers: dict[str, str] | None = None,
    **values: Any,
) -> HTMLResponse:
    """Return a page.

    Parameters
    ----------
    page : name of the template, without its suffix
    refused : why a form that the page shows again was not taken; gives the status and ``trouble``
    values : what the template shows; beside it ``typed``, the texts of a form that was not taken
    """
    language = language_of(request)
    status = refused.status if refused else status
    visitor: Visitor = getattr(request.state, "visitor", Visitor())
    settings = request.app.state.context.settings

    def when(moment: float | None) -> Markup:
        return Markup() if moment is None else _moment(moment, settings.time_zone)

    def lasted(seconds: float | None) -> str:
        return "" if seconds is None else _duration(seconds, language)

    content = (
        _environment()
        .get_template(f"{page}.html")
        .render(
            language=language,
            languages=LANGUAGES,
            visitor=visitor,
            user=visitor.user,
            csrf=visitor.csrf,
            here=request.url.path,
            back_here=_back(request),
            no_sandbox=settings.trust_packages and not _has_sandbox(),
            settings=settings,
            static=static_address,
            when=when,
            lasted=lasted,
            under_way=_under_way,
            amount=amount,
            now=time.time(),
            status=status,
            typed=_typed(request) if status >= 400 else {},
            trouble=refused.in_language(language) if refused else "",
            **values,
        )
    )
    return HTMLResponse(content, status_code=status, headers={"Vary": "Cookie", **(headers or {})})


def _typed(request: Request) -> dict[str, str]:
    sent: Mapping[str, Any] = getattr(request.state, "form", {})
    return {name: value for name, value in sent.items() if isinstance(value, str)}


def _under_way(job: Job) -> dict[str, Any] | None:
    """Return the stage of a job that is under way, and how long the job will still take, s."""
    names = STAGES.get(job.analysis, ())
    if not names or not job.progress_total or job.started is None:
        return None
    stage = stage_of(job.progress_done, job.progress_total, len(names))
    gone = time.time() - job.started
    left = gone * (1 - stage.share) / stage.share if stage.share >= SURE_SHARE else None
    return {
        "key": f"stage.{names[stage.number]}",
        "number": stage.number + 1,
        "count": stage.count,
        "percent": round(100 * stage.share),
        "left_s": left,
    }


def load_pages() -> None:
    """Read all that pages are made of, now and once.

    Where an upgrade replaces the files under a running server, its code goes on with those that it
    was made for, until it is started again.
    """
    load_texts()
    static_files()
    environment = _environment()
    for name in environment.list_templates():
        environment.get_template(name)


@cache
def static_files() -> dict[str, tuple[bytes, str, str]]:
    """Return content, media type and hash of each file that pages refer to, by name."""
    return {
        path.name: (
            path.read_bytes(),
            MEDIA_TYPES[path.suffix],
            hashlib.sha256(path.read_bytes()).hexdigest()[:12],
        )
        for path in sorted(STATIC.iterdir())
        if path.suffix in MEDIA_TYPES
    }


def static_address(name: str) -> str:
    """Return the address of such a file, which changes with its content."""
    return f"/static/{name}?{static_files()[name][2]}"


def local_path(path: str) -> str:
    """Return a path of this server to go on to; the first page for any other address."""
    safe = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if safe and "\\" not in path else "/"


def _back(request: Request) -> str:
    if request.method != "GET":
        return "/"
    query = request.url.query
    return request.url.path + (f"?{query}" if query else "")


@cache
def _has_sandbox() -> bool:
    return is_kept_apart(trusted=True)


@pass_context
def _gettext(context: Context, key: str, **values: object) -> Markup:
    """Return a text in the page's language, escaped, as is each value that is no markup itself."""
    message = escape(text(context["language"], key))
    return message.format(**values) if values else message


@cache
def _environment() -> Environment:
    pages = {path.name: path.read_text(encoding="utf-8") for path in HERE.glob("pages/*.html")}
    environment = Environment(
        loader=DictLoader(pages),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"_": _gettext, "in_labels": in_labels, "sentence_in": sentence_in}
    environment.policies["json.dumps_kwargs"] = {"sort_keys": True, "ensure_ascii": False}
    return environment


def time_in(moment: float, zone: str) -> str:
    """Return a time as readers in a zone have it, with the zone's name.

    Parameters
    ----------
    moment : s since 1970
    zone : its name; empty for this machine's

    Examples
    --------
    >>> time_in(1e9, "Asia/Tokyo")
    '2001-09-09 10:46 JST'
    >>> time_in(1e9, "America/Sao_Paulo")
    '2001-09-08 22:46 UTC-03'
    """
    there = datetime.fromtimestamp(moment, UTC).astimezone(ZoneInfo(zone) if zone else None)
    name = there.tzname() or ""
    return f"{there:%Y-%m-%d %H:%M} {name if name.isalpha() else f'UTC{name}'}"


def _moment(moment: float, zone: str) -> Markup:
    """Return a time in the operator's zone; the script of the pages makes it the reader's own."""
    exact = datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Markup('<time datetime="{}">{}</time>').format(exact, time_in(moment, zone))


def _duration(seconds: float, language: str) -> str:
    if seconds < 10:
        return text(language, "duration.s", s=f"{seconds:.1f}")
    if seconds < 100:
        return text(language, "duration.s", s=f"{seconds:.0f}")
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return text(language, "duration.h", h=hours, m=minutes)
    return text(language, "duration.m", m=minutes, s=rest)
