"""A new package to begin with: it works, and every line of it is meant to be changed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from bl_steer.server.packages.inspection import TEXTS
from bl_steer.server.packages.manifest import SOURCE_FILE, Format, PackageError, read_source

__all__ = ["WITH_TEMPLATE", "left_over", "write_template"]

WITH_TEMPLATE: dict[Format, str] = {
    "skops": "model.skops",
    "pickle": "model.pkl",
    "h5": "model.h5",
    "npz": "model.npz",
    "safetensors": "model.safetensors",
}
"""Formats of weights that a new package may begin with, and their files."""
ESTIMATORS = ("skops", "pickle")
"""Formats that give a model with `predict`; the others give arrays by name."""

HEAD = """\
# What the package says of itself. 'bl-steer package build' adds the hashes of all files.
name = {name}
version = "0.1.0"                      # raise it with every change: a version stays what it is
title = {{ en = {title} }}   # as users see it; add ja = "…" for the Japanese pages
licence = "BSD-3-Clause"

[description]
en = "{english}"
ja = "{japanese}"

[[authors]]
name = {author}

{input}
[[parameters]]                         # becomes a field of the form
name = "threshold"
type = "number"                        # or integer, boolean, text, choice (then choices = [...])
default = 0.5
minimum = 0.0
maximum = 1.0
title = {{ en = "Threshold", ja = "しきい値" }}
description = {{ en = "As a share of full scale.", ja = "最大階調に対する比。" }}
"""
INPUT = """\
[input]
kind = "micrographs"                   # or stack, map, table (then columns = [...])
"""
WITH_TABLE = """\
[[inputs]]
name = "image"                         # the script finds it as inputs["image"]
kind = "micrographs"                   # or stack, map
description = {{ en = "Micrographs", ja = "顕微鏡写真" }}

[[inputs]]
name = "table"
kind = "table"
columns = ["dose"]
description = {{ en = "A row for each micrograph", ja = "顕微鏡写真ごとに1行" }}
"""
WEIGHTS = """
[weights]
file = "{file}"
format = "{format}"                       # skops, safetensors, npz, onnx; pickle, joblib and h5 are
                                       # code: two reviewers must approve them
method = "predict"
"""
NAMED_WEIGHTS = """
[[weights]]
name = "{name}"                       # the script finds it as model["{name}"]
file = "{file}"
format = "{format}"
"""
TRAINING = f"""
[training_data]
description = "{TEXTS["training_data.description"]}"
"""
TEST = """
[[tests]]
name = "two-halves"
inputs = {inputs}
params = {{ threshold = 0.4 }}
expected = "tests/two-halves.expected.json"     # written by 'bl-steer package test --accept'
"""
ALONE = '''\
"""What this package computes."""

import numpy as np


def run(inputs, params, model):
    """Return tables, arrays and figures by name; `inputs.arrays` has the micrographs (H, W)."""
    shares, bright = [], {}
    for name, image in inputs.arrays.items():
        full = np.iinfo(image.dtype).max if image.dtype.kind == "u" else image.max()
        bright[name] = (image / full > params.threshold).astype(np.uint8)
        shares.append(bright[name].mean())
    return {
        "tables": {"shares": {"field": list(inputs.arrays), "bright": shares}},
        "arrays": bright,
    }
'''
AROUND = '''\
"""Before and after the model's prediction."""

import numpy as np


def prepare(inputs, params):
    """Return X for model.predict: a row of features for each micrograph."""
    return np.array([features(image, params.threshold) for image in inputs.arrays.values()])


def finish(prediction, inputs, params):
    """Return tables, arrays and figures by name."""
    return {"tables": {"classes": {"field": list(inputs.arrays), "class": prediction}}}


'''
WITH_ARRAYS = '''\
"""What this package computes from the arrays of its model."""

import numpy as np


def run(inputs, params, model):
    """Return tables, arrays and figures by name; `model` has the arrays by their names."""
    X = np.array([features(image, params.threshold) for image in inputs.arrays.values()])
    dark = X @ model["weights"] + model["bias"] > 0
    classes = np.where(dark, "dark", "bright")
    return {"tables": {"classes": {"field": list(inputs.arrays), "class": classes}}}


