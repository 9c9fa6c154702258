"""Where a figure may be saved: what is refused before anything is measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from bl_steer.plotting.runs import check_figure


@pytest.mark.parametrize("name", ["map.png", "map.pdf", "map.svg", "MAP.PNG", "a.b.Svg"])
def test_pictures_by_their_ending_are_let_through_and_not_made(tmp_path: Path, name: str) -> None:
    check_figure(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["map", "map.jpg", "map.png.txt", ".png", "png"])
def test_other_endings_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"must end in \.png, \.pdf or \.svg, got .*" + name):
        check_figure(tmp_path / name)


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"got .*lost.map\.png; make the folder first"):
        check_figure(tmp_path / "lost" / "map.png")


def test_a_name_alone_goes_to_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    check_figure(Path("map.png"))
    with pytest.raises(FileNotFoundError, match=r"got lost.map\.png"):
        check_figure(Path("lost/map.png"))
