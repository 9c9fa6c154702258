"""A label for each pixel of an image from the few that somebody painted: asked of a sandbox.

`bl_steer.server.retraining.scribbles` is what runs inside; the web process loads none of it.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
from pathlib import Path

from bl_steer.server.errors import Refused
from bl_steer.server.jobs.results import UnsoundResult, open_plain
from bl_steer.server.languages import Sentence, TextKey
from bl_steer.server.sandbox.bubblewrap import JOB
from bl_steer.server.sandbox.caches import cache_environment
from bl_steer.server.sandbox.limits import Limits
from bl_steer.server.sandbox.run import SandboxMissing, is_kept_apart, run_in_sandbox
from bl_steer.server.settings import ServerSettings
from bl_steer.server.sizes import MIB

__all__ = ["propose"]

COMMAND = (sys.executable, "-P", "-m", "bl_steer.server.retraining.scribbles")
LIMITS = Limits(time_s=180.0, memory=4096 * MIB, niceness=0)
LABELS = "labels.bin"
MOST_BYTES = 64 * MIB
ONE = threading.Semaphore(1)


def propose(image: Path, mask: Path, suffix: str, *, settings: ServerSettings) -> bytes:
    """Return the label of each pixel, row by row, one byte each.

    Parameters
    ----------
    image : where its bytes are
    mask : a PNG of labels, 255 where nobody painted
    suffix : of the image's name

    Raises
    ------
    Refused
        When fewer than two phases are painted, or the files cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="bl_steer_proposal_") as scratch, ONE:
        out = Path(scratch) / "out"
        out.mkdir()
        apart = is_kept_apart(trusted=settings.trust_packages)
        inside = JOB / "in" if apart else Path(scratch)
        readable = {inside / f"image{suffix}": image, inside / "mask.png": mask}
        for seen, path in () if apart else readable.items():
            seen.symlink_to(path.resolve())
        seen_out = JOB / "out" if apart else out
        task = {"paths": [str(path) for path in readable], "out": str(seen_out)}
        lines: list[str] = []
        try:
            outcome = run_in_sandbox(
                COMMAND,
                readable=readable,
                writable=out,
                limits=LIMITS,
                stdin=json.dumps(task).encode(),
                on_line=lines.append,
                environment={**cache_environment(seen_out / ".caches"), "LOGNAME": "job"},
                hidden=[settings.folder],
                trusted=settings.trust_packages,
            )
        except SandboxMissing as error:
            raise Refused(503, "refused.no_sandbox") from error
        if lines:
            raise Refused(422, "refused.proposal", reason=Sentence(lines[-1][:300]))
        if outcome.cause in ("time", "memory", "disk"):
            raise Refused(422, "refused.proposal", reason=TextKey("view.beyond"))
        if outcome.cause != "ok":
            raise Refused(503, "refused.proposal", reason=TextKey("proposal.ended"))
        try:
            with open_plain(out, LABELS) as file:
                return file.read(MOST_BYTES)
        except (OSError, UnsoundResult):
            raise Refused(422, "refused.proposal", reason=TextKey("proposal.ended")) from None
