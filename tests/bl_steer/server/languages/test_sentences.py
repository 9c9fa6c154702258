"""What the library says in English stands on Japanese pages in Japanese, wherever it came from."""

from __future__ import annotations

import ast
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import bl_steer
from bl_steer.analysis.segmentation.conditions.acquisition import _CAUSES as CAUSES
from bl_steer.server.errors import Refused
from bl_steer.server.languages import Sentence, in_labels, sentence_in, text
from bl_steer.server.languages.sentences import patterns_of

ROOT = Path(str(bl_steer.__file__)).parent
PATTERNS = patterns_of("ja")
JAPANESE = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")
VALUE = re.compile(r"\{[^{}]*\}")
SPOKEN = (
    *("files/images", "files/maps/tables.py", "files/maps/points.py", "files/maps/encodings.py"),
    *("files/maps/spreadsheets.py", "files/maps/thousands.py", "files/maps/column_names.py"),
    *("files/tiff", "files/annotations", "files/pixel_size.py", "files/archives.py"),
    *(
        "analysis/advice/checks.py",
        "analysis/segmentation/masks",
        "analysis/segmentation/checks.py",
    ),
    *("analysis/structure/checks.py", "server/retraining/process.py", "server/retraining/run.py"),
    *("server/retraining/snapshots.py", "server/packages/testing.py"),
    *("server/packages/expected.py", "server/jobs/execution.py", "server/jobs/queue.py"),
    *(f"server/packages/{name}.py" for name in ("analysis", "approval", "checking", "content")),
    *(f"server/packages/{name}.py" for name in ("inputs", "script", "store", "weights")),
    *("server/sandbox/dependencies.py", "server/sandbox/run.py", "server/uploads/blobs.py"),
    "files/maps/empty_columns.py",
    "analysis/margins.py",
    *(f"analysis/superresolution/{name}.py" for name in ("checks", "decimation", "validation")),
    *("analysis/structure/directions.py", "analysis/structure/phases.py"),
    *("analysis/model_folder.py", "analysis/segmentation/tiles.py", "slicing/order.py"),
)
"""What speaks to users of the server, of files and analyses: all of it is translated."""
SOURCES = ("files", "analysis", "processing", "slicing", "steering", "server")
FOR_PROGRAMMERS = ("waits again", "must wait to be carried out", "must end with a candidate, got:")
FOR_PROGRAMMERS += ("must be one of", "must have its weights to be tested", "must be yours")
FOR_PROGRAMMERS += ("(?P<name>", "must be JSON of labelme or COCO, GeoJSON of QuPath, or ROIs of ")
FOR_PROGRAMMERS += ("the tests must run to their end, but {}{}",)  # a part of a sentence
FOR_PROGRAMMERS += ("the key of the reviews must", "a stored run must give what", "64 hexadecimal")
FOR_PROGRAMMERS += ("a file must be given as NAME=FILE", "must have wheels that go with")


