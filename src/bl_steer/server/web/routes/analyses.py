"""The catalogue of analyses to choose from, and the form of each."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlencode

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import select

from bl_steer.server.auth.tokens import hash_token
from bl_steer.server.db.tables import Correction, Upload, User, new_id
from bl_steer.server.errors import Refused
from bl_steer.server.jobs.history import job_of
from bl_steer.server.languages import text
from bl_steer.server.packages.revocation import gone_analysis
from bl_steer.server.uploads.uploads import uploads_of
from bl_steer.server.web.catalogue import AnalysisEntry, InputEntry
from bl_steer.server.web.context import Context
from bl_steer.server.web.dependencies import AppContext, CurrentUser, Form
from bl_steer.server.web.forms import fields_of, values_of
from bl_steer.server.web.rendering import language_of, render
from bl_steer.server.web.routes import pages_router
from bl_steer.server.web.submissions import Files, WrongParams, submit_analysis

__all__ = ["router"]

router = pages_router()
FILE = "file"
"""What the form calls the files of an input; of several, each adds its own name."""
OFFERED = 5
"""Files that a form lists beside those that were chosen; the rest are on the page of all files."""
LOOKED_AT = 300
"""Latest files among which those are looked for."""


@router.get("/analyses")
def catalogue_page(request: Request, context: AppContext, user: CurrentUser) -> Response:
    """Show the analyses, those that suit the chosen files first."""
    uploads = sorted(_chosen(context, user, request.query_params.getlist("file")), key=_uploaded)
    names = [upload.file_name for upload in uploads]
    entries = sorted(
        context.catalogue(), key=lambda entry: not entry.takes(names) if names else False
    )
    query = urlencode([("file", upload.id) for upload in uploads])
    return render(
        request,
        "analyses",
        uploads=uploads,
        names=names,
        entries=entries,
        query=f"?{query}" if query else "",
    )


@router.get("/analyses/{name}")
def form_page(
    request: Request, context: AppContext, user: CurrentUser, name: str, again: str = ""
) -> Response:
    """Show the form, empty or as a former job was."""
    ids = _in_order(context, user, request.query_params.getlist("file"))
    former: Files | None = None
    values: Mapping[str, Any] = {}
    wants_mail = True
    if again:
        with context.database.read() as session:
            job = job_of(session, user.id, again)
            if job.analysis == name and name not in context.offered(session):
                raise gone_analysis(session, job)
        values, wants_mail = job.params, job.wants_mail
        former = job.inputs or [*job.upload_ids]
    entry = context.entry(name)
    chosen = _by_input(context, user, entry, former or ids)
    page = _form(
        request,
        context,
        user,
        entry,
        chosen,
        values,
        parent=again,
        wants_mail=wants_mail,
        gone=_gone(context, user, former or ()),
    )
    # Back in the browser shows this very form again, with what was typed and with its number.
    page.headers["Cache-Control"] = "private, no-cache"
    return page


@router.post("/analyses/{name}")
def submit(
    request: Request, context: AppContext, user: CurrentUser, form: Form, name: str
) -> Response:
    """Start the analysis, or show what does not fit beside its input."""
    entry = context.entry(name)
    chosen = {key: [*map(str, request.state.form.getlist(key))] for key in _keys(entry)}
    if not form.get("parent"):  # a job that is repeated keeps the order that it had
        chosen = {key: _in_order(context, user, ids) for key, ids in chosen.items()}
    by_name = {one.name: chosen[_key(one.name)] for one in entry.inputs}
    files: Files = by_name or chosen[FILE]
    values = values_of(entry.params, form)
    values = {key: value for key, value in values.items() if key not in entry.hidden}
    wants_mail = "mail" in form
    submit_once = partial(
        submit_analysis,
        context,
        user,
        entry,
        files,
        values,
        language=language_of(request),
        wants_mail=wants_mail,
        parent_id=form.get("parent", "")[:36],
    )
    key = _submission(form.get("submission", ""), name, chosen, values)
    try:
        job = submit_once(submission_key=key)
        if key and job.state in ("failed", "cancelled"):  # started again on purpose
            job = submit_once(submission_key=hash_token(f"{key} {job.id}"))
    except Refused as refused:
        return _form(
            request,
            context,
            user,
            entry,
            chosen,
            values,
            parent=form.get("parent", "")[:36],
            wants_mail=wants_mail,
            refused=refused,
        )
    return RedirectResponse(f"/jobs/{job.id}", 303)


def _gone(context: Context, user: User, files: Files) -> list[str]:
    """Return the names of a former job's files that are deleted."""
    groups = files.values() if isinstance(files, Mapping) else [files]
    ids = [upload_id for group in groups for upload_id in group][:1000]
    gone = select(Upload.file_name).where(Upload.id.in_(ids), Upload.deleted.is_not(None))
    with context.database.read() as session:
        return list(session.scalars(gone.where(Upload.user_id == user.id)))


def _submission(
    token: str, name: str, chosen: Mapping[str, Sequence[str]], values: Mapping[str, Any]
) -> str | None:
    """Return the key of a form's submission: sent twice, it starts one job; changed, another."""
    files = sorted((key, *ids) for key, ids in chosen.items())
    content = [token[:100], name, files, sorted((key, str(values[key])) for key in values)]
    return hash_token(repr(content)) if token else None


