"""Places and addresses, from the environment: ``BL_STEER_DATA_DIR`` and so on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["Settings"]


class Settings(BaseSettings):
    """Where things are. Science belongs in arguments, process variables in `devices.beamline`."""

    model_config = SettingsConfigDict(env_prefix="BL_STEER_", frozen=True)

    data_dir: Path = Path("./bl_steer_data")
    """Folder of the store: Tiled's catalogue, the records, the frames."""
    detector_folders: str = ""
    """Folders, parted by ``:``, where detectors write files of their own that runs refer to."""
    log: Path | None = None
    """File in which sessions log, a line of JSON a message; none by default."""
    instrument: Literal["beamline", "microscope", "fibsem"] = "beamline"
    """What `bl_steer.startup` opens a session on, simulated."""
    sample: str = "multi-domain"
    """Preset of the simulated film in a session."""
    seed: int = 0
    """Seed of the simulated film or specimen in a session."""
    dask: str = ""
    """Address of a dask scheduler that carries out analyses; empty for a process beside us."""
    server: str = ""
    """Address of an analysis server that carries out analyses, such as ``http://host:8800``."""
    server_key: str = ""
    """API key for it."""
    server_patience_s: float = Field(default=30.0, gt=0.0)
    """How long it may give no answer before an analysis is carried out here, s."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where networks compute; ``auto`` takes a GPU where torch sees one."""
    processes: int | None = Field(default=None, ge=1, le=256)
    """Processes that a long computation takes beside one another; one a usable core by default."""
    analysis_time_limit_s: float = Field(default=3600.0, gt=0.0)
    """How long an analysis may go on without progress, s."""
    analysis_memory_limit_gib: float | None = Field(default=None, gt=0.0)
    """Memory that the process of the analyses may take, GiB; three quarters of the machine's by
    default."""

    @property
    def detector_folder_paths(self) -> list[Path]:
        """The folders of `detector_folders`."""
        return [Path(part) for part in self.detector_folders.split(os.pathsep) if part]
