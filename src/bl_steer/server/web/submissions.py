"""Submitting an analysis: the same checks for the form, the API and whoever else asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from bl_steer.server.db.tables import Job, Upload, User
from bl_steer.server.errors import Refused, missing
from bl_steer.server.jobs import queue as jobs
from bl_steer.server.jobs.history import job_of
from bl_steer.server.jobs.inputs import InputKind
from bl_steer.server.languages import text
from bl_steer.server.uploads.stated_sizes import REQUIRED, may_state
from bl_steer.server.uploads.uploads import file_names
from bl_steer.server.web.catalogue import AnalysisEntry
from bl_steer.server.web.context import Context
from bl_steer.server.web.forms import plain_values, problems_of

__all__ = ["Files", "WrongParams", "submit_analysis"]

Files = Sequence[str] | Mapping[str, Sequence[str]]
"""Ids of uploads, by the names of the inputs where an analysis has several."""


class WrongParams(Refused):
    """Parameters that do not fit.

    Parameters
    ----------
    problems : by parameter, in the user's language
    """

    def __init__(self, problems: Mapping[str, str]) -> None:
        said = "; ".join(f"{name}: {problem}" for name, problem in problems.items())
        super().__init__(422, "refused.params", problems=said)
        self.problems = dict(problems)


def submit_analysis(
    context: Context,
    user: User,
    entry: AnalysisEntry,
    files: Files,
    values: Mapping[str, Any],
    *,
    language: str,
    wants_mail: bool,
    parent_id: str | None = None,
    submission_key: str | None = None,
) -> Job:
    """Queue an analysis of a user's files.

    Parameters
    ----------
    files : ids of uploads, by the names of the inputs where the analysis has several
    values : parameters by name; the rest have their defaults
    parent_id : the job of that user that this one repeats

    Raises
    ------
    Refused
        When a file is not there or does not fit, or the user has too many jobs open.
    WrongParams
        When parameters do not fit, naming each.
    """
    values = plain_values(entry.params, values)
    if problems := _problems(entry, values, language):
        raise WrongParams(problems)
    params = entry.params.model_validate(dict(values)).model_dump(mode="json", exclude_unset=True)
    groups = files.values() if isinstance(files, Mapping) else [files]
    upload_ids = [upload_id for group in groups for upload_id in group]
    with context.database.read() as session:  # before the write, which others wait for
        _check_files(session, user, entry, files, language)
        if problems := _unstated(context, session, entry, upload_ids, values, language):
            raise WrongParams(problems)
        if parent_id:
            job_of(session, user.id, parent_id)
    queue = partial(
        jobs.submit,
        user_id=user.id,
        analysis=entry.name,
        package_sha256=entry.package_sha256,
        gpus=entry.gpus,
        params=params,
        upload_ids=upload_ids,
        inputs=files if isinstance(files, Mapping) else None,
        language=language,
        wants_mail=wants_mail,
        parent_id=parent_id or None,
        submission_key=submission_key,
        most_open=context.settings.quota_jobs,
    )
    try:
        return _written(context, queue)
    except ValueError as error:  # a file was deleted meanwhile
        raise missing("file") from error


def _written(context: Context, queue: Callable[[Session], Job]) -> Job:
    try:
        return context.database.write_together(queue)
    except IntegrityError:  # on PostgreSQL the same key at the same time; now that job is there
        return context.database.write_together(queue)


def _problems(entry: AnalysisEntry, values: Mapping[str, Any], language: str) -> dict[str, str]:
    problems = problems_of(entry.params, values, language, hidden=entry.hidden)
    for name, allowed in entry.choices.items():
        if name in values and values[name] not in allowed and name not in problems:
            got = str(values[name])[:60]
            expected = ", ".join(allowed)
            problems[name] = text(language, "invalid.literal_error", expected=expected, got=got)
    return problems


def _unstated(
    context: Context,
    session: Session,
    entry: AnalysisEntry,
    upload_ids: Sequence[str],
    values: Mapping[str, Any],
    language: str,
) -> dict[str, str]:
    """Return the parameters that are neither given nor in the files, with what to do."""
    needed = REQUIRED.get(entry.name, ()) if entry.package_sha256 is None else ()
    missing_values = [name for name in needed if values.get(name) is None]
    if not missing_values:
        return {}
    first = session.get_one(Upload, upload_ids[0])
    problems = {}
    for name in missing_values:
        with context.store.open(first.sha256) as file:
            if not may_state(file, first.file_name, name):
                problems[name] = text(language, "invalid.not_stated", file=first.file_name)
    return problems


def _check_files(
    session: Session, user: User, entry: AnalysisEntry, files: Files, language: str
) -> None:
    title = entry.title(language)
    if not isinstance(files, Mapping):
        if entry.inputs:
            names = ", ".join(one.name for one in entry.inputs)
            raise Refused(422, "refused.inputs", analysis=title, inputs=names)
        _check_input(session, user, title, entry.kind, files)
        return
    if not entry.inputs:
        raise Refused(422, "refused.one_input", analysis=title)
    if set(files) != {one.name for one in entry.inputs}:
        names = ", ".join(one.name for one in entry.inputs)
        raise Refused(422, "refused.inputs", analysis=title, inputs=names)
    for one in entry.inputs:
        called = one.title(language)
        if not files[one.name]:
            raise Refused(422, "refused.no_file_for", input=called)
        _check_input(session, user, f"{title} ({called})", one.kind, files[one.name])


def _check_input(
    session: Session, user: User, title: str, kind: InputKind, upload_ids: Sequence[str]
) -> None:
    if not upload_ids:
        raise Refused(422, "refused.no_file_given")
    names = file_names(session, user.id, upload_ids[:1000])
    if len(names) != len(set(upload_ids)):
        raise missing("file")
    if len(names) < len(upload_ids):
        twice = next(one for one in upload_ids if upload_ids.count(one) > 1)
        raise Refused(422, "refused.file_twice", file=names[twice])
    unfit = [name for name in names.values() if not kind.takes_one(name)]
    if unfit:
        suffixes = " ".join(kind.suffixes)
        raise Refused(422, "refused.unfit_files", analysis=title, file=unfit[0], suffixes=suffixes)
    if not 1 <= kind.counted(names.values()) <= kind.most:
        raise Refused(422, "refused.unfit_number", analysis=title, most=kind.most)