def _chosen(context: Context, user: User, ids: Sequence[str]) -> list[Upload]:
    """Return the user's files of these ids, in their order; others are passed over."""
    with context.database.read() as session:
        uploads = session.scalars(
            select(Upload).where(
                Upload.id.in_(list(ids)[:1000]),
                Upload.user_id == user.id,
                Upload.deleted.is_(None),
            )
        ).all()
    by_id = {upload.id: upload for upload in uploads}
    return [by_id[upload_id] for upload_id in dict.fromkeys(ids) if upload_id in by_id]


def _uploaded(upload: Upload) -> tuple[float, str]:
    """Return by what files are put in order, however a page lists them: when they came."""
    return upload.created, upload.file_name


def _in_order(context: Context, user: User, ids: Sequence[str]) -> list[str]:
    """Return ids of files by when they were uploaded; those of no file of the user come last."""
    known = [upload.id for upload in sorted(_chosen(context, user, ids), key=_uploaded)]
    return [*known, *(upload_id for upload_id in ids if upload_id not in known)]


def _key(name: str) -> str:
    """Return the name in the form of the files of an input."""
    return f"{FILE}.{name}" if name else FILE


def _keys(entry: AnalysisEntry) -> list[str]:
    return [_key(one.name) for one in entry.inputs] or [FILE]


def _by_input(
    context: Context, user: User, entry: AnalysisEntry, files: Files
) -> dict[str, list[str]]:
    """Return files by their names in the form; those that say no input go where they fit."""
    if not entry.inputs:
        groups = files.values() if isinstance(files, Mapping) else [files]
        return {FILE: [upload_id for group in groups for upload_id in group]}
    if not isinstance(files, Mapping):
        uploads = _chosen(context, user, files)
        files = entry.sorted_out({upload.id: upload.file_name for upload in uploads})
    return {_key(one.name): [*files.get(one.name, ())] for one in entry.inputs}


@dataclass(frozen=True)
class FileGroup:
    """The files that a form offers for one input.

    Parameters
    ----------
    key : of the input in the form
    title : of an input among several; empty for one alone
    has_more : whether the user has others that fit
    takes_several : whether their order may matter
    """

    key: str
    title: str
    suffixes: Sequence[str]
    uploads: Sequence[Upload]
    chosen: Collection[str]
    has_more: bool
    takes_several: bool


def _groups(
    context: Context,
    user: User,
    entry: AnalysisEntry,
    chosen: Mapping[str, Sequence[str]],
    language: str,
    *,
    again: bool,
) -> list[FileGroup]:
    with context.database.read() as session:
        latest, _ = uploads_of(session, user.id, limit=LOOKED_AT)
        oldest = min((upload.created for upload in latest), default=0.0)
        of_user = Upload.user_id == user.id, Upload.created >= oldest
        given = select(Correction.mask_id).join(Upload, Upload.id == Correction.mask_id)
        masks = set(session.scalars(given.where(*of_user)))
    if not entry.inputs:
        latest = [upload for upload in latest if upload.id not in masks]
    groups = []
    inputs: Sequence[InputEntry | AnalysisEntry] = entry.inputs or [entry]
    for key, one in zip(_keys(entry), inputs, strict=True):
        first = _chosen(context, user, chosen[key])
        known = {upload.id for upload in first}
        fit = [u for u in latest if u.id not in known and one.takes_one(u.file_name)]
        title = one.title(language) if entry.inputs else ""
        others = sorted(fit[:OFFERED], key=_uploaded)
        offered = [*first, *others] if again else sorted([*first, *others], key=_uploaded)
        has_more, several = len(fit) > OFFERED, one.kind.most > 1
        groups.append(FileGroup(key, title, one.suffixes, offered, known, has_more, several))
    return groups


def _form(
    request: Request,
    context: Context,
    user: User,
    entry: AnalysisEntry,
    chosen: Mapping[str, Sequence[str]],
    values: Mapping[str, Any],
    *,
    parent: str,
    wants_mail: bool,
    refused: Refused | None = None,
    gone: Sequence[str] = (),
) -> Response:
    language = language_of(request)
    problems = refused.problems if isinstance(refused, WrongParams) else {}
    return render(
        request,
        "form",
        refused=refused,
        entry=entry,
        groups=_groups(context, user, entry, chosen, language, again=bool(parent)),
        chosen=any(chosen.values()),
        fields=fields_of(
            entry.params,
            analysis=entry.name,
            language=language,
            values=values,
            problems=problems,
            hidden=entry.hidden,
            advanced=entry.advanced,
            choices=entry.choices,
        ),
        troubles=[
            *([text(language, "form.gone", files=", ".join(gone))] if gone else []),
            *_troubles(refused, problems, language),
        ],
        parent=parent,
        submission=new_id(),
        wants_mail=wants_mail,
    )


def _troubles(refused: Refused | None, problems: Mapping[str, str], language: str) -> list[str]:
    if refused is None:
        return []
    if problems:
        of_all = [problems[""]] if "" in problems else []
        return [text(language, "form.fix"), *of_all]
    return [refused.in_language(language)]
