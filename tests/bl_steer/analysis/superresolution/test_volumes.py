from __future__ import annotations

import pickle
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

from bl_steer.analysis.superresolution.baselines import linear, nearest
from bl_steer.analysis.superresolution.model import SuperResolutionModel
from bl_steer.analysis.superresolution.sections import Running
from bl_steer.analysis.superresolution.slabs import Inserter
from bl_steer.analysis.superresolution.volume import super_resolve
from bl_steer.analysis.superresolution.zarr_volume import super_resolve_zarr
from tests import fork_server

FACTOR = 4


def test_slices_pass_bit_for_bit_and_planes_come_between(
    grey_model: SuperResolutionModel, grey: NDArray[np.uint8]
) -> None:
    found = super_resolve(grey_model, grey[::FACTOR])
    assert found.volume.shape == grey.shape
    assert found.volume.dtype == grey.dtype
    np.testing.assert_array_equal(found.volume[::FACTOR], grey[::FACTOR])
    assert not found.uncertainty[::FACTOR].any()
    assert (found.uncertainty[1::FACTOR] > 0).mean() > 0.9


def test_a_stack_teaches_enough_to_beat_the_straight_line(
    grey_model: SuperResolutionModel, grey: NDArray[np.uint8]
) -> None:
    found = super_resolve(grey_model, grey[::FACTOR]).volume.astype(float)
    straight = linear(grey[::FACTOR], FACTOR)
    assert np.abs(found - grey).mean() < 0.98 * np.abs(straight - grey).mean()


def test_labels_keep_their_slices_and_their_fractions(
    label_model: SuperResolutionModel, labels: NDArray[np.uint8]
) -> None:
    slices = labels[::FACTOR]
    kept = super_resolve(label_model, slices).volume
    np.testing.assert_array_equal(kept[::FACTOR], slices)
    inserted = kept[np.arange(len(kept)) % FACTOR != 0]
    assert inserted.mean() == pytest.approx(slices.mean(), abs=0.01)
    assert (kept == labels).mean() > 0.9


def test_any_factor_inserts_as_many_planes_nearer_the_truth_than_the_nearest_slice(
    label_model: SuperResolutionModel, labels: NDArray[np.uint8], tmp_path: Path
) -> None:
    thirds = label_model.settings.model_copy(update={"factor": 3})
    assert thirds.n_stages == label_model.settings.n_stages
    model = replace(label_model, settings=thirds)
    slices, truth = labels[:40:3], labels[:40]
    found = super_resolve(model, slices).volume
    np.testing.assert_array_equal(found[::3], slices)
    assert found.shape == truth.shape
    assert (found != truth).mean() < 0.8 * (nearest(slices, 3) != truth).mean()
    path, source = stored(slices, model, tmp_path)
    group: Any = zarr.open_group(str(super_resolve_zarr(path, source, tmp_path / "out")), mode="r")
    np.testing.assert_array_equal(group["volume"][:], found)


def stored(slices: NDArray[Any], model: SuperResolutionModel, folder: Path) -> tuple[Path, Path]:
    model.save(folder / "model")
    source = folder / "slices.zarr"
    zarr.save_array(str(source), slices)
    return folder / "model", source


def test_zarr_finds_in_two_processes_the_same_as_memory_in_one(
    label_model: SuperResolutionModel, labels: NDArray[np.uint8], tmp_path: Path
) -> None:
    model, source = stored(labels[::FACTOR], label_model, tmp_path)
    steps: list[tuple[int, int]] = []
    target = super_resolve_zarr(
        model,
        source,
        tmp_path / "out.zarr",
        running=Running(processes=2),
        progress=lambda *step: steps.append(step),
    )
    group: Any = zarr.open_group(str(target), mode="r")
    found = super_resolve(label_model, labels[::FACTOR])
    np.testing.assert_array_equal(group["volume"][:], found.volume)
    np.testing.assert_array_equal(group["uncertainty"][:], found.uncertainty)
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_pickled_inserter_finds_the_same_bit_for_bit(
    label_model: SuperResolutionModel, labels: NDArray[np.uint8]
) -> None:
    inserter, measured = Inserter(label_model), labels[::FACTOR, :8]
    copy = pickle.loads(pickle.dumps(inserter.first_pass))
    np.testing.assert_array_equal(copy(measured), inserter.first_pass(measured))


CHILD = """
import os, sys, threading, torch
torch.set_num_threads(1)
from bl_steer.analysis.superresolution import slabs
slabs.SLAB_PX = 8
from bl_steer.analysis.superresolution import zarr_volume
zarr_volume.SLAB_PX = 8
def progress(done, total):
    print(done, total, flush=True)
    if done == 1 and len(sys.argv) > 4:
        threading.Timer(float(sys.argv[4]), os.kill, (os.getpid(), 9)).start()
zarr_volume.super_resolve_zarr(*sys.argv[1:4], progress=progress)
"""


def run_child(*arguments: object) -> subprocess.Popen[str]:
    return fork_server.Popen(
        [sys.executable, "-c", CHILD, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_run_killed_at_any_time_goes_on_and_ends_the_same(
    label_model: SuperResolutionModel, labels: NDArray[np.uint8], tmp_path: Path
) -> None:
    model, source = stored(labels[::FACTOR], label_model, tmp_path)
    target = tmp_path / "out.zarr"
    # Somewhere in a slab, by a clock of its own: this process may come too late.
    child = run_child(model, source, target, 0.2)
    told, errors = child.communicate()
    assert child.returncode == -signal.SIGKILL, errors
    first, done = told.split()[:2], len(told.splitlines())
    resumed = run_child(model, source, target)
    printed, errors = resumed.communicate(timeout=120)
    assert resumed.returncode == 0, errors
    assert first == ["1", "12"]
    assert 0 < len(printed.splitlines()) <= 12 - done
    found = super_resolve(label_model, labels[::FACTOR])
    group: Any = zarr.open_group(str(target), mode="r")
    np.testing.assert_array_equal(group["volume"][:], found.volume)
    np.testing.assert_allclose(group["uncertainty"][:], found.uncertainty, atol=2e-3)


def test_a_target_of_another_model_is_refused(
    grey_model: SuperResolutionModel, grey: NDArray[np.uint8], tmp_path: Path
) -> None:
    model, source = stored(grey[::FACTOR], grey_model, tmp_path)
    super_resolve_zarr(model, source, tmp_path / "out.zarr")
    with pytest.raises(ValueError, match="got others in precision"):
        super_resolve_zarr(model, source, tmp_path / "out.zarr", running=Running(precision="bf16"))


def test_a_single_slice_is_refused(
    grey_model: SuperResolutionModel, grey: NDArray[np.uint8]
) -> None:
    with pytest.raises(ValueError, match="two slices at least, got 1"):
        super_resolve(grey_model, grey[:1])