'''
WITH_MODELS = '''\
"""What this package computes from several models."""

import numpy as np


def run(inputs, params, model):
    """Return tables, arrays and figures by name; `model` has the weights by their names."""
    X = np.array([features(image, params.threshold) for image in inputs.arrays.values()])
    dark = np.mean([darkness(one, X) for one in model.values()], axis=0)
    classes = np.where(dark > 0.5, "dark", "bright")
    return {"tables": {"classes": {"field": list(inputs.arrays), "class": classes, "dark": dark}}}


def darkness(one, X):
    """Return the probability of "dark" by one model: an estimator, or arrays by name."""
    if hasattr(one, "predict_proba"):
        return one.predict_proba(X)[:, 1]
    return 1 / (1 + np.exp(-(X @ one["weights"] + one["bias"])))


'''
FEATURES = '''\
def features(image, threshold):
    """Return the features of a micrograph (H, W)."""
    full = np.iinfo(image.dtype).max if image.dtype.kind == "u" else image.max()
    return [image.mean() / full, (image / full > threshold).mean()]
'''
DOSES = '''


def doses(inputs):
    """Return the dose of each micrograph; what a ValueError says is shown to the user."""
    doses, images = inputs["table"].arrays["dose"], inputs["image"].arrays
    if len(doses) != len(images):
        raise ValueError(f"give one row for each micrograph, got {len(doses)} for {len(images)}")
    return doses
'''
TRAIN = '''\
"""Train the {model} of this package: python train.py"""

import numpy as np
from script import features
from sklearn.linear_model import LogisticRegression

