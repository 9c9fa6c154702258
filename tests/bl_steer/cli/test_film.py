"""``bl-steer map-film`` on maps of a film at one azimuth, and at two."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from bl_steer.agents import Space
from bl_steer.cli import main
from bl_steer.protocols import Array
from bl_steer.session import film, open_session
from simulators.film import SigeFilm


class TurnedFilm(SigeFilm):
    """The film with phi turned by 180°."""

    def tilts(self, x: Array, y: Array) -> Array:
        return -super().tilts(x, y)


class Maps(NamedTuple):
    folder: Path
    uids: list[str]


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> Maps:
    folder, uids = tmp_path_factory.mktemp("maps"), []
    grid = Space.grid(np.linspace(10.0, 140.0, 7), np.linspace(10.0, 140.0, 7))
    for kind in (SigeFilm, TurnedFilm):
        with open_session(film(kind("smooth", 1)), data_dir=folder, progress=False) as session:
            uids.append(session.run(session.map_sample(grid=grid))[0])
    return Maps(folder, uids)


def true_film(x: Array, y: Array) -> Array:
    """Return x, R and tilt of the Ge-rich population, (n, 3)."""
    fields = SigeFilm("smooth", 1).fields
    truth = [f(x, y) for f in (fields.rich_ge, fields.rich_relaxation, fields.rich_tilt_deg)]
    return np.stack(truth, axis=1)


def map_film(maps: Maps, folder: Path, *arguments: str) -> int:
    end = ["--data", str(maps.folder), "--figure", str(folder / "film.png")]
    return main(["map-film", *arguments, *end, "--json", str(folder / "film.json")])


def test_two_azimuths_tell_the_film_with_maps_errors_table_and_figure(
    maps: Maps, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--hkl", "0,2,2;0,-2,2", "--out", str(tmp_path / "out")]
    assert map_film(maps, tmp_path, *maps.uids, *options) == 0
    report = json.loads((tmp_path / "film.json").read_text())
    assert report["runs"] == maps.uids
    rows = [row for row in report["points"] if row["peak"] == 1]
    x, y, *told = np.array(
        [[row[name] for name in ("x", "y", "x_ge", "relaxation", "tilt_deg")] for row in rows]
    ).T
    off = np.abs(np.stack(told, axis=1) - true_film(x, y))
    assert (np.median(off, axis=0) < [0.001, 0.005, 0.005]).all()
    assert all(row["x_ge_error"] > 0 for row in rows)
    assert report["assumed"] == ""
    assert [row["n_points"] for row in report["peaks"]] == [49, 49]
    assert (tmp_path / "film.png").stat().st_size > 10_000
    assert (tmp_path / "out" / "points.csv").is_file()
    printed = capsys.readouterr().out
    assert "peak 1: 49 points" in printed
    assert "R " in printed


def test_one_azimuth_says_what_it_cannot_tell_with_numbers(
    maps: Maps, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert map_film(maps, tmp_path, maps.uids[0][:8]) == 0
    captured = capsys.readouterr()
    warned = captured.out + captured.err
    assert "x, R and the tilt cannot be told apart by (0 2 2) alone: +0.01 in x looks" in warned
    assert "assumed: R=0.9+-0.05" in warned
    report = json.loads((tmp_path / "film.json").read_text())
    assert report["null"][0]["x_ge"] == 0.01
    assert report["points"][0]["twist_deg"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--hkl", "0,2,2;0,-2,2"], "each map must have its reflection, got 1 maps and 2"),
        (["--assume", "R=9"], "R must lie in -0.1 … 1.2"),
        (["--peaks", "x=0.9", "--hkl", "0,4,4"], "a peak must lie in the map, got x=0.9"),
        (["--hkl", "0,2,2", "--assume", "twist=0"], "must tell x, R and tilt, got (0 2 2) with"),
    ],
)
def test_what_does_not_fit_is_one_line_and_writes_nothing(
    maps: Maps,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    assert map_film(maps, tmp_path, "-2", *arguments) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in error
    assert len(error) <= 300
    assert list(tmp_path.iterdir()) == []
