"""What a search says at the terminal of how sure it is."""

from __future__ import annotations

import pytest

from bl_steer.cli.found import place_of, print_outlook, print_told


def test_each_target_tells_how_sure_its_spot_is(capsys: pytest.CaptureFixture[str]) -> None:
    spots = [
        {"target": name, "p_better": p, "hidden_width_um": width}
        for name, p, width in (("total", 0.03, 12.0), ("map", 0.041, 15.0))
    ]
    print_outlook({**spots[0], "stop_reason": "stop", "targets": spots})
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("3.0 % (rule met); hills narrower than 12 µm could hide [total]")
    assert second.endswith("4.1 % (rule met); hills narrower than 15 µm could hide [map]")


def test_places_are_told_to_a_nanometre(capsys: pytest.CaptureFixture[str]) -> None:
    assert place_of({"best_x_um": 12345.25, "best_y_um": -7994.5}, "best") == (
        "(12345.25, -7994.5) µm"
    )
    spot = {"target": "total", "best_x": 12353.166666666666, "best_y": 0.5, "best_value": 10.0}
    print_told("spots", [{**spot, "best_sd": 0.123456789}])
    assert capsys.readouterr().out.split()[-5:] == ["total", "12353.167", "0.5", "10", "0.12346"]
