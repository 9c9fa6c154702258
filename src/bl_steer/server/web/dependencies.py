"""What routes are given by FastAPI: the context, who is there, the form, the page of a list.

A route names what it works with in its parameters. The functions are coroutines since FastAPI would
send plain ones through its pool of threads, one after another, at each request.
`bl_steer.server.web.authorization` has run before, so that they only hand out what it found.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request
from pydantic import BeforeValidator
from starlette.datastructures import FormData

from bl_steer.server.auth.accounts import Visitor
from bl_steer.server.db.tables import User
from bl_steer.server.errors import Refused
from bl_steer.server.texts import plain_number
from bl_steer.server.web.context import Context
from bl_steer.server.web.filters import read_moment

__all__ = [
    "AppContext",
    "AsTyped",
    "BeforeTime",
    "CurrentUser",
    "CurrentVisitor",
    "Form",
    "OwnerId",
]


async def context_of(request: Request) -> Context:
    """Return what the routes work with."""
    context: Context = request.app.state.context
    return context


async def visitor_of(request: Request) -> Visitor:
    """Return who is there, with an account or without."""
    visitor: Visitor = request.state.visitor
    return visitor


async def user_of(request: Request) -> User:
    """Return whose request it is; `Refused` for strangers, where a route is open to them too."""
    user = (await visitor_of(request)).user
    if user is None:
        raise Refused(401, "refused.not_signed_in")
    return user


async def owner_of(request: Request) -> str:
    """Return whose file or job the path names, if the user may see it; else the user's own id."""
    owner_id: str = request.state.owner_id
    return owner_id


async def form_of(request: Request) -> dict[str, str]:
    """Return the form's fields as text, the last of each name."""
    form: FormData = request.state.form
    return {name: value for name, value in form.multi_items() if isinstance(value, str)}


def read_number(value: Any) -> Any:
    """Return what stands for a number in an address as programs write it."""
    return plain_number(value) if isinstance(value, str) else value


async def read_time(before: str = "") -> float | None:
    """Return where a page of a list begins, s since 1970; None for the first page."""
    return read_moment("before", before)


AppContext = Annotated[Context, Depends(context_of)]
CurrentVisitor = Annotated[Visitor, Depends(visitor_of)]
CurrentUser = Annotated[User, Depends(user_of)]
OwnerId = Annotated[str, Depends(owner_of)]
"""On routes whose row of the permissions is open to ``members``."""
Form = Annotated[dict[str, str], Depends(form_of)]
BeforeTime = Annotated[float | None, Depends(read_time)]
AsTyped = BeforeValidator(read_number)
"""On numbers of a query."""
