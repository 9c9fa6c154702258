"""Several files of weights and several inputs in one package: by every door, and as before."""

from __future__ import annotations

import io
import json
import pickle
import re
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file
from sqlalchemy import select

from bl_steer.cli import main
from bl_steer.processing.digest import digest_of
from bl_steer.server.client import Client, ServerError
from bl_steer.server.db.tables import Job
from bl_steer.server.jobs.worker import Worker
from bl_steer.server.packages import package_analysis, review
from bl_steer.server.packages.archive import build_archive
from bl_steer.server.packages.inspection import inspect
from bl_steer.server.packages.manifest import PackageError, parse_manifest, read_source
from bl_steer.server.packages.template import left_over, write_template
from bl_steer.server.packages.trial import _try
from bl_steer.server.sandbox.run import sandbox_problem
from bl_steer.server.viewing.views import images_of

OLD: dict[str, Any] = {
    "name": "sums",
    "version": "1.0.0",
    "title": {"en": "Sums", "ja": ""},
    "description": {"en": "", "ja": ""},
    "licence": "BSD",
    "form": 1,
    "authors": [{"name": "A", "affiliation": "", "orcid": ""}],
    "input": {"kind": "table", "columns": ["x"], "description": {"en": "", "ja": ""}},
    "script": "script.py",
    "parameters": [],
    "weights": {"file": "m.npz", "format": "npz", "method": "predict", "trusted_types": []},
    "training_data": {"description": "none", "sha256": [], "snapshot": None},
    "tests": [
        {
            "name": "one",
            "inputs": ["tests/a.csv"],
            "expected": "tests/a.json",
            "metadata": {},
            "params": {},
            "tolerance": 1e-06,
        }
    ],
    "versions": {},
    "files": {},
}
SOURCE = """\
name = "weigh"
version = "1.0.0"
title = { en = "Weigh", ja = "重み" }
licence = "BSD-3-Clause"
authors = [{ name = "A. Author" }]
training_data = { description = "none" }

[[inputs]]
name = "image"
kind = "micrographs"
description = { en = "Micrograph <b>", ja = "顕微鏡写真" }

[[inputs]]
name = "doses"
kind = "table"
columns = ["dose"]

[[weights]]
name = "scale"
file = "scale.pkl"
format = "pickle"

[[weights]]
name = "shift"
file = "shift.h5"
format = "h5"

[[weights]]
name = "gain"
file = "gain.npz"
format = "npz"

[[weights]]
name = "last"
file = "last.safetensors"
format = "safetensors"

[[tests]]
name = "one"
inputs = { image = ["one.png"], doses = ["one.csv"] }
expected = "one.json"
"""
SCRIPT = """\
def run(inputs, params, model):
    image = inputs["image"].arrays["field_000"].astype(float)
    shift = float(model["shift"]["b"][0] + model["gain"]["b"][0] + model["last"]["b"][0])
    total = model["scale"]["a"] * image.sum() + shift
    doses = inputs["doses"].arrays["dose"]
    return {"tables": {"weights": {"dose": doses, "weight": total * doses}}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A package of two inputs and four files of weights, with what its test must find."""
    made = tmp_path / "weigh"
    made.mkdir()
    (made / "package.toml").write_text(SOURCE, encoding="utf-8")
    (made / "script.py").write_text(SCRIPT)
    (made / "scale.pkl").write_bytes(pickle.dumps({"a": 2.0}))
    with h5py.File(made / "shift.h5", "w") as file:
        file["b"] = np.array([1.0])
    np.savez(made / "gain.npz", b=np.array([10.0]))
    save_file({"b": np.array([100.0])}, made / "last.safetensors")
    Image.fromarray(np.full((4, 4), 3, np.uint8)).save(made / "one.png")
    (made / "one.csv").write_text("dose\n1\n2\n")
    analysis = package_analysis(made)
    outcome = _try(analysis, analysis.manifest.tests[0])
    assert outcome["problems"] == []
    assert outcome["found"]["tables"]["weights"]["columns"]["weight"] == [207.0, 414.0]
    (made / "one.json").write_text(json.dumps(outcome["found"]))
    return made


