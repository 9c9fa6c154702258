"""Lists that grow for years, page by page, the newest first."""

from __future__ import annotations

from typing import Any, TypeVar

from sqlalchemy import Select
from sqlalchemy.orm import Session

__all__ = ["page_of"]

Row = TypeVar("Row")


def page_of(
    session: Session, query: Select[tuple[Row]], created: Any, *, before: float | None, limit: int
) -> tuple[list[Row], float | None]:
    """Return a page of rows, and where the next one begins; None on the last.

    Rows of one time stand on one page, which may so hold more than `limit`: a page that begins
    after a time would lose those that were left.

    Parameters
    ----------
    created : the column with the time of a row
    before : time after which the page begins, s since 1970
    """
    if before is not None:
        query = query.where(created < before)
    rows = list(session.scalars(query.order_by(created.desc()).limit(limit + 1)))
    if len(rows) <= limit:
        return rows, None
    last = getattr(rows[limit - 1], created.key)
    newer = [row for row in rows if getattr(row, created.key) > last]
    rows = [*newer, *session.scalars(query.where(created == last))]
    older = session.scalar(query.where(created < last).limit(1))
    return rows, None if older is None else last
