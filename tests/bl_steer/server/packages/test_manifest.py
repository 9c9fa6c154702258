from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from bl_steer.server.packages.manifest import PackageError, Weights, parse_manifest, read_source
from bl_steer.server.packages.parameters import Parameter, params_model


def test_all_wrong_entries_of_a_package_are_told_at_once(small: Callable[..., Any]) -> None:
    package = small(name="Sums!", version="one")
    with pytest.raises(PackageError, match=r"name: .*; version: "):
        read_source(package.write())


@pytest.mark.parametrize(
    "path", ["../x", "/etc/passwd", "a/../b", "a\\b", ".hidden", "a//b", "c:x", "a/.git/b", "", "."]
)
def test_no_file_is_named_outside_of_its_package(path: str) -> None:
    with pytest.raises(ValidationError, match="path inside the package"):
        Weights(file=path, format="npz")


@pytest.mark.parametrize("name", ["os.system", "builtins.eval", "subprocess.Popen", "posix.system"])
def test_python_itself_is_never_a_trusted_type(name: str) -> None:
    with pytest.raises(ValidationError, match="Python's own library"):
        Weights(file="m.skops", format="skops", trusted_types=(name,))


def test_weights_that_are_code_need_two_approvals(small: Callable[..., Any]) -> None:
    values = read_source(small().write()).model_dump(mode="json")
    needed = {}
    for weights in (
        {"format": "npz"},
        {"format": "safetensors"},
        {"format": "skops", "trusted_types": ["sklearn.tree._tree.Tree"]},
        {"format": "skops", "trusted_types": ["somewhere.Thing"]},
        {"format": "pickle"},
        {"format": "joblib"},
        {"format": "h5"},
    ):
        about = {"weights": {"file": "m", **weights}, "training_data": {"description": "none"}}
        manifest = parse_manifest({**values, **about}, "here")
        needed[str(weights)] = manifest.approvals_needed
    assert list(needed.values()) == [1, 1, 1, 2, 2, 2, 2]


def test_parameters_become_a_model_with_limits_and_both_languages() -> None:
    model = params_model(
        "P",
        [
            Parameter.model_validate(
                {
                    "name": "threshold",
                    "type": "number",
                    "default": 1,
                    "minimum": 0.5,
                    "maximum": 2.0,
                    "unit": "nm",
                    "title": {"en": "Threshold", "ja": "しきい値"},
                }
            ),
            Parameter.model_validate(
                {"name": "kind", "type": "choice", "default": "a", "choices": ["a", "b"]}
            ),
        ],
    )
    assert model().model_dump() == {"threshold": 1.0, "kind": "a"}
    schema = model.model_json_schema()["properties"]
    assert schema["threshold"]["minimum"] == 0.5
    assert schema["threshold"]["title_ja"] == "しきい値"
    assert schema["threshold"]["unit"] == "nm"
    for wrong in ({"threshold": 3.0}, {"threshold": float("nan")}, {"kind": "c"}, {"other": 1}):
        with pytest.raises(ValidationError):
            model.model_validate(wrong)


def test_a_default_beyond_its_own_limits_is_refused() -> None:
    with pytest.raises(ValidationError, match="less than or equal to 2"):
        Parameter(name="n", type="integer", default=3, maximum=2)