rng = np.random.default_rng(0)
images = [rng.integers(0, 100 + 100 * (n % 2), (64, 64)).astype(np.uint8) for n in range(40)]
classes = np.array(["bright" if n % 2 else "dark" for n in range(40)])
X = np.array([features(image, 0.5) for image in images])
'''
FIT = """\

some = rng.permutation(len(X))[:30]
model = LogisticRegression().fit(X[some], classes[some])
"""
SAVE = {
    "skops": 'from skops.io import dump  # noqa: E402\n\ndump(model, "{file}")\n',
    "pickle": "import pickle  # noqa: E402\n\n"
    'with open("{file}", "wb") as file:\n    pickle.dump(model, file)\n',
    "h5": "import h5py  # noqa: E402\n\n"
    'with h5py.File("{file}", "w") as file:\n'
    '    file["weights"], file["bias"] = model.coef_[0], model.intercept_\n',
    "npz": 'np.savez("{file}", weights=model.coef_[0], bias=model.intercept_)\n',
    "safetensors": "from safetensors.numpy import save_file  # noqa: E402\n\n"
    'save_file({{"weights": model.coef_[0], "bias": model.intercept_}}, "{file}")\n',
}
README = """\
# {title}

What it does, for whom, and how far it can be trusted.

```sh
{train}bl-steer package test . --accept      # look at what it found; it is expected from now on
bl-steer package test .
bl-steer package build . --out {name}.zip
bl-steer package submit {name}.zip --user you@example.org   # on the server's machine
```

From elsewhere, upload `{name}.zip` on the server's page *Packages*.
"""


def write_template(
    folder: Path,
    *,
    author: str,
    weights: Format | Sequence[Format] | None = None,
    table: bool = False,
) -> list[Path]:
    """Write a package of the folder's name that works; return its files.

    Parameters
    ----------
    weights : a trained model in each of these formats; several are found by their names
    table : take a table beside the micrographs

    Raises
    ------
    FileExistsError
        When the folder is there already and not empty.
    PackageError
        When its name is none for a package.
    """
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(
            f"a new package must go into a new folder, got {folder} with files in it; give another"
        )
    formats = [weights] if isinstance(weights, str) else list(weights or ())
    unknown = [form for form in formats if form not in WITH_TEMPLATE]
    if unknown:
        raise PackageError(
            f"a new package must begin with {' or '.join(WITH_TEMPLATE)} or without weights, got "
            f"{', '.join(unknown)}; change package.toml afterwards"
        )
    name = folder.resolve().name
    title = name.replace("-", " ").capitalize()
    train = "python train.py\n" if formats else ""
    texts = {
        SOURCE_FILE: _source(name, title, author, formats, table),
        "script.py": _script(formats, table),
        "README.md": README.format(title=title, name=name, train=train),
    }
    if formats:
        texts["train.py"] = _training(formats)
    (folder / "tests").mkdir(parents=True)
    for file, text in texts.items():
        (folder / file).write_text(text, encoding="utf-8")
    _draw_two_halves(folder / "tests" / "two-halves.png")
    if table:
        (folder / "tests" / "doses.csv").write_text("dose\n2.5\n", encoding="utf-8")
    try:
        read_source(folder)
    except PackageError:
        for path in sorted(folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        folder.rmdir()
        raise
    return sorted(path for path in folder.rglob("*") if path.is_file())


def left_over(folder: Path) -> list[str]:
    """Return which texts of a new package a folder still has, a sentence each."""
    paths = [folder / SOURCE_FILE, folder / "README.md"]
    about, readme = (path.read_text("utf-8") if path.is_file() else "" for path in paths)
    called = ("the description", "the Japanese description", "the training data", "the author")
    said = {
        f"{name} in {SOURCE_FILE}": f'"{text}"' in about
        for name, text in zip(called, TEXTS.values(), strict=True)
    } | {"what README.md says of it": README.split("\n")[2] in readme}
    told = [f"{what} is still that of a new package; write your own" for what in said if said[what]]
    if "train.py" in readme and not (folder / "train.py").exists():
        told.append("README.md names train.py, which is not there; take it out")
    return told


def _named(weights: Sequence[Format]) -> list[tuple[str, str, Format]]:
    """Return name, file and format of each file of weights; one alone has no name."""
    if len(weights) == 1:
        return [("", WITH_TEMPLATE[weights[0]], weights[0])]
    return [
        (f"model_{n}", WITH_TEMPLATE[form].replace("model", f"model_{n}"), form)
        for n, form in enumerate(weights, 1)
    ]


def _source(name: str, title: str, author: str, weights: Sequence[Format], table: bool) -> str:
    values = {"name": _quoted(name), "title": _quoted(title), "author": _quoted(author)}
    values |= {"english": TEXTS["description.en"], "japanese": TEXTS["description.ja"]}
    parts = [HEAD.format(**values, input=WITH_TABLE.format() if table else INPUT)]
    for key, file, form in _named(weights):
        about = NAMED_WEIGHTS if key else WEIGHTS
        parts.append(about.format(name=key, file=file, format=form))
    image = '["tests/two-halves.png"]'
    files = f'{{ image = {image}, table = ["tests/doses.csv"] }}' if table else image
    return "".join([*parts, TRAINING if weights else "", TEST.format(inputs=files)])


def _script(weights: Sequence[Format], table: bool) -> str:
    script = ALONE
    if weights:
        one = AROUND if weights[0] in ESTIMATORS else WITH_ARRAYS
        script = (one if len(weights) == 1 else WITH_MODELS) + FEATURES
    if table:
        dose = '"dose": doses(inputs)'
        script = script.replace(
            '{"field": list(inputs.arrays), ', f'{{"field": list(inputs.arrays), {dose}, '
        ).replace("inputs.arrays", 'inputs["image"].arrays')
        script += DOSES
    return script


def _training(weights: Sequence[Format]) -> str:
    saved = [FIT + SAVE[form].format(file=file) for _, file, form in _named(weights)]
    return TRAIN.format(model="model" if len(weights) == 1 else "models") + "".join(saved)


def _draw_two_halves(path: Path) -> None:
    halves = np.full((48, 64), 60, np.uint8)
    halves[:, 32:] = 180
    Image.fromarray(halves).save(path)


def _quoted(text: str) -> str:
    """Return a text as TOML writes it, which for one line is as JSON does."""
    return json.dumps(text, ensure_ascii=False)
