"""Segmented micrographs on a running server, for tests: uploads, and results as a worker leaves."""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from bl_steer.server.jobs.leases import Output, Produced
from bl_steer.server.jobs.process import REPORT, Task, carry_out
from bl_steer.server.jobs.queue import finish
from bl_steer.server.jobs.results import Failure, collect

PHASES = [
    {"name": "matrix", "paint": None, "show": [0, 0, 0]},
    {"name": "pore", "paint": [255, 0, 0], "show": [213, 94, 0]},
]
GREY = np.random.default_rng(0).integers(60, 200, (24, 32)).astype(np.uint8)
LABELS = np.zeros((24, 32), np.uint8)
LABELS[4:12, 4:20] = 1


def tiff(array: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, array, photometric="minisblack")
    return file.getvalue()


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def png(array: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, "png")
    return file.getvalue()


def uploaded(browser: Any, name: str, content: bytes, **data: str) -> str:
    sent = browser.upload((name, content), **data)
    assert sent.status_code == 303, sent.text
    return str(sent.headers["location"].partition("file=")[2])


def segmented(
    site: Any, browser: Any, upload_id: str, labels: Any = LABELS, unsure: float = 0.25
) -> str:
    """Segment an upload as a worker does; return the job's id."""
    made = browser.post("/analyses/segment", {"file": upload_id, "p.pixel_size_nm": "10"})
    assert made.status_code == 303, made.text
    lease = site.take()
    outputs = []
    for name, array in (("labels", labels), ("uncertainty", np.full((24, 32), unsure, np.float16))):
        sha256, size = site.context.store.put(iter([tiff(array)]))
        outputs.append(Output(f"field_000_{name}.tif", "array", sha256, size, "image/tiff"))
    provenance = {
        "phases": PHASES,
        "origins": {"field_000": [0, 0]},
        "mean_uncertainty": {"field_000": unsure},
    }
    with site.context.database.write() as session:
        produced = Produced("d" * 64, (), provenance, outputs)
        assert finish(session, lease, produced, address=site.address)
    return str(lease.job_id)


def work(site: Any, folder: Path) -> str:
    """Carry the next job out, as its process in the sandbox does; return its id."""
    lease, out = site.take(), folder / "out"
    out.mkdir(parents=True)
    paths = []
    for number, file in enumerate(lease.inputs):
        path = folder / "in" / f"{number:04d}" / file.file_name
        path.parent.mkdir(parents=True)
        path.symlink_to(site.context.store.path_for(file.sha256, folder))
        paths.append(str(path))
    package = permit = ""
    if lease.package_sha256:
        with site.context.database.read() as session:
            unpacked, allowed = site.context.packages.permitted(session, lease.package_sha256)
        package, permit = str(unpacked), allowed.model_dump_json()
    params = dict(lease.params)
    task = Task(lease.analysis, paths, params, str(out), package=package, permit=permit)
    report = carry_out(task, io.StringIO())
    (out / REPORT).write_text(json.dumps(asdict(report)))
    produced = collect(out, site.context.store)
    assert not isinstance(produced, Failure), produced
    with site.context.database.write() as session:
        assert finish(session, lease, produced, address=site.address)
    return str(lease.job_id)
