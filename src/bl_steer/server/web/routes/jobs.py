"""The history, and the page of each job: progress, cancel, result, downloads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import select
from sqlalchemy.orm import Session

from bl_steer.server.auth.groups import called, group_of, groups_of, owners_of, shared_with
from bl_steer.server.auth.tokens import hash_token
from bl_steer.server.db.tables import Job, Package, Upload, User
from bl_steer.server.errors import Refused
from bl_steer.server.jobs import queue as jobs
from bl_steer.server.jobs.forecast import Forecast, forecast
from bl_steer.server.jobs.history import HistoryPage, job_of, jobs_of, output_of, outputs_of
from bl_steer.server.jobs.leases import OPEN
from bl_steer.server.jobs.shares import MAX_DAYS, revoke_share, share_job, shares_of
from bl_steer.server.languages import text
from bl_steer.server.packages.revocation import gone_analyses, revoked_because
from bl_steer.server.texts import plain_number
from bl_steer.server.uploads.downloads import file_response, zip_response
from bl_steer.server.viewing.views import images_of, phases_of_job, views_of
from bl_steer.server.web.catalogue import AnalysisEntry, builtin_entries, readable_entry
from bl_steer.server.web.context import Context
from bl_steer.server.web.dependencies import AppContext, BeforeTime, CurrentUser, Form, OwnerId
from bl_steer.server.web.filters import STATES, check_choice, check_span, day_begins, zone_of
from bl_steer.server.web.rendering import language_of, render
from bl_steer.server.web.result_view import (
    ResultView,
    parameter_lines,
    result_title,
    titles_of_fields,
    view_of,
)
from bl_steer.server.web.routes import pages_router

__all__ = ["job_values", "router", "show_job"]

router = pages_router()
NEW_LINK = "bl_steer_new_link"
"""Cookie that takes a new link from the form to the page, which shows it and takes it away."""
NEW_LINK_S = 120


@router.get("/jobs")
def history(
    request: Request,
    context: AppContext,
    user: CurrentUser,
    before: BeforeTime,
    state: str = "",
    analysis: str = "",
    group: str = "",
    q: str = "",
    since: str = "",
    until: str = "",
    zone: str = "",
) -> Response:
    """List the user's jobs, or those that a group's members share, the newest first."""
    language = language_of(request)
    chosen = {"state": state, "analysis": analysis[:200], "group": group[:36], "q": q[:200]}
    chosen |= {"since": since[:40], "until": until[:40]}
    there, zone_title = zone_of(zone, context.settings.time_zone)
    titles = context.titles(language)
    page, problem = HistoryPage([], {}, None), None
    with context.database.read() as session:
        group_id = group_of(session, user, group, inside=True).id if group else ""
        try:
            check_choice(text(language, "jobs.state"), state, STATES)
            check_choice(text(language, "jobs.analysis"), analysis, titles)
            begin, end = day_begins(since, there), day_begins(until, there, later=1)
            check_span(begin, end, since=since, until=until)
            page = jobs_of(
                session,
                user.id,
                before=before,
                state=state,
                analysis=analysis,
                words=chosen["q"],
                since=begin,
                until=end,
                group_id=group_id,
            )
        except Refused as refused:
            problem = refused
        groups = groups_of(session, user.id)
        group_names = called(session, groups)
        owners = owners_of(session, page.jobs) if group else {}
        withdrawn = gone_analyses(session, page.jobs, context.offered(session))
    return render(
        request,
        "jobs",
        status=problem.status if problem else 200,
        problem_text=problem.in_language(language) if problem else "",
        page=page,
        gone=withdrawn,
        titles=titles,
        states=STATES,
        chosen=chosen,
        zone=zone_title,
        older=urlencode({**chosen, "zone": zone[:80], "before": page.next_before}),
        groups=groups,
        called=group_names,
        owners=owners,
    )


@router.get("/jobs/{job_id}")
def job_page(
    request: Request, context: AppContext, user: CurrentUser, owner_id: OwnerId, job_id: str
) -> Response:
    """Show a job: how far it is, or its result."""
    return show_job(request, context, user, job_id, owner_id=owner_id)


@router.get("/jobs/{job_id}/progress")
def progress(
    request: Request, context: AppContext, user: CurrentUser, owner_id: OwnerId, job_id: str
) -> Response:
    """Return how far a job is, to put into its page; have the page loaded anew at its end."""
    with context.database.read() as session:
        job = job_of(session, owner_id, job_id)
        ahead = _ahead(session, job)
    if job.state not in OPEN:
        return Response(status_code=204, headers={"HX-Refresh": "true"})
    mine = owner_id == user.id
    return render(request, "progress", job=job, ahead=ahead, alone=True, mine=mine)


@router.post("/jobs/{job_id}/cancel")
def cancel(context: AppContext, user: CurrentUser, job_id: str) -> Response:
    """End a job."""
    with context.database.write() as session:
        job = job_of(session, user.id, job_id)
        jobs.cancel(session, job.id)
    return RedirectResponse(f"/jobs/{job.id}", 303)


@router.get("/jobs/{job_id}/outputs/{name}")
def output(
    context: AppContext, owner_id: OwnerId, job_id: str, name: str, download: str = ""
) -> Response:
    """Return one file of a result."""
    with context.database.read() as session:
        job = job_of(session, owner_id, job_id)
        stored = output_of(session, job.id, name)
    return file_response(
        context.store, stored.sha256, stored.name, stored.media_type, save=bool(download)
    )


@router.get("/jobs/{job_id}/all.zip")
def all_outputs(context: AppContext, owner_id: OwnerId, job_id: str) -> Response:
    """Return all files of a result as a zip."""
    with context.database.read() as session:
        job = job_of(session, owner_id, job_id)
        outputs = outputs_of(session, job.id)
    return zip_response(context.store, outputs, f"{job.analysis}_{job.id[:8]}.zip")


@router.post("/jobs/{job_id}/shares")
def share(
    request: Request, context: AppContext, user: CurrentUser, form: Form, job_id: str
) -> Response:
    """Make a link to the result, and go on to its page, which shows it this once."""
    typed = form.get("days", "")
    try:
        days = read_days(typed, most=MAX_DAYS)
        with context.database.write() as session:
            job = job_of(session, user.id, job_id)
            if job.state != "done":
                raise Refused(409, "refused.not_done")
            _, token = share_job(session, user, job, days=days)
    except Refused as refused:
        if refused.status == 404:
            raise
        return show_job(request, context, user, job_id, refused=refused, typed=typed)
    answer = RedirectResponse(f"/jobs/{job_id}#share", 303)
    answer.set_cookie(
        NEW_LINK,
        token,
        max_age=NEW_LINK_S,
        path=f"/jobs/{job_id}",
        httponly=True,
        samesite="lax",
        secure=context.settings.address.startswith("https:"),
    )
    return answer


@router.get("/jobs/{job_id}/shares")
def shares(context: AppContext, user: CurrentUser, job_id: str) -> Response:
    """Lead whoever reloads or bookmarks the form's address to its page."""
    with context.database.read() as session:
        job = job_of(session, user.id, job_id)
    return RedirectResponse(f"/jobs/{job.id}#share", 303)


