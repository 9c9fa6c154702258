from __future__ import annotations

import re
import string
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po

import bl_steer.server
from bl_steer.processing.registry import find_analysis, make_params
from bl_steer.protocols import Inputs
from bl_steer.server.auth.accounts import ROLES
from bl_steer.server.auth.api_keys import SCOPES
from bl_steer.server.jobs.leases import CAUSES
from bl_steer.server.languages import LANGUAGES, choose_language, result_label, text
from bl_steer.server.packages.manifest import InputKind
from bl_steer.server.packages.review import STATES
from bl_steer.server.web.catalogue import builtin_entries
from bl_steer.server.web.routes.packages import ACTIONS
from bl_steer.stages import STAGES, TEXTS

HERE = Path(str(bl_steer.server.__file__)).parent
JAPANESE = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")
NO_WORDS = re.compile(
    r"\{\w+\}|bl-steer [\w -]+|https?://\S+|<[^>]*>|[‘“「『`'\"][^」』’”`'\"]*[」』’”`'\"]"
)
"""Values, commands, addresses, tags and quotations in a text."""
PARTS = ("title", "summary")
SOURCES = [*HERE.rglob("*.py"), *HERE.glob("web/pages/*.html")]


def catalogue(language: str) -> Catalog:
    with (HERE / "languages" / f"{language}.po").open("rb") as file:
        return read_po(file, locale=language)


def texts(language: str) -> dict[str, str]:
    """All texts by key."""
    messages = (message for message in catalogue(language) if message.id and not message.context)
    return {str(message.id): str(message.string) for message in messages}


def values_in(words: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(words) if name is not None}


def test_every_text_is_there_in_every_language_with_the_same_values() -> None:
    english = texts("en")
    for language in LANGUAGES:
        assert texts(language).keys() == english.keys()
        for key, words in texts(language).items():
            assert values_in(words) == values_in(english[key]), f"{key} in {language}"


def test_no_text_has_an_english_sentence_on_a_japanese_page() -> None:
    """Three words in a row, but for commands, addresses and what programs and files are called."""
    left = {}
    for key, words in texts("ja").items():
        plain = NO_WORDS.sub("、", words)
        if found := re.findall(r"[a-z]{2,} [a-z]{2,} [a-z]{2,}", plain):
            left[key] = found
    assert left == {}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_catalogue_is_whole_and_gettext_finds_no_fault_with_it(language: str) -> None:
    messages = [message for message in catalogue(language) if message.id]
    assert [one.id for one in messages if not one.string or one.fuzzy] == []
    assert [(one.id, list(one.check())) for one in messages if list(one.check())] == []
    known = {key: text(language, key) for key in texts(language)}
    assert known == texts(language), "what is compiled at the start is what stands in the file"


def test_japanese_texts_are_japanese() -> None:
    latin = {key for key, words in texts("ja").items() if words.isascii() and words.strip()}
    assert latin <= {"api.python", "choice.advise.method.sobol", "count.more"} | {
        key for key in latin if len(values_in(texts("ja")[key])) or key.startswith("nav.")
    }


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_every_text_that_a_source_names_exists(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    named = re.findall(r"""\b_\(\s*["']([a-z_.]+[a-z_])["']\s*[,)]""", source)
    named += re.findall(r"""["']((?:refused|error|form|sign_in)\.[a-z_]+)["']""", source)
    named += [f"refused.no_{what}" for what in re.findall(r'missing\("(\w+)"\)', source)]
    assert [key for key in named if key not in texts("en")] == []


def test_every_stage_of_an_analysis_has_its_text() -> None:
    keys = [f"stage.{name}" for entry in builtin_entries() for name in STAGES.get(entry.name, ())]
    assert keys
    assert [key for key in keys if key not in texts("en")] == []
    assert {key: text("en", key) for key in keys} == {
        f"stage.{name}": words for name, words in TEXTS.items() if f"stage.{name}" in keys
    }


def test_what_one_column_holds_begins_alike() -> None:
    """Words of the audit log, of states, roles and scopes: capitals or none, not both."""
    for family in ("audit.", "state.", "role.", "scope.", "cause.", "stage."):
        words = [said for key, said in texts("en").items() if key.startswith(family)]
        assert words
        assert len({said[0].isupper() for said in words}) == 1, sorted(words)


def review_errors() -> set[str]:
    """The keys of what a review refuses, but for those of each state."""
    folder = HERE / "packages"
    source = "".join((folder / name).read_text() for name in ("review.py", "catalogue.py"))
    keys = re.findall(r"raise ReviewError\(\s*f?\"(\w+)", source)
    assert len(keys) == source.count("raise ReviewError(") > 10
    return {f"review.{key}" for key in keys if key != "not_to_"}


def audit_events() -> set[str]:
    """The keys of all events that a source records."""
    source = "".join(path.read_text(encoding="utf-8") for path in HERE.rglob("*.py"))
    calls = re.findall(r"\b(?:record_event|_record)\((?!self)[^)]*", source)
    names = {name for call in calls for name in re.findall(r'"([a-z]+ [a-z]+(?: [a-z]+)*)"', call)}
    assert len(names) > 20
    return {f"audit.{name}" for name in names | {"retraining done", "retraining failed"}}


def families() -> dict[str, set[str]]:
    """The keys that sources put together, by what these begin with."""
    jobs = ("queued", "running", "done", "failed", "cancelled")
    entries = {entry.name: entry.params.model_fields for entry in builtin_entries()}
    fields = [f"{name}.{field}" for name, model in entries.items() for field in model]
    sources = "".join(path.read_text(encoding="utf-8") for path in SOURCES)
    missing = re.findall(r'missing\("(\w+)"\)', sources)
    return {
        "cause.": {f"cause.{cause}" for cause in CAUSES},
        "advice.": {f"advice.{cause}" for cause in CAUSES},
        "state.": {f"state.{state}" for state in (*jobs, *STATES)},
        "packages.now_": {f"packages.now_{state}" for state in STATES},
        "packages.input_": {f"packages.input_{kind}" for kind in get_args(InputKind)},
        "packages.action_": {f"packages.action_{action}" for action in ACTIONS},
        "review.": {f"review.not_to_{state}" for state in STATES} | review_errors(),
        "role.": {f"role.{role}" for role in ROLES},
        "scope.": {f"scope.{scope}" for scope in SCOPES},
        "audit.": audit_events(),
        "analysis.": {f"analysis.{name}.{part}" for name in entries for part in PARTS},
        "param.": {f"param.{field}" for field in fields},
        "help.": {f"help.{field}" for field in fields},
        "refused.no_": {f"refused.no_{name}" for name in missing},
    }


HIDDEN = {"param.segment.keep_probability", "param.superres.model"}
HIDDEN |= {key.replace("param.", "help.") for key in HIDDEN}


@pytest.mark.parametrize("family", sorted(families()))
def test_every_text_that_a_source_puts_together_exists_and_no_other(family: str) -> None:
    known = {key for key in texts("en") if key.startswith(family)}
    named = families()[family]
    assert named - known <= HIDDEN
    sources = "".join(path.read_text(encoding="utf-8") for path in SOURCES)
    assert [key for key in sorted(known - named) if f'"{key}"' not in sources] == []


def test_no_text_is_unused() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in SOURCES)
    literal = set(re.findall(r"""["']([a-z_]+\.[a-zA-Z_ :.]+)["']""", sources))
    begun = tuple(re.findall(r"""["']([a-z_]+\.[a-z_.]*)(?:\{|["'] ~)""", sources))
    assert [key for key in texts("en") if key not in literal and not key.startswith(begun)] == []


