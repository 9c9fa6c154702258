"""What a search says at the terminal of how sure it is."""

from __future__ import annotations

import pytest

from bl_steer.cli.found import print_outlook


def test_each_target_tells_how_sure_its_spot_is(capsys: pytest.CaptureFixture[str]) -> None:
    spots = [
        {"target": name, "p_better": p, "hidden_width_um": width}
        for name, p, width in (("total", 0.03, 12.0), ("map", 0.041, 15.0))
    ]
    print_outlook({**spots[0], "stop_reason": "stop", "targets": spots})
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("3.0 % (rule met); hills narrower than 12 µm could hide [total]")
    assert second.endswith("4.1 % (rule met); hills narrower than 15 µm could hide [map]")
