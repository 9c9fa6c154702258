from __future__ import annotations

import subprocess
import sys

import pytest

from bl_steer.processing.registry import find_analysis
from bl_steer.server.jobs.inputs import POINTS, InputKind
from bl_steer.server.web.catalogue import ORDER, builtin_entries, builtin_entry

LOADED = """
import sys
from bl_steer.server.web.app import create_app
from bl_steer.server.web.catalogue import builtin_entries
builtin_entries()
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_the_web_process_knows_all_analyses_without_what_computes_them() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "fastapi" in loaded
    assert not loaded & {"torch", "botorch", "gpytorch", "sklearn", "matplotlib", "monai"}


def test_the_catalogue_has_each_analysis_with_its_own_parameters_in_the_order_of_the_page() -> None:
    entries = builtin_entries()
    assert tuple(entry.name for entry in entries) == ORDER
    for entry in entries:
        assert entry.params is find_analysis(entry.name).Params
        assert entry.hidden | entry.advanced <= entry.params.model_fields.keys()


@pytest.mark.parametrize(
    ("name", "files", "takes"),
    [
        ("segment", ["a.png"], True),
        ("segment", ["a.PNG", "b.tif"], True),
        ("segment", ["a.png", "points.csv"], False),
        ("segment", [], False),
        ("advise", ["points.csv"], True),
        ("advise", ["points.csv"] * 2, False),
    ],
)
def test_an_entry_takes_files_by_suffix_and_number(
    name: str, files: list[str], takes: bool
) -> None:
    entry = next(entry for entry in builtin_entries() if entry.name == name)
    assert entry.takes(files) is takes


def test_an_entry_in_another_language_falls_back_to_english() -> None:
    entry = builtin_entries()[0]
    assert entry.title("ja") != entry.title("en")
    assert entry.title("fr") == entry.title("en")
    assert entry.summary("fr") == entry.summary("en")


def test_an_analysis_without_texts_is_called_by_its_name_and_described_by_its_docstring() -> None:
    name = "bl_steer.analysis.slices.analysis:AlignSlices"
    entry = builtin_entry(name, InputKind(POINTS))
    summary = (find_analysis(name).__doc__ or "").splitlines()[0]
    assert summary
    for language in ("en", "ja"):
        assert (entry.title(language), entry.summary(language)) == (name, summary)
        assert entry.form(language) == ""