@router.post("/shares/{share_id}/revoke")
def revoke(context: AppContext, user: CurrentUser, share_id: str) -> Response:
    """End a link."""
    with context.database.write() as session:
        ended = revoke_share(session, user, share_id)
    return RedirectResponse(f"/jobs/{ended.job_id}#share", 303)


def read_days(typed: str, *, most: float = 36_500) -> float:
    """Return a number of days; `Refused` if it is none, or more than the most."""
    try:
        days = float(plain_number(typed))
    except ValueError:
        days = float("nan")
    if not 0 < days <= most:
        raise Refused(422, "refused.days", most=f"{most:,.0f}", typed=repr(typed[:40]))
    return days


def job_values(
    context: Context, session: Session, job: Job, language: str, *, base: str
) -> dict[str, Any]:
    """Return what the page of a result shows, for its owner and for whoever has a link.

    Parameters
    ----------
    base : address that those of its files and views begin with
    """
    entry = _entry(session, job)
    empty = ResultView([], [], [])
    view = view_of(session, context.store, job, language) if job.state == "done" else empty
    return {
        "job": job,
        "base": base,
        "views": _views(session, job, language, base) if job.state == "done" else [],
        "title": entry.title(language) if entry else job.analysis,
        "figures": view.figures,
        "tables": view.tables,
        "files": view.files,
        "warnings": view.warnings,
        "revoked": revoked_because(session, job.package_sha256),
        "lines": parameter_lines(entry, job, language),
        "input_titles": {one.name: one.title(language) for one in entry.inputs} if entry else {},
    }