def test_no_refusal_of_the_servers_own_is_in_english_alone() -> None:
    own = ("refused.", "review.", "error.", "cause.", "advice.", "invalid.", "mail.", "packages.")
    words = {key: said for key, said in texts("ja").items() if key.startswith(own)}
    assert [key for key, said in words.items() if not JAPANESE.search(said)] == []


@pytest.mark.parametrize("entry", builtin_entries(), ids=lambda entry: entry.name)
def test_every_parameter_of_our_analyses_is_labelled_and_explained(entry) -> None:  # type: ignore[no-untyped-def]
    for name in entry.params.model_fields.keys() - entry.hidden:
        for what in ("param", "help"):
            assert f"{what}.{entry.name}.{name}" in texts("ja")


@pytest.mark.parametrize(
    ("chosen", "accepted", "language"),
    [
        ("", "", "en"),
        ("", "ja", "ja"),
        ("", "fr, de;q=0.9", "en"),
        ("", "en;q=0.3, ja;q=0.7", "ja"),
        ("en", "ja", "en"),
        ("xx", "ja-JP,en", "ja"),
        ("", "ja;q=nonsense, en", "en"),
        ("", "ja;q=0, en;q=0.1", "en"),
        ("", "," * 10_000, "en"),
    ],
)
def test_the_language_is_the_one_chosen_or_the_browsers(
    chosen: str, accepted: str, language: str
) -> None:
    assert choose_language(chosen, accepted) == language


def test_a_text_without_its_values_is_an_error() -> None:
    with pytest.raises(KeyError):
        text("en", "count.files", m=3)


@pytest.mark.parametrize("analysis", ["structure", "advise", "components"])
def test_every_table_column_and_reason_of_a_result_has_its_japanese_name(analysis: str) -> None:
    rng = np.random.default_rng(1)
    if analysis == "structure":
        coarse = rng.integers(0, 3, (6, 6, 6))
        arrays = {"labels": np.kron(coarse, np.ones((4, 4, 4), int)).astype(np.uint8)}
        metadata = {"voxel_size_nm": (10.0, 10.0, 10.0)}
    elif analysis == "components":
        arrays = {"x": np.arange(9.0), "y": np.zeros(9), "patterns": rng.poisson(5, (9, 30)) * 1.0}
        metadata = {}
    else:
        arrays = dict(zip(("x", "y", "value"), rng.uniform(1, 9, (3, 12)), strict=True))
        metadata = {}
    runs = find_analysis(analysis)
    result = runs.run(Inputs(arrays, metadata, {}), make_params(runs, {}))
    names = {("tables", name) for name in result.tables}
    names |= {("figures", name) for name in result.figures}
    names |= {("columns", name) for table in result.tables.values() for name in table}
    reasons = result.tables.get("suggestions", {}).get("reason", [])
    names |= {("values.reason", str(reason)) for reason in reasons}
    unnamed = {name for what, name in names if result_label("ja", what, name) == name}
    assert unnamed <= {"x", "y", "dx", "dy", "dz", *(f"c{number}" for number in range(9))}
    assert result_label("en", "columns", "phase") == "Phase"
