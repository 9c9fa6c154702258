"""Whatever a package says of its result, and whatever an old job was run with: pages are there."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from bl_steer.server.db.tables import Job
from bl_steer.server.jobs.leases import Output, Produced
from bl_steer.server.jobs.queue import finish
from bl_steer.server.web.plots import plot_of
from bl_steer.server.web.result_tables import StoredTable, shown_table
from tests.bl_steer.server.segmented import GREY, LABELS, PHASES, png, tiff, uploaded

ODD: tuple[Any, ...] = (
    None,
    3,
    -1,
    1e308,
    "<b>",
    True,
    [],
    [None],
    [-9, -9],
    {},
    {"field_000": [0, -9]},
    {"field_000": [0, 10**30]},
    {"field_000": [10**30, 0]},
    {"field_000": "x", "": [0, 0]},
    {"field_000": [1.5, "x", None]},
    {"field_000": {"a": [1]}},
)
KEYS = ("version", "weights", "origins", "voxels_nm", "voxel_nm", "mean_uncertainty", "shapes")
FILES = {
    "field_000_labels.tif": tiff(LABELS),
    "field_000_uncertainty.tif": tiff(LABELS),
    "volume.tif": tiff(LABELS),
    "correlation.csv": b"phase,axis,lag_nm,probability\na,x,2e307,5e-324\n",
    "chord_lengths.csv": b"phase,axis,length_nm,share\na,x,1e308,1e308\n",
    "fractions.csv": b"phase,fraction,fraction_low\na,inf,nan\nb,,\n",
}
SHOWN = (
    "/jobs/{0}",
    "/jobs/{0}/paint/field_000",
    "/jobs/{0}/views/field_000",
    "/jobs/{0}/views/volume",
    "/jobs/{0}/tables/correlation.xlsx",
    "/api/v1/jobs/{0}",
    "/training",
)


def test_no_word_of_a_result_breaks_a_page(site: Any) -> None:
    user = site.user()
    browser = site.browser()
    upload_id = uploaded(browser, "a.png", png(GREY), sample="film")
    browser.post("/analyses/segment", {"file": upload_id, "p.pixel_size_nm": "10"})
    lease = site.take()
    outputs = []
    for name, content in FILES.items():
        sha256, size = site.context.store.put(iter([content]))
        kind, media = ("table", "text/csv") if name[-3:] == "csv" else ("array", "image/tiff")
        outputs.append(Output(name, kind, sha256, size, media))
    known = {"phases": PHASES, "origins": {"field_000": [0, 0]}, "mean_uncertainty": {}}
    warnings = ["{0} %s <b> field_000: x.png", "with {keep_bad}"]
    with site.context.database.write() as session:
        produced = Produced("d" * 64, warnings, known, outputs)
        assert finish(session, lease, produced, address=site.address)
    broken = []
    program = site.program(user)
    for odd in ODD:
        for keys in (KEYS, ("phases",)) if odd in ODD[:6] else (KEYS,):
            with site.context.database.write() as session:
                said = {**known, **dict.fromkeys(keys, odd)}
                session.get_one(Job, lease.job_id).provenance = said
            for path in SHOWN:
                asked = program if path.startswith("/api") else browser
                answer = asked.get(path.format(lease.job_id))
                if answer.status_code >= 500:
                    broken.append((keys, odd, path))
    assert broken == []


def test_parameters_of_another_version_are_shown_and_offered(site: Any) -> None:
    site.user()
    browser = site.browser()
    upload_id = uploaded(browser, "a.png", png(GREY))
    made = browser.post("/analyses/segment", {"file": upload_id, "p.pixel_size_nm": "10"})
    job_id = made.headers["location"].rpartition("/")[2]
    analyses = ("segment", "structure", "superres", "film")
    values = (5, "x", [1, "y"], None, {"a": 1}, True)
    for analysis, odd in itertools.product(analyses, values):
        names = [*site.context.entry(analysis).params.model_fields, "long_gone"]
        with site.context.database.write() as session:
            job = session.get_one(Job, job_id)
            job.analysis, job.params = analysis, dict.fromkeys(names, odd)
        for path in (f"/jobs/{job_id}", f"/analyses/{analysis}?again={job_id}"):
            assert browser.get(path).status_code == 200, (analysis, odd, path)


@pytest.mark.parametrize("stem", ["correlation", "chord_lengths"])
@pytest.mark.parametrize("most", ["5e-324", "1e-300", "1e308"])
def test_what_floats_hardly_hold_is_not_drawn(stem: str, most: str) -> None:
    along, value = {
        "correlation": ("lag_nm", "probability"),
        "chord_lengths": ("length_nm", "share"),
    }[stem]
    table = StoredTable(["phase", "axis", along, value], [["a", "x", "1", most]])
    shown = shown_table(table, f"{stem}.csv", "T", language="en", titles={})
    assert plot_of(shown) is None