def test_a_manifest_of_one_input_and_one_file_of_weights_is_written_as_before() -> None:
    for weights in (OLD["weights"], None):
        old = {**OLD, "weights": weights}
        text = json.dumps(old, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
        manifest = parse_manifest(old, "here")
        assert manifest.to_json() == text
        assert manifest.model_dump(mode="json") == old


def test_a_manifest_names_several_and_says_which_entry_is_wrong(folder: Path) -> None:
    manifest = read_source(folder)
    assert parse_manifest(json.loads(manifest.to_json()), "here") == manifest
    assert manifest.approvals_needed == 2
    for old, new, said in (
        ('name = "shift"', 'name = "scale"', "weights must each have a name of their own"),
        ('name = "doses"\n', "", "inputs must each have a name of their own"),
        ('image = ["one.png"], ', "", "tests must give files for image and doses"),
        ('"scale.pkl"', '"../scale.pkl"', r"weights\.0\.file: a file must be named"),
        (
            "[[inputs]]",
            "[input]\nkind = 'map'\n[[inputs]]",
            r"\[input\] or \[\[inputs\]\], got both",
        ),
    ):
        (folder / "package.toml").write_text(SOURCE.replace(old, new, 1), encoding="utf-8")
        with pytest.raises(PackageError, match=said):
            read_source(folder)


def test_weights_with_names_are_for_run_alone(folder: Path) -> None:
    script = "def prepare(inputs, params): ...\ndef finish(prediction, inputs, params): ...\n"
    (folder / "script.py").write_text(script)
    analysis = package_analysis(folder)
    inputs = analysis.inputs_from_files(
        {"image": [folder / "one.png"], "doses": [folder / "one.csv"]}
    )
    with pytest.raises(PackageError, match="must define run"):
        analysis.run(inputs, analysis.Params())


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["one.png"], "must be given as NAME=FILE with one of image, doses, got 'one.png'"),
        (["image=one.png"], r"for each input \(image, doses\), got them for image"),
        (["image=one.png", "doses=one.png"], "doses: files must end in"),
        (["image=one.png", "doses=wrong.csv"], "a table for doses of weigh must have the columns"),
    ],
)
def test_files_on_the_command_line_say_which_input_they_are(
    folder: Path,
    files: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    (folder / "wrong.csv").write_text("x\n1\n")
    assert main(["package", "run", ".", *files, "--out", "out"]) == 2
    assert re.search(said, capsys.readouterr().err)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_the_names_in_a_pickle_are_whole_also_where_it_says_them_once(
    folder: Path, protocol: int
) -> None:
    values = {"a": np.arange(3.0), "b": np.dtype("f4"), "c": Path("numpy")}
    (folder / "scale.pkl").write_bytes(pickle.dumps(values, protocol=protocol))
    seen = inspect(folder, read_source(folder))["weights"]
    assert [one["file"] for one in seen][:2] == ["scale.pkl", "shift.h5"]
    assert {"numpy.dtype", "pathlib.PosixPath"} <= set(seen[0]["names"])
    assert all(re.fullmatch(r"[a-z_][\w.]+", name) for name in seen[0]["names"])
    modules = {name.partition(".")[0] for name in seen[0]["names"]}
    assert modules <= {"numpy", "pathlib", "_codecs", "copyreg", "copy_reg", "__builtin__"}


@pytest.mark.parametrize("table", [False, True])
@pytest.mark.parametrize(
    "weights", [[], ["npz"], ["safetensors", "h5"], ["pickle", "npz", "skops", "pickle"]]
)
def test_a_new_package_of_any_inputs_and_weights_passes_its_own_test(
    weights: list[Any], table: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [word for form in weights for word in ("--weights", form)]
    folder = tmp_path / "grain-size"
    assert main(["package", "init", str(folder), *words, *(["--table"] if table else [])]) == 0
    if weights:
        monkeypatch.chdir(folder)
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.delitem(sys.modules, "script", raising=False)
        exec(compile((folder / "train.py").read_bytes(), "train.py", "exec"), {})
    analysis = package_analysis(folder)
    outcome = _try(analysis, analysis.manifest.tests[0])
    assert outcome["problems"] == []
    assert len(analysis.manifest.weights) == len(weights)
    assert ("dose" in next(iter(outcome["found"]["tables"].values()))["columns"]) == table
    if table:
        (folder / "tests" / "doses.csv").write_text("dose\n1\n2\n")
        told = _try(analysis, analysis.manifest.tests[0])["problems"]
        assert "give one row for each micrograph, got 2 for 1" in " ".join(told)


def test_texts_of_a_new_package_that_were_left_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    write_template(folder, author="A", weights="skops")
    told = " ".join(left_over(folder))
    assert "the description in package.toml is" in told
    assert "the training data in package.toml is" in told
    assert "train.py, which is not there" not in told
    (folder / "train.py").unlink()
    assert "README.md names train.py, which is not there" in " ".join(left_over(folder))
    (folder / "README.md").write_text("# Mine\n\nCounts grains.\n")
    about = (folder / "package.toml").read_text(encoding="utf-8")
    about = about.replace("Share of each", "Grains of each").replace("Made up by", "Drawn by")
    (folder / "package.toml").write_text(about, encoding="utf-8")
    (told,) = left_over(folder)
    assert told.startswith(
        "the Japanese description in package.toml is still that of a new package"
    )
    about = about.replace("より明るい部分の割合", "より大きい粒の数")
    (folder / "package.toml").write_text(about, encoding="utf-8")
    assert left_over(folder) == []


def test_a_new_package_has_no_english_title_as_its_japanese_one(tmp_path: Path) -> None:
    write_template(tmp_path / "grain-size", author="A")
    title = read_source(tmp_path / "grain-size").title
    assert (title.en, title.ja, title.in_language("ja")) == ("Grain size", "", "Grain size")


def test_one_format_may_still_be_given_as_itself(tmp_path: Path) -> None:
    write_template(tmp_path / "mine", author="A", weights="skops")
    assert [part.format for part in read_source(tmp_path / "mine").weights] == ["skops"]


@pytest.mark.skipif(bool(sandbox_problem()), reason=sandbox_problem() or "-")
def test_an_image_and_a_table_go_through_form_api_and_command_line_to_one_digest(
    site: Any, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    release(site, folder)
    author = site.user("ann@example.org")
    here = package_analysis(folder)
    image, doses = folder / "one.png", folder / "one.csv"
    inputs = here.inputs_from_files({"image": [image], "doses": [doses]})
    digest = digest_of(here.run(inputs, here.Params()))
    browser = site.browser()
    sent = browser.post(
        "/files", files=[("files", (path.name, path.read_bytes())) for path in (image, doses)]
    )
    page = browser.get("/analyses/weigh?" + sent.headers["location"].partition("?")[2]).text
    assert "Micrograph &lt;b&gt;" in page
    boxes = {
        key: page.partition(f'id="file.{key}-1" name="file.{key}" value="')[2][:36]
        for key in ("image", "doses")
    }
    assert page.count(" checked") == 2, "each file stands where it fits; no mail without a server"
    only_image = browser.post("/analyses/weigh", {"file.image": boxes["image"]})
    assert "Choose at least one file for doses (dose)." in only_image.text
    started = browser.post("/analyses/weigh", {f"file.{key}": one for key, one in boxes.items()})
    with Client(site.address, site.key(author)) as client:
        assert [one["name"] for one in client.analysis("weigh")["inputs"]] == ["image", "doses"]
        with pytest.raises(ServerError, match="by the names of its inputs: image, doses"):
            client.submit("weigh", list(boxes.values()))
        by_api = client.submit("weigh", {key: [one] for key, one in boxes.items()})
        words = [f"doses={doses}", f"image={image}", "--analysis", "weigh", "--no-wait"]
        where = ["--server", site.address, "--key", site.key(author)]
        assert main(["submit", *words, *where]) == 0
        worker = Worker(site.context.settings, name="w")
        assert worker.step()
        with site.context.database.read() as session:
            jobs = session.scalars(select(Job).order_by(Job.created)).all()
        assert [job.digest for job in jobs] == [digest, "", ""]
        assert jobs[0].provenance["origins"] == {"field_000": [0, 0]}, "a table is no image"
        assert images_of(jobs[0]) == [boxes["image"]]
        site.finish({"weights.csv": b"dose,weight\n1,2\n"})
        given = [[(one.input, one.file_name) for one in site.take().inputs]]
        assert given == [[("doses", "one.csv"), ("image", "one.png")]], "of the command line"
        assert client.job(by_api["id"])["inputs"] == {k: [one] for k, one in boxes.items()}
        link = client.share(by_api["id"])
    job_page = browser.get(started.headers["location"]).text
    assert "Micrograph &lt;b&gt;: <a href" in job_page
    assert "<dd>scale <code>" in job_page, "each file of weights has its hash"
    assert site.stranger().get(link).status_code == 200
    again = browser.get(f"/analyses/weigh?again={by_api['id']}").text
    assert f'value="{boxes["doses"]}" checked' in again.partition("file.doses-1")[2][:120]
    worker.database.close()


def release(site: Any, folder: Path) -> None:
    """Bring a package to all users, past its check."""
    archive = folder.with_suffix(".zip")
    build_archive(folder, archive)
    people = [site.user(f"{name}@example.org", "reviewer") for name in ("author", "one", "two")]
    context, key = site.context, site.context.packages.key
    with context.database.write() as session:
        file = io.BytesIO(archive.read_bytes())
        package = review.submit(session, context.packages.take_in(file), people[0])
        package.state = "checked"
        session.flush()
        for one in people[1:]:
            review.approve(session, package.sha256, one, key=key)
        review.release(session, package.sha256, people[1], public_key=key.public)