def written(node: ast.expr) -> str | None:
    """A text as the source has it, with ``{}`` for values."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values
        )
    return None


def texts_of(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    bodies = [node.body for node in ast.walk(tree) if hasattr(node, "body")]
    docstrings = {
        id(body[0].value)
        for body in bodies
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr)
    }
    parts = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in node.values
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.expr) and id(node) not in docstrings | parts:
            said = written(node)
            yield from () if said is None else (said,)


def files_of(names: tuple[str, ...]) -> list[Path]:
    paths = [ROOT / name for name in names]
    return sorted(
        {one for path in paths for one in ([path] if path.is_file() else path.rglob("*.py"))}
    )


def test_every_pattern_is_in_the_words_of_the_library() -> None:
    """Three of its words in a row, at least, unless it has no more than that."""
    words = "\0".join(said for path in files_of(SOURCES) for said in texts_of(path))
    plain = re.sub(r"\s+", " ", VALUE.sub("\0", words))
    lost = []
    for english in PATTERNS:
        pieces = [piece.split() for piece in re.split(r"\{\w+\}|[;:,.()]", english)]
        rows = [" ".join(p[n : n + 3]) for p in pieces for n in range(len(p) - 2)]
        rows = rows or [max(map(" ".join, pieces), key=len)]
        is_short = sum(map(len, pieces)) < 5
        if not is_short and not any(row in plain for row in rows):
            lost.append(english)
    assert lost == []


def test_every_pattern_is_translated_with_values_of_its_own() -> None:
    for english, japanese in PATTERNS.items():
        plain = re.sub(r"\{\w+\}", "", japanese)
        assert JAPANESE.search(plain) or not re.search("[a-zA-Z]", plain), english
        named = re.findall(r"\{(\w+)\}", english)
        assert len(named) == len(set(named)), english
        assert set(re.findall(r"\{(\w+)\}", japanese)) <= set(named), english
        assert not re.search(r"\}\{", english), "no words between two values"


@pytest.mark.parametrize("path", files_of(SPOKEN), ids=lambda path: path.name)
def test_all_that_is_said_to_users_of_the_server_is_translated(path: Path) -> None:
    said = [one for one in texts_of(path) if re.search(r"(^| )must .+[;,] ", one)]
    missing = []
    for sentence in said:
        if any(known in sentence for known in FOR_PROGRAMMERS):
            continue
        filled = VALUE.sub("7", sentence)
        if not any(sentence_in("ja", one) != one for one in (filled, f"a.tif {filled}")):
            missing.append(sentence)
    assert missing == []


@pytest.mark.parametrize(
    ("english", "japanese"),
    [
        ("no such sentence", "no such sentence"),
        ("Decimal commas: 1,5 is read as 1.5.", "小数点がコンマです：1,5 は 1.5 と読みました。"),
        (
            "a.tif must be a whole TIFF image, got a truncated one; copy it anew",
            "a.tif は TIFF 画像の途中で切れています。コピーし直してください。",
        ),
        ("The image has colours: its luminance is used. My own.", None),
        (
            "a retraining must have pairs of each part, got none to train and hold-out (f.png: "
            "mask must be painted, got no pixel of pore (255, 0, 0); paint some); collect more",
            "学習用・選択用・比較用のそれぞれに組が必要ですが、学習用、比較用の組がありません"
            "（使えなかった組：f.png：マスクに pore (255, 0, 0) の画素がありません。塗ってください"
            "）。組を増やしてください。",
        ),
    ],
)
def test_a_sentence_is_found_with_its_values_and_their_own_sentences(
    english: str, japanese: str | None
) -> None:
    assert sentence_in("en", english) == english
    if japanese is None:
        assert sentence_in("ja", english) == "カラー画像です。明るさを使います。 My own."
    else:
        assert sentence_in("ja", english) == japanese


def test_no_sentence_is_taken_for_another_and_half_translated() -> None:
    """A sentence that is not known stays whole; one that is leaves no English beside its values."""
    mixed = {}
    for path in files_of(SOURCES):
        if path.name != "template.py":  # of new packages, which nobody is told
            for said in (one for one in texts_of(path) if one.count(" ") > 2 and "\n" not in one):
                filled = VALUE.sub("7", f"a.tif {said}" if said.startswith("must ") else said)
                told = sentence_in("ja", filled)
                if told != filled and re.search("[a-z] [a-z]+ [a-z]", told.replace("bl-steer", "")):
                    mixed[filled] = told
    for known in ("rows than the other slices", "taken as 0°"):
        mixed = {said: told for said, told in mixed.items() if known not in said}
    assert mixed == {}


@pytest.mark.parametrize("cause", [one for causes in CAUSES.values() for one in causes])
def test_each_way_in_which_an_image_may_look_unlike_training_is_told(cause: str) -> None:
    said = (
        f"appearance: {cause} than in training (1.5 times the limit for 384 training images); "
        f"{cause} may have changed: label some micrographs under the new conditions"
    )
    assert not re.search("[a-z]{3}", sentence_in("ja", said))


def test_a_sentence_goes_into_texts_and_refusals_in_the_readers_language() -> None:
    said = Sentence("mask must be painted, got no pixel of pore; paint some")
    refused = Refused(422, "refused.mask_unread", reason=said)
    assert "マスクに pore の画素がありません" in refused.in_language("ja")
    assert "got no pixel of pore" in refused.in_language("en")
    assert "got no pixel of pore" in str(refused)
    told = in_labels(
        "ja", "segment", "bar_px must leave rows of the images of 9, got 10; give less"
    )
    assert told == "データバーの行数 10 が画像の行数 9 に対して大きすぎます。"
    assert text("ja", "refused.proposal", reason="as it is").endswith("as it is")


@pytest.mark.parametrize("words", ["x: ", "must , got ; ", "x. A: ", " and ", "its process died: "])
def test_no_words_of_an_author_keep_the_server_busy(words: str) -> None:
    said = (words * 2000)[:4000]
    sentence_in("ja", "warm")
    began = time.process_time()
    sentence_in("ja", said)
    assert time.process_time() - began < 1.0
