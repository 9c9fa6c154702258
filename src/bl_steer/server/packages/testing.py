"""Try a package: its own tests, in the sandbox, against the output that its author accepted.

The same on the author's machine (``bl-steer package test``) and on the server, before anybody
reviews it. The tests are the author's, so they tell whether it works, never whether it is harmless.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bl_steer.files.atomic import draft_of
from bl_steer.server.packages.expected import differences
from bl_steer.server.packages.manifest import (
    MANIFEST_FILE,
    Expectation,
    Manifest,
    PackageError,
    read_manifest,
    read_source,
)
from bl_steer.server.packages.trial import OUTCOME_FILE
from bl_steer.server.sandbox.bubblewrap import JOB
from bl_steer.server.sandbox.caches import job_environment
from bl_steer.server.sandbox.limits import Limits
from bl_steer.server.sandbox.run import Outcome, run_in_sandbox
from bl_steer.server.sizes import MIB

__all__ = ["TestReport", "accept", "try_package"]

LARGEST_OUTCOME = 64 * MIB
SAYINGS = {
    "time": "its time ran out",
    "memory": "its memory ran out",
    "disk": "its disk space ran out",
    "processes": "it started too many processes",
    "cancelled": "it was cancelled",
    "crashed": "its process died",
    "lost": "its process was killed",
}


@dataclass(frozen=True)
class TestReport:
    """How the tests of a package went.

    Parameters
    ----------
    tests : a row each: ``name``, ``problems``, ``found``, ``warnings``, ``duration_s``
    problems : with the package as a whole, one sentence each
    """

    __test__ = False  # pytest: not a test

    tests: Sequence[Mapping[str, Any]]
    problems: Sequence[str] = ()

    @property
    def passed(self) -> bool:
        """Whether all went well."""
        return not self.problems and not any(test["problems"] for test in self.tests)

    def to_dict(self) -> dict[str, Any]:
        """Return the report, JSON-compatible."""
        return {"passed": self.passed, **asdict(self)}


def try_package(
    folder: Path,
    *,
    limits: Limits | None = None,
    over: Callable[[], bool] | None = None,
    trusted: bool = False,
    dependencies: Path | None = None,
    caches: Path | None = None,
    hidden: Sequence[Path] = (),
) -> TestReport:
    """Run the tests of a package, built or not, as a job would run it.

    Parameters
    ----------
    limits : of a job; those of a server as it comes by default
    dependencies : folder of libraries beside those of this environment
    caches : folder of `bl_steer.server.sandbox.caches`
    hidden : folders that it may not see
    over : asked some 20 times a second whether to stop
    trusted : run it without a sandbox where there is none

    Raises
    ------
    PackageError
        When its manifest does not fit, or its weights have not been made yet.
    bl_steer.server.sandbox.run.SandboxMissing
        When there is no sandbox, and it is not trusted.
    """
    built = (folder / MANIFEST_FILE).exists()
    manifest = read_manifest(folder) if built else read_source(folder)
    missing = [part.file for part in manifest.weights if not (folder / part.file).is_file()]
    if missing:
        raise PackageError(
            f"a package must have its weights to be tested, got no {', '.join(missing)} in "
            f"{folder}; run 'python train.py' there first"
        )
    limits = limits or Limits()
    apart = not trusted or shutil.which("bwrap") is not None
    parts = {"package": folder, "dependencies": dependencies, "caches": caches}
    seen = {name: JOB / name if apart else path.resolve() for name, path in parts.items() if path}
    with tempfile.TemporaryDirectory(prefix="bl_steer_trial_") as out:
        command = [
            *(sys.executable, "-P", "-X", "faulthandler"),
            *("-m", "bl_steer.server.packages.trial", "."),
            *(str(seen.get(name, "")) for name in parts),
        ]
        outcome = run_in_sandbox(
            command,
            readable={seen[name]: path.resolve() for name, path in parts.items() if path},
            writable=Path(out),
            limits=limits,
            cancelled=over,
            environment=job_environment(JOB / "out" if apart else Path(out), limits),
            hidden=hidden,
            trusted=trusted,
        )
        outcomes = _read(Path(out) / OUTCOME_FILE)
    return _report(folder, manifest, outcome, outcomes)


def accept(folder: Path, report: TestReport) -> list[Path]:
    """Write what the tests found as what they must find from now on; return the files."""
    written = []
    for test in read_source(folder).tests:
        actual = next((row["found"] for row in report.tests if row["name"] == test.name), None)
        if actual is not None:
            path = folder / test.expected
            path.parent.mkdir(parents=True, exist_ok=True)
            with draft_of(path) as draft:
                draft.write_text(json.dumps(actual, indent=1, ensure_ascii=False) + "\n", "utf-8")
            written.append(path)
    return written


def _report(
    folder: Path, manifest: Manifest, outcome: Outcome, outcomes: Mapping[str, dict[str, Any]]
) -> TestReport:
    tests = []
    ended = False
    for test in manifest.tests:
        row = outcomes.get(test.name)
        if row is None:
            row = {"name": test.name, "problems": [], "found": None, "warnings": []}
            row["problems"] = ["not begun"] if ended else [_ending(outcome)]
            ended = True
        elif row["found"] is not None and not row["problems"]:
            row["problems"] = _compared(folder, test, row["found"])
        tests.append(row)
    problems = [_ending(outcome)] if outcome.cause != "ok" and not ended else []
    return TestReport(tests, problems)


def _compared(folder: Path, test: Expectation, actual: Mapping[str, Any]) -> list[str]:
    path = folder / test.expected
    try:
        expected = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return [
            f"{test.expected} must hold the expected output; look at what was found, then run "
            "'bl-steer package test --accept'"
        ]
    return differences(expected, actual, test.tolerance)


def _ending(outcome: Outcome) -> str:
    words = " ".join(outcome.last_words.split())[-600:]
    if outcome.cause == "ok":
        return f"the tests must run to their end, got an early end: {words or 'no word'}"
    said = f" (status {outcome.status}): {words}" if words else f" (status {outcome.status})"
    return f"the tests must run to their end, but {SAYINGS[outcome.cause]}{said}"


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """Return the outcomes that a process left, which may be anything."""
    try:
        if path.is_symlink() or path.stat().st_size > LARGEST_OUTCOME:
            return {}
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    outcomes = {}
    for line in lines:
        try:
            row = json.loads(line)
            outcomes[str(row["name"])] = {
                "name": str(row["name"]),
                "problems": [str(problem) for problem in row["problems"]],
                "found": row["found"] if isinstance(row["found"], dict) else None,
                "warnings": [str(warning) for warning in row["warnings"]],
                "duration_s": float(row["duration_s"]),
                "figures": [str(figure) for figure in row.get("figures", [])],
            }
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    return outcomes
