"""Read the catalogue (CSV) of the pairs that a model learns from."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

__all__ = ["pairs_listed"]

PIXEL = "pixel_size_nm"
_PIXEL = re.compile(r"pixel.?(size|width|edge)", re.IGNORECASE)


def pairs_listed(
    catalogue: Path,
) -> tuple[list[tuple[Path, Path, dict[str, Any]]], list[str]]:
    """Return image, mask and metadata of each row of a catalogue, and what is wrong with others.

    Raises
    ------
    ValueError
        If it is no UTF-8 text, or its columns are not those that are known.
    """
    try:
        text = catalogue.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{catalogue.name} must be UTF-8 text, got {error.reason}; save it as CSV UTF-8"
        ) from None
    header = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=header.count)
    reader = csv.DictReader(text.splitlines(), delimiter=delimiter)
    reader.fieldnames = [name.strip() for name in reader.fieldnames or []]
    missing = {"image", "mask"} - set(reader.fieldnames)
    if missing:
        raise ValueError(
            f"{catalogue.name} must have the columns image and mask, got {reader.fieldnames}; "
            f"add {sorted(missing)}"
        )
    if wrong := [name for name in reader.fieldnames if _PIXEL.search(name) and name != PIXEL]:
        raise ValueError(
            f"{catalogue.name} must give the edge of a pixel in nm in the column {PIXEL}, got "
            f"{', '.join(wrong)}; rename it, and convert its numbers"
        )
    rows, problems = [], []
    places: dict[Path, int] = {}
    for number, row in enumerate(reader, start=2):
        cells = {k: v.strip() for k, v in row.items() if isinstance(k, str) and v and v.strip()}
        files = [catalogue.parent / cells.pop(key, "") for key in ("image", "mask")]
        absent = [f"row {number}: no {key} {path.name!r}"
                  for key, path in zip(("image", "mask"), files, strict=True)
                  if not path.is_file()]  # fmt: skip
        problems += absent
        if (before := places.setdefault(files[0], number)) != number:
            problems.append(f"row {number}: {files[0].name} is in row {before}, too")
        elif not absent:
            sample = {"sample": cells.pop("sample")} if "sample" in cells else {}
            metadata = {key: _value(value, delimiter) for key, value in cells.items()}
            rows.append((files[0], files[1], metadata | sample))
    return rows, problems if rows or problems else ["no rows"]


def _value(text: str, delimiter: str) -> float | str:
    try:
        return float(text if delimiter == "," else text.replace(",", "."))  # 2,5 of a German Excel
    except ValueError:
        return text
