"""What every result says of where it comes from."""

from __future__ import annotations

import json
from time import perf_counter

import pytest

from bl_steer.analysis import find_analysis, make_params
from bl_steer.analysis.provenance import provenance_of
from bl_steer.protocols import Inputs


def test_the_provenance_of_a_result_is_json_with_the_names_of_its_parts() -> None:
    analysis = find_analysis("structure")
    params = make_params(analysis, {"voxel_size_nm": [30.0, 10.0, 10.0], "seed": 5})
    began = perf_counter() - 2.0
    provenance = provenance_of(
        analysis, params, Inputs({}, {}, {"run": "abc"}), began, phases=["void"]
    )
    assert json.loads(json.dumps(provenance)) == provenance
    assert (provenance["name"], provenance["version"]) == (analysis.name, analysis.version)
    assert provenance["params"]["seed"] == 5
    assert provenance["params"]["voxel_size_nm"] == [30.0, 10.0, 10.0]
    assert provenance["source"] == {"run": "abc"}
    assert provenance["phases"] == ["void"]
    assert provenance["weights"] is None
    assert provenance["duration_s"] == pytest.approx(2.0, abs=0.5)


def test_a_models_folder_is_no_parameter_since_its_weights_say_which_it_was() -> None:
    analysis = find_analysis("segment")
    params = make_params(analysis, {"model": "/somewhere/else"})
    provenance = provenance_of(
        analysis, params, Inputs({}), perf_counter(), weights="ab12", model="/somewhere/else"
    )
    assert "model" not in provenance["params"]
    assert (provenance["weights"], provenance["model"]) == ("ab12", "/somewhere/else")
