"""A user's pairs to train on, what to paint next, and retrainings with their scores."""

from __future__ import annotations

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import select

from bl_steer.server.db.tables import Retraining, User
from bl_steer.server.errors import Refused
from bl_steer.server.retraining.queue import pairs_of, unsure_fields
from bl_steer.server.retraining.run import Retrainings
from bl_steer.server.retraining.schedule import open_retraining
from bl_steer.server.web.context import Context
from bl_steer.server.web.dependencies import AppContext, CurrentUser
from bl_steer.server.web.rendering import render
from bl_steer.server.web.routes import pages_router

__all__ = ["router"]

router = pages_router()
LATEST = 10


@router.get("/training")
def training_page(request: Request, context: AppContext, user: CurrentUser) -> Response:
    """Show what to paint next, the user's pairs, and the latest retrainings."""
    return _show(request, context, user)


@router.post("/training")
def retrain(request: Request, context: AppContext, user: CurrentUser) -> Response:
    """Queue a retraining on all pairs that may be used; housekeeping carries it out."""
    retrainings = Retrainings(context.settings, context.database)
    try:
        begun = retrainings.begin(actor=user.email, unless=lambda s: open_retraining(s) is not None)
    except ValueError as error:
        refused = Refused(409, "refused.too_few_pairs", reason=str(error))
        return _show(request, context, user, refused)
    if not begun:
        return _show(request, context, user, Refused(409, "refused.retraining_open"))
    return RedirectResponse("/training#retrainings", 303)


def _show(
    request: Request, context: Context, user: User, refused: Refused | None = None
) -> Response:
    with context.database.read() as session:
        latest = select(Retraining).order_by(Retraining.created.desc()).limit(LATEST)
        return render(
            request,
            "training",
            refused=refused,
            fields=unsure_fields(session, user.id),
            pairs=pairs_of(session, user.id),
            retrainings=list(session.scalars(latest)),
            open=open_retraining(session) is not None,
        )
