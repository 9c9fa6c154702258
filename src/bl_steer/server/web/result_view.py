"""What a result page shows: figures, the first rows of each table, and the files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from bl_steer.server.db.tables import Job, JobOutput, Upload
from bl_steer.server.jobs.fields import field_titles, named_fields
from bl_steer.server.jobs.history import outputs_of
from bl_steer.server.languages import result_label
from bl_steer.server.uploads.blobs import FileStore
from bl_steer.server.web.catalogue import AnalysisEntry
from bl_steer.server.web.forms import fields_of
from bl_steer.server.web.plots import CurvePlot, IntervalPlot, plot_of
from bl_steer.server.web.result_tables import ShownTable, read_table, shown_table

__all__ = ["ResultView", "parameter_lines", "result_title", "titles_of_fields", "view_of"]

FIELD = re.compile(r"field_\d+")
FIRST = (
    "volumes",
    "areas",
    "triple_lines",
    "connectivity",
    "sample",
    "fractions",
    "fields",
    "suggestions",
    "best",
    "components",
)
"""Tables that come first, in this order; the others follow by name."""


@dataclass(frozen=True)
class ResultView:
    """A result, ready to be shown."""

    figures: Sequence[tuple[JobOutput, str]]
    """With their captions."""
    tables: Sequence[tuple[ShownTable, IntervalPlot | CurvePlot | None]]
    """With their plots."""
    files: Sequence[JobOutput]
    warnings: Sequence[str] = ()


def view_of(session: Session, store: FileStore, job: Job, language: str) -> ResultView:
    """Return what there is to see of a job's result; nothing where there is none."""
    outputs = outputs_of(session, job.id)
    titles = titles_of_fields(session, job)
    tables = []
    for output in sorted(outputs, key=_rank):  # by name within a rank
        table = read_table(store, output) if output.kind == "table" else None
        if table is not None and table.rows:  # headings alone tell nothing
            title = result_title(_stem(output), "tables", language)
            shown = shown_table(table, output.name, title, language=language, titles=titles)
            tables.append((shown, plot_of(shown)))
    pictures = [output for output in outputs if output.kind == "figure"]
    figures = [output for output in pictures if output.media_type == "image/png"]
    captions = [
        titles.get(_stem(figure)) or result_title(_stem(figure), "figures", language)
        for figure in figures
    ]
    warnings = [named_fields(warning, titles) for warning in job.warnings]
    return ResultView(list(zip(figures, captions, strict=True)), tables, outputs, warnings)


def titles_of_fields(session: Session, job: Job) -> dict[str, str]:
    """Return how people call the fields of a job: by specimen or file, deleted ones too."""
    uploads = session.scalars(select(Upload).where(Upload.id.in_(job.upload_ids)))
    return field_titles(job, {upload.id: upload for upload in uploads})


def parameter_lines(entry: AnalysisEntry | None, job: Job, language: str) -> list[tuple[str, str]]:
    """Return name and value of each parameter that a job ran with."""
    if entry is None:
        return [(name, str(value)) for name, value in job.params.items()]
    lines = []
    for field in fields_of(
        entry.params, analysis=entry.name, language=language, values=job.params, hidden=entry.hidden
    ):
        shown = dict(field.choices).get(str(field.shown), str(field.shown))
        if field.kind == "flag":
            shown = "✓" if field.shown else "–"
        lines.append((field.label, f"{shown} {field.unit}".strip() if shown else "–"))
    return lines


def _stem(output: JobOutput) -> str:
    return output.name.rpartition(".")[0]


def _rank(output: JobOutput) -> int:
    name = _stem(output)
    return FIRST.index(name) if name in FIRST else len(FIRST)


def result_title(name: str, what: str, language: str) -> str:
    """Return how pages call a table or a figure.

    Parameters
    ----------
    name : of its file, without the ending
    what : tables or figures
    """
    if FIELD.fullmatch(name):
        return f"{result_label(language, what, 'field')} {name.removeprefix('field_')}"
    known = result_label(language, what, name)
    return known if known != name else name.replace("_", " ").capitalize()
