"""Planes of stacks as images of their own: what is painted and trained on is one image, one mask.

A plane that is given a mask becomes a file of its owner beside the stack, with the stack's
specimen and its word on training.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tifffile
from sqlalchemy.orm import Session

from bl_steer.server.db.tables import Job, Upload
from bl_steer.server.errors import Refused, missing
from bl_steer.server.uploads.blobs import FileStore
from bl_steer.server.viewing.planes import Planes, Stored
from bl_steer.server.viewing.scenes import pixel_size_of
from bl_steer.server.viewing.views import View, cut_key, phases_of_job

__all__ = ["Painted", "painted_image"]


@dataclass(frozen=True)
class Painted:
    """The image of a segmentation that is painted.

    Parameters
    ----------
    upload : the file that it is, or that it is a plane of
    path : where its bytes are
    name : of it as a file
    cut_of : of a plane, which one of what; None for an image that is alone in its file
    """

    upload: Upload
    path: Path
    name: str
    cut_of: str | None = None

    @property
    def is_plane(self) -> bool:
        """Whether it is a plane of a stack."""
        return self.cut_of is not None


def painted_image(
    session: Session,
    job: Job,
    view: View,
    plane: int,
    *,
    open_planes: Callable[[Stored], Planes],
    store: FileStore,
    folder: Path,
) -> Painted:
    """Return the image of a view, or its plane as a TIFF that is written for it.

    Parameters
    ----------
    plane : of a stack; of a view that is one plane of its file, that one whatever is asked for
    open_planes : gives the values of a file
    folder : for what is written

    Raises
    ------
    Refused
        When the view is no segmentation of an image that is there.
    """
    image = view.layers.get("image")
    if image is None or "labels" not in view.layers or not phases_of_job(job):
        raise Refused(409, "refused.mask_of")
    upload = session.get(Upload, view.upload_id or job.upload_ids[0])
    if upload is None or upload.deleted is not None:
        raise missing("file")
    planes = open_planes(image.stored)
    if view.upload_id and len(planes) == 1:
        return Painted(upload, store.path_for(upload.sha256, folder), upload.file_name)
    number = plane if image.plane is None else image.plane
    values = planes[number]
    key = cut_key(job, view, number)
    name = f"{Path(upload.file_name).stem[:150]}_slice_{number + 1:04d}.tif"
    path = folder / "plane.tif"
    size_nm = pixel_size_of(job, view.name) or planes.info.pixel_size_nm
    known = {} if size_nm is None else {"PhysicalSizeX": size_nm, "PhysicalSizeY": size_nm}
    units = {f"{edge}Unit": "nm" for edge in known}
    # As OME, whose pixel size every reader understands.
    tifffile.imwrite(path, values, ome=True, metadata={"axes": "YX", **known, **units})
    return Painted(upload, path, name, key)
