"""Numbers as Japanese keyboards write them are taken at every door: form, API, query."""

from __future__ import annotations

import time
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import select

from bl_steer.server.db.tables import Share
from bl_steer.server.web.filters import read_moment
from bl_steer.server.web.forms import PREFIX, plain_values, values_of


class Params(BaseModel):
    width_nm: float = 1.0
    number: int | None = None
    voxel_nm: tuple[float, float, float] | None = None
    names: tuple[str, ...] = ()
    note: str = ""


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ({"width_nm": "１２．５"}, {"width_nm": 12.5}),
        ({"width_nm": "－０，５"}, {"width_nm": -0.5}),
        ({"width_nm": "1.5ｅ－3"}, {"width_nm": 1.5e-3}),
        ({"number": "　７ "}, {"number": 7}),
        ({"voxel_nm": "１０，１０、９"}, {"voxel_nm": (10, 10, 9)}),
        ({"voxel_nm": "０，５；１；２"}, {"voxel_nm": (0.5, 1, 2)}),
        (
            {"note": "Ｆｉｌｍ ３", "names": "Ａ, Ｂ"},
            {"note": "Ｆｉｌｍ ３", "names": ("Ａ", "Ｂ")},
        ),
    ],
)
def test_a_form_takes_digits_of_any_width_for_numbers_and_leaves_texts(
    typed: dict[str, str], read: dict[str, Any]
) -> None:
    values = values_of(Params, {PREFIX + name: value for name, value in typed.items()})
    assert Params.model_validate(values) == Params(**read)


def test_values_of_a_program_are_read_alike() -> None:
    values = {"width_nm": "１２．５", "voxel_nm": ["１", 2, "0,5"], "note": "１", "odd": "１"}
    plain = {"width_nm": "12.5", "voxel_nm": ["1", 2, "0.5"], "note": "１", "odd": "１"}
    assert plain_values(Params, values) == plain
    assert read_moment("since", "１ｅ９") == 1e9


def test_every_door_of_the_server_takes_full_width_digits(site: Any) -> None:
    user = site.user()
    browser, program = site.browser(), site.program(user)
    sent = browser.upload(("a.csv", b"x,y,value\n1,2,3\n")).headers["location"]
    wanted = {"analysis": "advise", "files": [sent.partition("file=")[2]]}
    wanted["params"] = {"seed": "１２"}
    made = program.post("/api/v1/jobs", json=wanted)
    assert made.status_code == 201, made.text
    assert made.json()["params"]["seed"] == 12
    for limit in ("１", "０"):
        answer = program.get("/api/v1/jobs", params={"limit": limit})
        assert answer.status_code == (200 if limit == "１" else 422)
    job = f"/jobs/{site.finish({'t.csv': b'a'})}"
    assert browser.post(f"{job}/shares", {"days": "１，５"}).status_code == 303
    with site.context.database.read() as session:
        (share,) = session.scalars(select(Share))
    assert share.expires - time.time() == pytest.approx(1.5 * 86_400, abs=60)
    assert browser.post(f"{job}/shares", {"days": "１日"}).status_code == 422
