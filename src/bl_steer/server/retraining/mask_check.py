"""Whether a mask that a user gives fits its micrograph: decoded in a sandbox, as all files are.

``python -m bl_steer.server.retraining.mask_check`` is what runs inside: it reads paths and phases
as JSON from standard input, and writes what it found as a line of JSON.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from bl_steer import files
from bl_steer.analysis import segmentation
from bl_steer.analysis.segmentation.masks import read_mask
from bl_steer.files.annotations import is_annotation
from bl_steer.files.ilastik import EXPORTS
from bl_steer.server.sandbox.bubblewrap import JOB
from bl_steer.server.sandbox.limits import Limits
from bl_steer.server.sandbox.run import is_kept_apart, run_in_sandbox
from bl_steer.server.settings import ServerSettings

__all__ = ["Finding", "check_mask", "look_at_mask", "main"]

COMMAND = (sys.executable, "-P", "-m", "bl_steer.server.retraining.mask_check")
TIME_S = 60.0
LONGEST_REASON, MOST_NOTES = 500, 20
FOUND = ("none", "size", "colours", "several", "unread")


@dataclass(frozen=True)
class Finding:
    """What was found.

    Parameters
    ----------
    problem : ``none``; ``size`` and ``colours`` of the mask; ``several`` micrographs in one file;
        ``unread``, either of the files; ``ended``, the process before its end
    reason : of ``colours`` and ``unread``
    notes : of a mask that fits, how it was read
    wanted, got : sizes, width × height, pixels; of ``several``, how many
    """

    problem: Literal["none", "size", "colours", "several", "unread", "ended"]
    reason: str = ""
    notes: tuple[str, ...] = ()
    wanted: str = ""
    got: str = ""


def check_mask(
    image: Path,
    mask: Path,
    *,
    names: tuple[str, str],
    phases: Sequence[dict[str, Any]],
    settings: ServerSettings,
) -> Finding:
    """Return whether a mask fits.

    Parameters
    ----------
    image, mask : where their bytes are
    names : of both files, as the user calls them
    phases : of the segmentation, as `Phases.to_list` has them

    Raises
    ------
    SandboxMissing
        When nothing keeps the decoding apart, and the operator does not do without.
    """
    lines: list[str] = []
    with tempfile.TemporaryDirectory(prefix="bl_steer_mask_") as scratch:
        out = Path(scratch) / "out"
        out.mkdir()
        apart = is_kept_apart(trusted=settings.trust_packages)
        inside = JOB / "in" if apart else Path(scratch)
        readable, called = {}, {}
        for role, path, name in zip(("image", "mask"), (image, mask), names, strict=True):
            seen = inside / f"{role}{Path(name).suffix.lower()}"
            readable[seen], called[seen.name] = path, name
            if inside != JOB / "in":
                seen.symlink_to(path.resolve())
        task = {
            "paths": [str(seen_path) for seen_path in readable],
            "phases": list(phases),
            "called": names[0],
        }
        outcome = run_in_sandbox(
            COMMAND,
            readable=readable,
            writable=out,
            limits=Limits(time_s=TIME_S, niceness=0),
            stdin=json.dumps(task).encode(),
            on_line=lines.append,
            hidden=[settings.folder],
            trusted=settings.trust_packages,
        )
    try:
        said = json.loads(lines[-1])
        values = {name: str(said[name])[:LONGEST_REASON] for name in ("reason", "wanted", "got")}
        inner = "|".join(re.escape(file_name) for file_name in called)

        def named(text: Any) -> str:
            return re.sub(inner, lambda match: called[match[0]], str(text)[:LONGEST_REASON])

        values["reason"] = named(values["reason"])
        notes = tuple(named(note) for note in said["notes"][:MOST_NOTES])
        if outcome.cause == "ok" and said["problem"] in FOUND:
            return Finding(said["problem"], notes=notes, **values)
    except (IndexError, ValueError, TypeError, KeyError):
        pass
    return Finding("ended")


def main() -> None:
    """Decode the two files of standard input, and say what was found."""
    task = json.loads(sys.stdin.read())
    image, mask = map(Path, task["paths"])
    sys.stdout.write(
        json.dumps(asdict(look_at_mask(image, mask, task["phases"], task["called"]))) + "\n"
    )


def look_at_mask(
    image: Path, mask: Path, rows: Sequence[dict[str, Any]], called: str | None = None
) -> Finding:
    """Return whether a mask fits, decoded in this process: for files of the operator's own.

    Parameters
    ----------
    rows : the phases, as `Phases.to_list` has them
    called : name of the micrograph as its user has it; that of its file by default
    """
    is_image = not is_annotation(mask) and mask.suffix.lower() not in EXPORTS
    try:
        read = files.read_micrographs(image)
        painted = read.above_bar(files.read_colours(mask)) if is_image else None
    except ValueError as error:
        return Finding("unread", str(error))
    if len(read.fields) != 1:
        return Finding("several", got=str(len(read.fields)))
    (grey,) = read.fields
    if painted is not None and grey.shape[:2] != painted.shape[:2]:
        return Finding("size", wanted=_size(grey.shape), got=_size(painted.shape))
    try:
        decoded = read_mask(mask, segmentation.Phases.from_list(rows), read, called=called)
    except ValueError as error:
        return Finding("colours", str(error))
    return Finding("none", notes=decoded.report.notes)


def _size(shape: Sequence[int]) -> str:
    """Return width × height, as programs that paint have them."""
    return f"{shape[1]} × {shape[0]}"


if __name__ == "__main__":
    main()
