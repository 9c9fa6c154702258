"""A store with a run to its end, and one whose process was killed."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

import pytest

from bl_steer.session import open_session

N_POINTS, N_DIED = 8, 5
GRID = {axis: {"start": 0.0, "stop": 150.0, "num": 16} for axis in "xy"}


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    with open_session("smooth", seed=1, data_dir=folder, progress=False) as session:
        uid, _ = session.run(
            session.find_hotspot(budget=N_POINTS, grid=GRID, target="total", seed=3)
        )
    record = folder / "record" / f"{uid}.jsonl"
    record.rename(folder / "finished.jsonl")  # the catalogue knows the run, too
    return folder


@pytest.fixture
def data(sound: Path, tmp_path: Path) -> Path:
    """A store with one record, of a run whose process was killed after five points."""
    folder = tmp_path / "data"
    shutil.copytree(sound, folder)
    whole, died = folder / "finished.jsonl", str(uuid.uuid4())
    lines = whole.read_text().replace(str(sound), str(folder)).splitlines(keepends=True)
    events = [n for n, line in enumerate(lines) if '"det_total"' in line and "event" in line[:9]]
    (uid,) = [line.split('"uid":"')[1][:36] for line in lines[:1]]
    text = "".join(lines[: events[N_DIED - 1] + 1]).replace(uid, died)
    (folder / "record" / f"{died}.jsonl").write_text(text)
    return folder
