"""Documents and the file of a detector that writes streams, one by one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from event_model import compose_run


class Writer:
    """Documents and the file of a detector that takes `n_frames` rows a point."""

    def __init__(self, path: Path, *, shape: list[int], row: tuple[int, ...]) -> None:
        self.path, self.row = path, row
        self.run = compose_run(metadata={"detectors": ["det"]})
        image = {"source": "PV", "dtype": "array", "shape": shape, "dtype_numpy": "<u2"}
        self.descriptor = self.run.compose_descriptor(
            name="primary",
            data_keys={
                "det_image": {**image, "external": "STREAM:"},
                "x": {"source": "PV", "dtype": "number", "shape": []},
            },
            object_keys={"det": ["det_image"], "x": ["x"]},
        )
        self.resource = self.run.compose_stream_resource(
            mimetype="application/x-hdf5",
            uri=f"file://localhost{path}",
            data_key="det_image",
            parameters={"dataset": "/entry/data/data"},
        )
        self.first = [
            ("start", self.run.start_doc),
            ("descriptor", self.descriptor.descriptor_doc),
            ("stream_resource", self.resource.stream_resource_doc),
        ]

    def event(self, number: int) -> dict[str, Any]:
        return dict(
            self.descriptor.compose_event(
                data={"x": float(number)}, timestamps={"x": 1.0}, seq_num=number
            )
        )

    def datum(self, start: int, stop: int, row: int) -> dict[str, Any]:
        return dict(
            self.resource.compose_stream_datum(
                indices={"start": row, "stop": row + stop - start},
                seq_nums={"start": start, "stop": stop},
                descriptor=self.descriptor.descriptor_doc,
            )
        )

    def write(self, n_rows: int, *, empty: int = 0, late_s: float = 0.0) -> None:
        time.sleep(late_s)
        with h5py.File(self.path, "a", libver="latest") as file:
            data = file.require_dataset(
                "/entry/data/data",
                (0, *self.row),
                "<u2",
                maxshape=(None, *self.row),
                chunks=(1, *self.row),
            )
            data.resize(n_rows + empty, axis=0)
            data[:n_rows] = np.arange(n_rows).reshape(-1, *[1] * len(self.row))
