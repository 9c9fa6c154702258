"""Planes between labelled slices: in memory and by way of the disk."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bl_steer.analysis.reconstruction import insertion
from bl_steer.analysis.reconstruction.depths import EvenDepths
from bl_steer.analysis.reconstruction.insertion import insert_planes, settings_for, train_on_labels
from bl_steer.processing.unfinished import kept_folder, unfinished_in
from bl_steer.protocols import Progress
from simulators.electron.phantoms import grains
from tests import fork_server


def test_a_volume_made_on_disk_is_the_one_made_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.ascontiguousarray(grains((33, 40, 36), width=3.0)[::4])
    z = 40.0 * np.arange(9) + np.array([0, 5, -5, 0, 8, 0, -8, 0, 0])
    depths = EvenDepths.of(z, 4)
    settings = settings_for(depths, 10.0, blocks=1, channels=4, steps=2, seed=0)
    assert settings.decimation.pitch_px == pytest.approx(depths.pitch_nm / 10.0)
    assert settings.decimation.pitch_jitter > 0.0
    network = train_on_labels(labels, settings, 3, None)
    volume, uncertainty = insert_planes(network, labels, depths)
    assert volume.shape == uncertainty.shape == (len(depths.z_nm), 40, 36)
    np.testing.assert_array_equal(volume[0], labels[0])
    assert uncertainty[0].max() == 0
    monkeypatch.setattr(insertion, "IN_MEMORY_VX", 20_000)
    again, uncertain = insert_planes(network, labels, depths)
    np.testing.assert_array_equal(again, volume)
    np.testing.assert_array_equal(uncertain, uncertainty)


def test_what_is_broken_off_goes_on_where_it_was_and_is_gone_at_its_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    labels = np.ascontiguousarray(grains((33, 40, 36), width=3.0)[::4])
    depths = EvenDepths.of(40.0 * np.arange(9), 4)
    settings = settings_for(depths, 10.0, blocks=1, channels=4, steps=2, seed=0)
    monkeypatch.setattr(insertion, "IN_MEMORY_VX", 20_000)
    whole = insert_planes(train_on_labels(labels, settings, 3, None), labels, depths)
    told: list[int] = []

    def broken_off(done: int, total: int) -> None:
        told.append(done)
        if len(told) == 1:
            raise KeyboardInterrupt

    def go() -> tuple[Any, Any]:
        with unfinished_in(tmp_path / "unfinished"):
            network = train_on_labels(labels, settings, 3, None)
            return insert_planes(network, labels, depths, broken_off)

    with pytest.raises(KeyboardInterrupt, match=r"kept in .*unfinished; the same command goes on"):
        go()
    assert {path.name.split("-")[0] for path in (tmp_path / "unfinished").iterdir()} == {
        "networks",
        "volume",
    }
    for found, expected in zip(go(), whole, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert told == [1, 2, 3, 4]
    assert not (tmp_path / "unfinished").exists()


CHILD = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from bl_steer.analysis.reconstruction import insertion
from test_insertion import made_in

insertion.IN_MEMORY_VX = 20_000
told = []

def killed(done: int, total: int) -> None:
    told.append(done)
    if len(told) == 3:  # in the second pass
        os.kill(os.getpid(), signal.SIGKILL)

made_in(Path(sys.argv[1]), killed)
"""


def made_in(folder: Path, progress: Progress) -> tuple[Any, Any]:
    """Train and insert what a process that was killed may have begun in a folder."""
    labels = np.ascontiguousarray(grains((33, 40, 36), width=3.0)[::4])
    depths = EvenDepths.of(40.0 * np.arange(9), 4)
    settings = settings_for(depths, 10.0, blocks=1, channels=4, steps=2, seed=0)
    with unfinished_in(folder):
        network = train_on_labels(labels, settings, 3, None)
        return insert_planes(network, labels, depths, progress)


def test_what_a_killed_process_has_done_is_taken_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "unfinished"
    child = fork_server.Popen(
        [sys.executable, "-c", CHILD, str(folder), str(Path(__file__).parent)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "BL_STEER_PROCESSES": "1"},
    )
    assert child.wait() == -signal.SIGKILL
    assert folder.exists()
    told: list[int] = []
    monkeypatch.setattr(insertion, "IN_MEMORY_VX", 20_000)
    found = made_in(folder, lambda done, _: told.append(done))
    assert told == [4]  # of four slabs, the last
    monkeypatch.setattr(insertion, "IN_MEMORY_VX", 2**25)
    whole = made_in(folder, lambda done, _: None)
    for one, expected in zip(found, whole, strict=True):
        np.testing.assert_array_equal(one, expected)


def test_an_analysis_that_fails_keeps_nothing_but_for_want_of_room(tmp_path: Path) -> None:
    def fail(error: Exception) -> None:
        with unfinished_in(tmp_path / "unfinished"):
            with kept_folder("volume") as folder:
                (folder / "part").write_text("some")
            raise error

    for error, kept in ((ValueError("wrong"), False), (OSError("full"), True)):
        with pytest.raises(type(error)):
            fail(error)
        assert (tmp_path / "unfinished" / "volume" / "part").exists() == kept
