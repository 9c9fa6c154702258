"""What there is to look at in a result: for each field or volume its image, labels and uncertainty.

A view has layers by name. Those of a result are its own arrays; the image is the upload that they
were made of, and ``truth-…`` are the masks that its owner gave for that upload.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from sqlalchemy import or_, select
from sqlalchemy.orm import Session, aliased

from bl_steer.server.db.tables import Correction, Job, JobOutput, Upload
from bl_steer.server.errors import missing
from bl_steer.server.jobs.fields import field_titles, origins_of
from bl_steer.server.jobs.history import outputs_of
from bl_steer.server.viewing.planes import Stored

__all__ = [
    "COLOURS",
    "Layer",
    "ShownPhase",
    "View",
    "cut_key",
    "field_titles",
    "images_of",
    "others_of",
    "phases_of_job",
    "view_named",
    "view_of_upload",
    "views_of",
]

LABELS, UNCERTAINTY = "_labels", "_uncertainty"
TRUTH = "truth-"
MAX_TRUTHS = MAX_OTHERS = 10
LOOKED_THROUGH = 200
"""The latest results among which others of the same image are sought."""
COLOURS = (
    (213, 94, 0),
    (240, 228, 66),
    (0, 90, 115),
    (86, 180, 233),
    (204, 121, 167),
    (0, 158, 115),
    (230, 159, 0),
    (0, 114, 178),
    (160, 160, 160),
    (120, 28, 60),
    (140, 200, 120),
    (70, 50, 140),
)
"""Of labels without a phase, told apart by colour-blind readers too (after Okabe and Ito, 2008)."""


class ShownPhase(BaseModel):
    """A phase of a label map: how it is called, painted and shown."""

    name: str = Field(max_length=200)
    paint: tuple[int, int, int] | None = None
    show: tuple[int, int, int]


PHASES = TypeAdapter(list[ShownPhase])


@dataclass(frozen=True)
class Layer:
    """An array to be looked at.

    Parameters
    ----------
    plane : the only plane that belongs to the view; None for all
    """

    stored: Stored
    plane: int | None = None


@dataclass(frozen=True)
class View:
    """Layers that lie over each other.

    Parameters
    ----------
    name : as addresses have it
    layers : ``image``, ``labels``, ``uncertainty``, and ``truth-`` with the id of each given mask
    upload_id : of the image; empty where there is none
    """

    name: str
    layers: Mapping[str, Layer] = field(default_factory=dict)
    upload_id: str = ""
    page: int = 0


def view_of_upload(upload: Upload) -> View:
    """Return the view of a file by itself."""
    layers = {"image": Layer(Stored(upload.sha256, upload.file_name))}
    return View("file", layers, upload.id)


def views_of(session: Session, job: Job) -> list[View]:
    """Return the views of a finished job, of its fields in their order, without given masks."""
    arrays = {
        output.name.removesuffix(".tif").removesuffix(".ome"): output
        for output in outputs_of(session, job.id)
        if output.kind == "array" and output.name.endswith(".tif")
    }
    fields = [stem.removesuffix(LABELS) for stem in arrays if stem.endswith(LABELS)]
    origins = origins_of(job)
    query = select(Upload).where(Upload.id.in_(job.upload_ids), Upload.deleted.is_(None))
    uploads = {upload.id: upload for upload in session.scalars(query)}
    views = []
    for name in fields:
        own = {
            "labels": arrays.pop(name + LABELS),
            "uncertainty": arrays.pop(name + UNCERTAINTY, None),
        }
        number, page = origins.get(name, (0, 0) if len(job.upload_ids) == 1 else (-1, 0))
        upload_id = job.upload_ids[number] if 0 <= number < len(job.upload_ids) else ""
        upload = uploads.get(upload_id)
        cut = upload if job.params.get("bar_px") else None
        views.append(_over_upload(name, _results(own, cut), upload, page))
    return [*views, *_volumes(arrays)]


def view_named(session: Session, job: Job, name: str, *, given: bool = True) -> View:
    """Return one view; `Refused` if there is none.

    Parameters
    ----------
    given : with the masks that its owner gave for its image
    """
    view = next((view for view in views_of(session, job) if view.name == name), None)
    if view is None:
        raise missing("output")
    image = view.layers.get("image")
    phases = [phase.model_dump() for phase in phases_of_job(job)]
    if not given or not view.upload_id or image is None or not phases:
        return view
    mask, painted = aliased(Upload), aliased(Upload)
    masks = session.execute(
        select(mask, painted)
        .join(Correction, Correction.mask_id == mask.id)
        .join(painted, Correction.image_id == painted.id)
        .where(
            or_(painted.id == view.upload_id, painted.cut_of == cut_key(job, view, view.page)),
            mask.user_id == job.user_id,
            mask.deleted.is_(None),
        )
        .order_by(Correction.created.desc())
        .limit(MAX_TRUTHS)
    )
    truths = {
        TRUTH + one.id: Layer(
            Stored(
                one.sha256,
                one.file_name,
                phases=phases,
                image=Stored(of.sha256, of.file_name),
            ),
            0,
        )
        for one, of in masks
    }
    return replace(view, layers={**view.layers, **truths})


def cut_key(job: Job, view: View, plane: int) -> str:
    """Return what plane of what an image is, as `Upload.cut_of` has it."""
    source = view.upload_id or f"{job.id}/{view.name}"
    return f"{source[:100]}#{plane}"


def others_of(session: Session, job: Job, view: View) -> list[tuple[Job, str]]:
    """Return other results of the image of a view, the newest first: the jobs, and their views."""
    if not view.upload_id:
        return []
    mine = select(Job.id, Job.upload_ids).where(Job.user_id == job.user_id, Job.state == "done")
    latest = session.execute(mine.order_by(Job.created.desc()).limit(LOOKED_THROUGH))
    ids = [key for key, uploads in latest if view.upload_id in uploads and key != job.id]
    found = []
    for other in (session.get_one(Job, key) for key in ids[:MAX_OTHERS]):
        found += [
            (other, one.name)
            for one in views_of(session, other)
            if (one.upload_id, one.page) == (view.upload_id, view.page)
        ]
    return found


def phases_of_job(job: Job) -> list[ShownPhase]:
    """Return the phases of a job's label maps; none where it names none that are sound."""
    try:
        return PHASES.validate_python(job.provenance.get("phases") or [])
    except ValidationError:  # a package may say anything
        return []


