"""Try a package: its own tests, in the sandbox, against the output that its author accepted.

The same on the author's machine (``bl-steer package test``) and on the server, before anybody
reviews it. The tests are the author's, so they tell whether it works, never whether it is harmless.
`run_package` runs it on files in their place (``bl-steer package run``), in the sandbox too: who
tries somebody else's package runs a script that nobody has approved.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bl_steer.files.atomic import check_place, draft_of
from bl_steer.server.packages.expected import differences
from bl_steer.server.packages.inputs import Files
from bl_steer.server.packages.manifest import (
    MANIFEST_FILE,
    Expectation,
    Manifest,
    PackageError,
    read_manifest,
    read_source,
)
from bl_steer.server.packages.trial import ANSWER_FILE, FOUND, OUTCOME_FILE
from bl_steer.server.sandbox.bubblewrap import JOB
from bl_steer.server.sandbox.caches import job_environment
from bl_steer.server.sandbox.limits import Limits
from bl_steer.server.sandbox.run import Outcome, is_kept_apart, run_in_sandbox
from bl_steer.server.sizes import MIB
from bl_steer.server.told_paths import without_folders

__all__ = ["SAYINGS", "TestReport", "accept", "run_package", "try_package"]

LARGEST_OUTCOME = 64 * MIB
OWN = (JOB / "package",)
"""Where a package lies in the sandbox; its author calls files by their places in there."""
SAYINGS = {
    "time": "its time ran out",
    "memory": "its memory ran out",
    "disk": "its disk space ran out",
    "processes": "it started too many processes",
    "cancelled": "it was cancelled",
    "crashed": "its process died",
    "lost": "its process was killed, or could not be started",
}


@dataclass(frozen=True)
class TestReport:
    """How the tests of a package went.

    Parameters
    ----------
    tests : a row each: ``name``, ``problems``, ``found``, ``warnings``, ``duration_s``
    problems : with the package as a whole, one sentence each
    unwritten : entries of its manifest that are still those of a new package
    """

    __test__ = False  # pytest: not a test

    tests: Sequence[Mapping[str, Any]]
    problems: Sequence[str] = ()
    unwritten: Sequence[str] = ()

    @property
    def passed(self) -> bool:
        """Whether all went well."""
        failed = any(test["problems"] for test in self.tests)
        return not (self.problems or self.unwritten or failed)

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
    manifest = _whole(folder)
    parts = {"package": folder, "dependencies": dependencies, "caches": caches}
    with tempfile.TemporaryDirectory(prefix="bl_steer_trial_") as out:
        outcome = _tried(
            parts, Path(out), {}, b"", limits=limits, over=over, hidden=hidden, trusted=trusted
        )
        outcomes = _read(Path(out) / OUTCOME_FILE)
    report = _report(folder, manifest, outcome, outcomes)
    # Where it is not kept apart, it sees the folders as they are.
    own, ours = [*OWN, folder.absolute(), folder.resolve()], [Path(out), *hidden]

    def told(sentences: Sequence[str]) -> list[str]:
        return [without_folders(sentence, own, ours) for sentence in sentences]

    tests = [
        {**test, "problems": told(test["problems"]), "warnings": told(test["warnings"])}
        for test in report.tests
    ]
    return replace(report, tests=tests, problems=told(report.problems))


def run_package(
    folder: Path,
    files: Files,
    params: Mapping[str, Any],
    out: Path,
    *,
    trusted: bool = False,
    dependencies: Path | None = None,
) -> dict[str, Any]:
    """Run a package on files as a job would, and write what it finds into a folder.

    Parameters
    ----------
    files : of its one input, or by the name of each
    dependencies, trusted : as of `try_package`

    Raises
    ------
    FileExistsError
        When there are files where its results should go, which would be taken for these.
    PackageError
        When it cannot be run, or did not come to its end.
    ValueError
        When files or parameters do not fit.
    bl_steer.server.sandbox.run.SandboxMissing
        When there is no sandbox, and it is not trusted.
    """
    _whole(folder)
    check_place(out)
    if out.is_dir() and any(out.iterdir()):
        raise FileExistsError(
            f"results must go into a new or empty folder, got {out} with files in it; give another "
            "with --out"
        )
    apart = is_kept_apart(trusted=trusted)
    readable: dict[Path, Path] = {}

    def seen(path: Path) -> str:
        if not path.exists():
            raise ValueError(f"files to analyse must exist, got no {path}; check the path")
        inside = JOB / "in" / f"{len(readable):04d}" / path.name if apart else path.resolve()
        readable[inside] = path.resolve()
        return str(inside)

    by_input = files if isinstance(files, Mapping) else {"": files}
    named = {name: [seen(Path(path)) for path in paths] for name, paths in by_input.items()}
    asked = {"files": named if isinstance(files, Mapping) else named[""], "params": dict(params)}
    parts = {"package": folder, "dependencies": dependencies, "caches": None}
    with tempfile.TemporaryDirectory(prefix="bl_steer_trial_") as kept:
        task = json.dumps(asked).encode()
        outcome = _tried(parts, Path(kept), readable, task, trusted=trusted)
        answer = _answer(Path(kept) / ANSWER_FILE) if outcome.cause == "ok" else None
        if answer is None:
            said = _ending(outcome, "a script must run to its end")
            raise PackageError(without_folders(said, [*OWN, folder.absolute(), folder.resolve()]))
        if "error" in answer:
            raise ValueError(without_folders(answer["error"], [p.parent for p in readable]))
        return {**answer, "files": [str(path) for path in _copied(Path(kept) / FOUND, out)]}


def _whole(folder: Path) -> Manifest:
    """Return the manifest of a package, built or not, that has its weights."""
    built = (folder / MANIFEST_FILE).exists()
    manifest = read_manifest(folder) if built else read_source(folder)
    missing = [part.file for part in manifest.weights if not (folder / part.file).is_file()]
    if missing:
        raise PackageError(
            f"a package must have its weights to be tested, got no {', '.join(missing)} in "
            f"{folder}; run 'python train.py' there first"
        )
    return manifest


def _tried(
    parts: Mapping[str, Path | None],
    out: Path,
    readable: Mapping[Path, Path],
    asked: bytes,
    *,
    trusted: bool,
    limits: Limits | None = None,
    over: Callable[[], bool] | None = None,
    hidden: Sequence[Path] = (),
) -> Outcome:
    """Run `bl_steer.server.packages.trial` in the sandbox."""
    limits = limits or Limits()
    apart = is_kept_apart(trusted=trusted)
    seen = {name: JOB / name if apart else path.resolve() for name, path in parts.items() if path}
    command = [
        *(sys.executable, "-P", "-X", "faulthandler"),
        *("-m", "bl_steer.server.packages.trial", "."),
        *(str(seen.get(name, "")) for name in parts),
    ]
    folders = {seen[name]: path.resolve() for name, path in parts.items() if path}
    return run_in_sandbox(
        command,
        readable={**folders, **readable},
        writable=out,
        limits=limits,
        stdin=asked,
        cancelled=over,
        environment=job_environment(JOB / "out" if apart else out, limits),
        hidden=hidden,
        trusted=trusted,
    )


def _answer(path: Path) -> dict[str, Any] | None:
    """Return what a process left, which may be anything; None where it is no answer."""
    try:
        if path.is_symlink() or path.stat().st_size > LARGEST_OUTCOME:
            return None
        answer = json.loads(path.read_text(encoding="utf-8"))
        if "error" in answer:
            return {"error": str(answer["error"])}
        return {
            "digest": str(answer["digest"]),
            "warnings": [str(warning) for warning in answer["warnings"]],
            "duration_s": float(answer["duration_s"]),
        }
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _copied(found: Path, out: Path) -> list[Path]:
    """Copy the files of a result, and no links that lie among them."""
    files = sorted(path for path in found.iterdir() if path.is_file() and not path.is_symlink())
    for file in files:
        with draft_of(out / file.name) as draft:
            shutil.copyfile(file, draft)
    return [out / file.name for file in files]


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


def _ending(outcome: Outcome, rule: str = "the tests must run to their end") -> str:
    words = " ".join(outcome.last_words.split())[-600:]
    if outcome.cause == "ok":
        return f"{rule}, got an early end: {words or 'no word'}"
    said = f" (status {outcome.status}): {words}" if words else f" (status {outcome.status})"
    return f"{rule}, but {SAYINGS[outcome.cause]}{said}"


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
