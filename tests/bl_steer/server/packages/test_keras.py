"""A Keras model in h5 becomes a package that computes, where Keras is installed."""

from __future__ import annotations

import os
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from bl_steer.cli import main
from bl_steer.server.packages import package_analysis
from bl_steer.server.packages.inspection import inspect
from bl_steer.server.packages.trial import _try

pytestmark = [
    pytest.mark.skipif(find_spec("keras") is None, reason="keras is not installed (packages.md)"),
    pytest.mark.filterwarnings("ignore"),
]
TRAIN = """
import os
os.environ.setdefault("KERAS_BACKEND", "torch")
import keras
import numpy as np
keras.utils.set_random_seed(0)
X = np.array([[0.2, 0.0], [0.3, 0.1], [0.6, 0.8], [0.7, 0.9]])
model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1, activation="sigmoid")])
model.compile(keras.optimizers.Adam(0.5), "binary_crossentropy")
model.fit(X, np.array([1, 1, 0, 0]), epochs=60, verbose=0)
model.save("model.h5")
"""


def test_a_keras_model_is_packed_tested_and_computes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "keras-classes"
    assert main(["package", "init", str(folder), "--weights", "pickle"]) == 0
    (folder / "train.py").write_text(TRAIN)
    source = (folder / "package.toml").read_text("utf-8")
    for old, new in (
        ('"model.pkl"', '"model.h5"'),
        ('"pickle"', '"h5"'),
        ("[description]", f'dependencies = ["keras=={version("keras")}"]\n\n[description]'),
    ):
        assert old in source
        source = source.replace(old, new, 1)
    (folder / "package.toml").write_text(source, "utf-8")
    script = (folder / "script.py").read_text("utf-8")
    (folder / "script.py").write_text(
        script.replace('"class": prediction', '"dark": prediction[:, 0]'), "utf-8"
    )
    monkeypatch.chdir(folder)
    monkeypatch.setenv("KERAS_BACKEND", os.environ.get("KERAS_BACKEND", "torch"))
    exec(compile((folder / "train.py").read_bytes(), "train.py", "exec"), {})
    analysis = package_analysis(folder)
    outcome = _try(analysis, analysis.manifest.tests[0])
    assert outcome["problems"] == []
    (dark,) = outcome["found"]["tables"]["classes"]["columns"]["dark"]
    assert 0.0 < dark < 1.0
    assert analysis.manifest.approvals_needed == 2
    assert inspect(folder, analysis.manifest)["weights"][0]["file"] == "model.h5"
    inputs = analysis.inputs_from_files([folder / "tests" / "two-halves.png"])
    image = next(iter(inputs.arrays.values()))
    features = np.array([[image.mean() / 255, (image / 255 > 0.4).mean()]])
    from keras.models import load_model

    expected = load_model("model.h5", compile=False).predict(features, verbose=0)[0, 0]
    assert dark == pytest.approx(float(expected), rel=1e-5)