def _over_upload(name: str, layers: dict[str, Layer], upload: Upload | None, page: int) -> View:
    if upload is None:
        return View(name, layers)
    image = Layer(Stored(upload.sha256, upload.file_name), page)
    return View(name, {"image": image, **layers}, upload.id, page)


def _volumes(arrays: Mapping[str, JobOutput]) -> list[View]:
    """Return the views of arrays that are no fields: stacks and maps, with what goes over them."""
    over = {"slices": {"labels": "labels"}, "volume": {"uncertainty": "uncertainty"}}
    beside = {other for name in over if name in arrays for other in over[name].values()}
    views = []
    for name, array in arrays.items():
        if name not in beside:
            others = {layer: arrays.get(stem) for layer, stem in over.get(name, {}).items()}
            views.append(View(name, _results({"image": array, **others})))
    return views


def _results(
    outputs: Mapping[str, JobOutput | None], cut: Upload | None = None
) -> dict[str, Layer]:
    """Return the layers of a result; `cut` is the image of which a data bar was left out."""
    image = None if cut is None else Stored(cut.sha256, cut.file_name)
    return {
        name: Layer(Stored(output.sha256, output.name, result=True, image=image))
        for name, output in outputs.items()
        if output is not None
    }


def images_of(job: Job) -> list[str]:
    """Return the ids of the uploads of a job that are images; of one input, all."""
    if job.inputs is None:
        return list(job.upload_ids)
    numbers = {number for number, _ in origins_of(job).values()}
    return [upload_id for n, upload_id in enumerate(job.upload_ids) if n in numbers]
