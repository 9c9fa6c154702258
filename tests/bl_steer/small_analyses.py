"""Analyses of a user's own, as small as can be: one that works, and every way to go wrong."""

from __future__ import annotations

import os
import signal
import time
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from bl_steer.protocols import AnalysisResult, Inputs, Progress


class SumParams(BaseModel):
    model_config = ConfigDict(extra="forbid")
    factor: float = Field(1.0, gt=0.0)


class SumCounts:
    """The sum of all counts."""

    name: ClassVar[str] = "sum"
    version: ClassVar[str] = "1"
    Params: ClassVar[type[BaseModel]] = SumParams

    def inputs_of(self, run: Any) -> Inputs:
        return Inputs({"counts": np.asarray(run.primary["counts"])}, source={"run": run.uid})

    def run(self, inputs: Inputs, params: Any, progress: Progress | None = None) -> AnalysisResult:
        if progress is not None:
            progress(1, 1)
        total = float(inputs.arrays["counts"].sum()) * params.factor
        provenance = {
            "name": self.name,
            "version": self.version,
            "params": params.model_dump(),
            "weights": None,
        }
        return AnalysisResult(
            {"sum": {"total": np.array([total]), "unit": np.array(["counts"])}}, {}, provenance
        )


class Raises(SumCounts):
    name: ClassVar[str] = "raises"

    def run(self, inputs: Inputs, params: Any, progress: Progress | None = None) -> AnalysisResult:
        raise ZeroDivisionError("nothing to divide by")


class IsKilled(SumCounts):
    name: ClassVar[str] = "is-killed"

    def run(self, inputs: Inputs, params: Any, progress: Progress | None = None) -> AnalysisResult:
        os.kill(os.getpid(), signal.SIGKILL)
        return super().run(inputs, params, progress)


class Sleeps(SumCounts):
    name: ClassVar[str] = "sleeps"

    def run(self, inputs: Inputs, params: Any, progress: Progress | None = None) -> AnalysisResult:
        time.sleep(60.0)
        return super().run(inputs, params, progress)


class Chatters(SumCounts):
    """Prints what looks like an answer, and leaves a figure that cannot be drawn."""

    name: ClassVar[str] = "chatters"

    def run(self, inputs: Inputs, params: Any, progress: Progress | None = None) -> AnalysisResult:
        print('{"documents": []}', flush=True)
        result = super().run(inputs, params, progress)
        return AnalysisResult(
            result.tables, result.arrays, result.provenance, figures={"bad": lambda: 1 / 0}
        )
