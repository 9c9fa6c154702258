"""What a result page shows: figures, the first rows of each table, and the files."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from bl_steer.server.db.tables import Job, JobOutput
from bl_steer.server.jobs.history import outputs_of
from bl_steer.server.languages import result_label
from bl_steer.server.uploads.blobs import FileStore, StoredFileMissing
from bl_steer.server.web.catalogue import AnalysisEntry
from bl_steer.server.web.forms import fields_of

__all__ = ["ResultView", "ShownTable", "parameter_lines", "result_title", "view_of"]

MAX_ROWS = 12
MAX_COLUMNS = 40
HEAD_BYTES = 512 * 1024
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
class ShownTable:
    """The beginning of a table.

    Parameters
    ----------
    columns : their names in the file
    labels : how the page calls them
    numeric : for each column, whether all that is shown of it are numbers
    more : whether there are rows or columns beyond those
    """

    name: str
    title: str
    columns: Sequence[str]
    labels: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: Sequence[bool]
    more: bool


@dataclass(frozen=True)
class ResultView:
    """A result, ready to be shown."""

    figures: Sequence[tuple[JobOutput, str]]
    """With their captions."""
    tables: Sequence[ShownTable]
    files: Sequence[JobOutput]


def view_of(session: Session, store: FileStore, job: Job, language: str) -> ResultView:
    """Return what there is to see of a job's result; nothing where there is none."""
    outputs = outputs_of(session, job.id)
    tables = [
        _table(store, output, language)
        for output in sorted(outputs, key=_rank)  # by name within a rank
        if output.kind == "table"
    ]
    pictures = [output for output in outputs if output.kind == "figure"]
    figures = [output for output in pictures if output.media_type == "image/png"]
    return ResultView(
        [(output, result_title(_stem(output), "figures", language)) for output in figures],
        [table for table in tables if table is not None],
        outputs,
    )


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
    return result_label(language, what, name).replace("_", " ")


def _table(store: FileStore, output: JobOutput, language: str) -> ShownTable | None:
    try:
        with store.open(output.sha256) as file:
            head = file.read(HEAD_BYTES)
    except StoredFileMissing:
        return None
    lines = head.decode("utf-8-sig", "replace")
    if len(head) == HEAD_BYTES:
        lines = lines[: lines.rfind("\n") + 1]
    try:
        read = list(csv.reader(io.StringIO(lines)))
    except csv.Error:
        return None
    if not read:
        return None
    columns, rows = read[0][:MAX_COLUMNS], [row[:MAX_COLUMNS] for row in read[1 : MAX_ROWS + 1]]
    numeric = [
        bool(rows) and all(_is_number(row[column]) for row in rows if column < len(row))
        for column in range(len(columns))
    ]
    shown = [
        [
            _short(cell) if number else result_label(language, f"values.{name}", cell)
            for cell, number, name in zip(row, numeric, columns, strict=False)
        ]
        for row in rows
    ]
    labels = [result_label(language, "columns", name) for name in columns]
    title = result_title(_stem(output), "tables", language)
    more = len(read) > MAX_ROWS + 1 or len(read[0]) > MAX_COLUMNS or len(head) == HEAD_BYTES
    return ShownTable(output.name, title, columns, labels, shown, numeric, more)


def _is_number(cell: str) -> bool:
    try:
        float(cell or "nan")
    except ValueError:
        return False
    return True


def _short(cell: str) -> str:
    """Return a number with five digits; the file has all of them."""
    if not cell or cell.lstrip("-").isdigit():
        return cell
    return f"{float(cell):.5g}"
