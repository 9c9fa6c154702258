"""Parts of a label map that are too small to be believed."""

from __future__ import annotations

import numpy as np

from bl_steer.analysis.reconstruction.specks import take_out_specks, without_specks


def test_specks_take_the_phase_beside_them_and_larger_parts_stay() -> None:
    truth = np.zeros((60, 80), np.uint8)
    truth[:, 40:] = 2
    truth[20:24, 8:11] = 1  # twelve pixels
    noisy = truth.copy()
    rng = np.random.default_rng(0)
    rows, columns = rng.integers(0, 60, 40), rng.integers(0, 80, 40)
    noisy[rows, columns] = (truth[rows, columns] + 1) % 3
    noisy[:, 40] = np.where(np.arange(60) % 12 < 9, 1, 2)  # a film of nine pixels a piece
    cleaned = without_specks(noisy, 10)
    assert (noisy != truth).sum() > 80
    assert not (cleaned[:, 20:] == 1).any()
    away = np.abs(np.arange(80) - 40) > 1  # of the film, nothing can tell which side it is of
    np.testing.assert_array_equal(cleaned[:, away], truth[:, away])
    np.testing.assert_array_equal(without_specks(cleaned, 10), cleaned)


def test_a_map_of_nothing_but_specks_is_left_alone() -> None:
    board = np.indices((6, 6)).sum(axis=0).astype(np.uint8) % 2
    np.testing.assert_array_equal(without_specks(board, 10), board)
    np.testing.assert_array_equal(without_specks(board, 1), board)


def test_no_plane_of_a_volume_keeps_its_specks_and_what_has_none_stays() -> None:
    volume = np.zeros((20, 30, 30), np.uint8)
    volume[:, :, 15:] = 2
    clean = volume.copy()
    volume[3:18:2, 4:6, 8] = 1
    take_out_specks(volume, 1)
    assert (volume != clean).any()
    take_out_specks(volume, 10)
    np.testing.assert_array_equal(volume, clean)