def show_job(
    request: Request,
    context: Context,
    user: User,
    job_id: str,
    *,
    owner_id: str = "",
    refused: Refused | None = None,
    typed: str = "",
    mask_given: str = "",
    mask_notes: Sequence[str] = (),
    mask_trouble: Refused | None = None,
) -> Response:
    """Return the page of a job.

    Parameters
    ----------
    owner_id : whose job it is, where it is shown to somebody else
    refused, typed : why no link was made, and the days that were asked for
    mask_given : that a mask was given just now
    mask_notes : how that mask was read
    mask_trouble : why a mask was not taken
    """
    trouble = refused or mask_trouble
    language = language_of(request)
    token = request.cookies.get(NEW_LINK, "")
    mine = owner_id in ("", user.id)
    with context.database.read() as session:
        job = job_of(session, owner_id or user.id, job_id)
        uploads = _uploads(session, job.upload_ids)
        values = job_values(context, session, job, language, base=f"/jobs/{job.id}")
        withdrawn = gone_analyses(session, [job], context.offered(session))
        links = shares_of(session, job.id) if job.state == "done" and mine else []
        owner = session.get_one(User, job.user_id)
        groups = shared_with(session, job_id=job.id) if mine else []
        group_names = called(session, groups, user.id)
        new = next((link for link in links if link.token_hash == hash_token(token)), None)
        ahead = _ahead(session, job)
    answer = render(
        request,
        "job",
        status=trouble.status if trouble else 200,
        **values,
        mine=mine,
        owner=owner,
        groups=groups,
        called=group_names,
        gone=withdrawn.get(job.id),
        paints=_paints(values["job"]) if mine else [],
        images=images_of(values["job"]),
        mask_given=mask_given,
        mask_notes=mask_notes,
        mask_trouble=mask_trouble.in_language(language) if mask_trouble else "",
        names={upload.id: upload.file_name for upload in uploads},
        alive={upload.id for upload in uploads if upload.deleted is None},
        shares=links,
        share_link=f"{context.settings.address}/s/{token}" if new else "",
        share_until=new.expires if new else None,
        share_problem=refused.in_language(language) if refused else "",
        share_days=typed if refused else f"{context.settings.share_days:g}",
        ahead=ahead,
    )
    if token:
        answer.delete_cookie(NEW_LINK, path=f"/jobs/{job_id}")
    return answer


def _views(session: Session, job: Job, language: str, base: str) -> list[tuple[str, str]]:
    """Return address and title of each image or volume of a result that can be looked at."""
    titles = titles_of_fields(session, job)
    return [
        (
            f"{base}/views/{quote(view.name)}",
            titles.get(view.name) or result_title(view.name, "figures", language),
        )
        for view in views_of(session, job)
    ]


def _paints(job: Job) -> list[tuple[str, str]]:
    """Return name and paint of each phase that a corrected mask may have; none where it may not."""
    phases = phases_of_job(job)
    return [(phase.name, ", ".join(map(str, phase.paint or ()))) for phase in phases]


def _entry(session: Session, job: Job) -> AnalysisEntry | None:
    """Return the analysis as it was when the job ran, offered still or not."""
    package = session.get(Package, job.package_sha256) if job.package_sha256 else None
    if package is not None:
        return readable_entry(package)
    return next((entry for entry in builtin_entries() if entry.name == job.analysis), None)


def _uploads(session: Session, ids: Sequence[str]) -> list[Upload]:
    return list(session.scalars(select(Upload).where(Upload.id.in_(ids))))


def _ahead(session: Session, job: Job) -> Forecast | None:
    return forecast(session, job) if job.state == "queued" else None
