"""The routes: a module for each noun; pages but for `api`, `group_api` and `operations`.

Every route has a row in `bl_steer.server.auth.permissions.ACCESS`, which is checked before it runs.
"""

from __future__ import annotations

from fastapi import APIRouter

from bl_steer.server.web.authorization import AuthorizedRoute

__all__ = ["pages_router"]


def pages_router() -> APIRouter:
    """Return a router for pages: authorized, and not part of the API's description."""
    return APIRouter(route_class=AuthorizedRoute, include_in_schema=False)
