"""A user's pairs to train on, what to paint next, and retrainings with their scores."""

from __future__ import annotations

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import select

from bl_steer.server.db.tables import Package, Retraining, User
from bl_steer.server.errors import Refused, missing
from bl_steer.server.languages import Sentence, TextKey
from bl_steer.server.packages import PackageError
from bl_steer.server.retraining.queue import LEAST_PX, pairs_of, unsure_fields
from bl_steer.server.retraining.run import Retrainings
from bl_steer.server.retraining.schedule import open_retraining
from bl_steer.server.retraining.snapshots import PARTS, TooFewSamples
from bl_steer.server.web.context import Context
from bl_steer.server.web.dependencies import AppContext, CurrentUser
from bl_steer.server.web.package_view import refusal_of
from bl_steer.server.web.rendering import language_of, render
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
    except TooFewSamples as error:
        train, validation, held = (error.counts[part] for part in PARTS)
        words = {"train": train, "validation": validation, "held": held, "got": error.samples}
        refused = Refused(409, "refused.too_few_pairs", **words)
        return _show(request, context, user, refused)
    if not begun:
        return _show(request, context, user, Refused(409, "refused.retraining_open"))
    return RedirectResponse("/training#retrainings", 303)


@router.post("/training/{retraining_id}/submit")
def submit(
    request: Request, context: AppContext, user: CurrentUser, retraining_id: str
) -> Response:
    """Put a candidate into review, in the name of whoever asks; go on to its page there."""
    with context.database.read() as session:
        row = session.get(Retraining, retraining_id)
        if row is None or row.state != "done":
            raise missing("retraining")
        submitted = row.package_sha256
    try:
        submitted = submitted or Retrainings(context.settings, context.database).submit(
            retraining_id, user
        )
    except (OSError, ValueError) as error:  # on another machine; by somebody else meanwhile
        reason = _reason(error, language_of(request))
        refused = Refused(409, "refused.candidate", reason=reason, id=retraining_id[:8])
        return _show(request, context, user, refused)
    return RedirectResponse(f"/packages/{submitted}", 303)


def _reason(error: Exception, language: str) -> str:
    if isinstance(error, PackageError):
        return refusal_of(error, language).in_language(language)
    return TextKey("training.elsewhere") if isinstance(error, OSError) else Sentence(error)


def _show(
    request: Request, context: Context, user: User, refused: Refused | None = None
) -> Response:
    with context.database.read() as session:
        latest = select(Retraining).order_by(Retraining.created.desc()).limit(LATEST)
        retrainings = list(session.scalars(latest))
        hashes = [one.package_sha256 for one in retrainings if one.package_sha256]
        packages = session.scalars(select(Package).where(Package.sha256.in_(hashes)))
        return render(
            request,
            "training",
            refused=refused,
            queue=unsure_fields(session, user.id),
            least_px=LEAST_PX,
            pairs=pairs_of(session, user.id),
            retrainings=retrainings,
            packages={package.sha256: package for package in packages},
            open=open_retraining(session) is not None,
        )
