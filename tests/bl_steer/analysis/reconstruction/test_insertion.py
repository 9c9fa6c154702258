"""Planes between labelled slices: in memory and by way of the disk."""

from __future__ import annotations

import numpy as np
import pytest

from bl_steer.analysis.reconstruction import insertion
from bl_steer.analysis.reconstruction.depths import EvenDepths
from bl_steer.analysis.reconstruction.insertion import insert_planes, settings_for, train_on_labels
from simulators.electron.phantoms import grains


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
